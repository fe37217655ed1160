"""What a GPU does: every test that needs one, then times of SVDs and read-outs on it, in about eight minutes.

    python benchmarks/gpu.py [--output DIR] [--minutes 8]

It needs a CUDA build of torch and, of the rest of the environment, what tests/*/test_*_on_devices.py import.
Weights are random numbers in float32, as in cases.py. It prints a table, and writes gpu.csv to DIR (default:
results/benchmarks). What there was no time for is named. --device cpu --tiny tries the script itself without a GPU.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

import torch  # noqa: E402
from cases import DIRECTIONS, THREADS, TOKENS, Shape, random_weights  # noqa: E402

from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens  # noqa: E402
from svdlens.svd.matrix_svd import decompose, fix_signs  # noqa: E402

SHAPES = {
    "gpt2-small": Shape(12, 12, 768),
    "gpt2-medium": Shape(24, 16, 1024),
    "gpt2-large": Shape(36, 20, 1280),
    "gpt2-xl": Shape(48, 25, 1600),
    "7B": Shape(32, 32, 4096, d_head=128, d_vocab=32000),
}
TINY = {"tiny": Shape(2, 2, 16, d_head=4, d_vocab=100)}
D_MLP = {"7B": 11008}
"""Where it is not four times d_model."""
SEARCHES = min(4, THREADS)
"""Threads of a read-out on a GPU: what scores candidates holds Python's lock for much of its time."""
WHOLE = ("gpt2-xl", "7B", "tiny")
"""Shapes of which everything is read."""
ENOUGH = 2.0  # seconds of measuring, after which one more repetition tells nothing new
COLUMNS = ("case", "shape", "seconds", "peer", "peer_seconds", "gpu_mib", "agrees")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=PROJECT / "results/benchmarks")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="one tiny shape, and no tests")
    given = parser.parse_args()
    start = time.monotonic()
    if given.device == "cuda" and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} finds no CUDA device here. Run this on a machine that has one, with a CUDA "
            "build of torch.",
            file=sys.stderr,
        )
        return 1
    print(f"{device_name(given.device)}; torch {torch.__version__}; {THREADS} CPU threads\n", flush=True)
    failed = 0 if given.tiny else run_tests()
    rows, left_out = [], []
    for name, work in cells(TINY if given.tiny else SHAPES, given.device):
        if time.monotonic() - start > 60 * given.minutes:
            left_out.append(name)
            continue
        rows.append(work())
        print(as_line(rows[-1]), flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    with (given.output / "gpu.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print("\n" + "\n".join([header(), *map(as_line, rows)]))
    if left_out:
        print(f"\nNo time was left for {', '.join(left_out)}: give more --minutes.")
    disagreeing = [f"{row['case']} of {row['shape']}" for row in rows if row["agrees"] is False]
    if disagreeing:
        print(f"\nThe GPU and the CPU disagree: {', '.join(disagreeing)}.")
    return int(failed or bool(disagreeing))


def device_name(device: str) -> str:
    if device == "cpu":
        return "CPU"
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"


def run_tests() -> int:
    """Exit status of the tests with the marker cuda."""
    modules = sorted(PROJECT.glob("tests/**/test_*_on_devices.py"))
    options = ["-m", "cuda", "-o", "addopts=", "-q", "-p", "no:cacheprovider", "-rs"]
    command = [sys.executable, "-m", "pytest", *options, *map(str, modules)]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


def cells(shapes: dict[str, Shape], device: str) -> Iterator[tuple[str, Callable[[], dict[str, object]]]]:
    """Everything to measure: a name, and what measures it and returns a row of the table."""
    for name, size in shapes.items():
        yield f"ov_layer of {name}", lambda name=name, size=size: ov_layer(name, size, device)
        yield f"mlp_matrix of {name}", lambda name=name, size=size: mlp_matrix(name, size, device)
        yield f"readout of {name}", lambda name=name, size=size: readout(name, size, device)
    for name in WHOLE:
        if name in shapes:
            yield f"whole_readout of {name}", lambda name=name: whole_readout(name, shapes[name], device)


def ov_layer(name: str, size: Shape, device: str) -> dict[str, object]:
    """SVD of all OV circuits of a layer in one batch; on the CPU one after the other, on all threads."""
    W_V = random_weights(size.n_heads, size.d_model, size.d_head, seed=1).double()
    W_O = random_weights(size.n_heads, size.d_head, size.d_model, seed=2).double()
    return compare_svd("ov_layer", name, [W_V, W_O], "ov", device)


def mlp_matrix(name: str, size: Shape, device: str) -> dict[str, object]:
    """Every singular value of MLP-in, and the leading vectors."""
    W_in = random_weights(size.d_model, D_MLP.get(name, 4 * size.d_model), seed=1).double()
    return compare_svd("mlp_matrix", name, [W_in], "mlp_in", device)


def compare_svd(case: str, name: str, factors: list[torch.Tensor], matrix: str, device: str) -> dict[str, object]:
    """A row for an SVD on the device, against the CPU. They agree where singular values do to 1e-10 of the largest."""
    on_device = [factor.to(device) for factor in factors]
    torch.set_num_threads(THREADS)
    seconds, result, mib = measure(lambda: fix_signs(decompose(on_device, DIRECTIONS), matrix), device)
    peer, expected, _ = measure(lambda: fix_signs(decompose(factors, DIRECTIONS), matrix), "cpu")
    difference = (result.values.cpu() - expected.values).abs().max() / expected.values.max()
    return row(case, name, seconds, "cpu", peer, mib, bool(difference < 1e-10))


def readout(name: str, size: Shape, device: str) -> dict[str, object]:
    """The best tokens of 1,024 directions, both signs, against the bare float32 product on the same device."""
    directions = torch.nn.functional.normalize(random_weights(1024, size.d_model, seed=1))
    W_U = random_weights(size.d_model, size.d_vocab, seed=2)
    matrix = ReadoutMatrix(W_U, device)
    seconds, result, mib = measure(lambda: top_tokens(directions, matrix, TOKENS, SEARCHES), device)
    on_device, W_U_on_device = directions.to(device), W_U.to(device)
    peer, _, _ = measure(lambda: on_device @ W_U_on_device, device)
    expected = top_tokens(directions, ReadoutMatrix(W_U), TOKENS, THREADS)
    agrees = all(
        (result[sign].ids == expected[sign].ids).all() and (result[sign].scores == expected[sign].scores).all()
        for sign in (+1, -1)
    )
    return row("readout", name, seconds, "fp32_product", peer, mib, bool(agrees))


def whole_readout(name: str, size: Shape, device: str) -> dict[str, object]:
    """The best tokens of as many directions as a model has: OV read and written, MLP-in and MLP-out, of every layer."""
    n = DIRECTIONS * (2 * size.n_heads + 2) * size.n_layers
    directions = torch.nn.functional.normalize(random_weights(n, size.d_model, seed=1))
    W_U = random_weights(size.d_model, size.d_vocab, seed=2)
    matrix = ReadoutMatrix(W_U, device)
    seconds, _, mib = measure(lambda: top_tokens(directions, matrix, TOKENS, SEARCHES), device, warm=False)
    W_U_on_device = W_U.to(device)

    def product() -> None:
        for part in directions.split(1024):
            part.to(device) @ W_U_on_device

    peer, _, _ = measure(product, device, warm=False)
    return row("whole_readout", name, seconds, "fp32_product", peer, mib, None)


def measure(work: Callable[[], Any], device: str, warm: bool = True) -> tuple[float, Any, float | None]:
    """Median seconds of the work, its result, and the most memory on the device, MiB."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    if warm:
        work()  # first use of libraries and of memory
        synchronize()
    times: list[float] = []
    while not times or (warm and sum(times) < ENOUGH and len(times) < 20):
        start = time.perf_counter()
        result = work()
        synchronize()
        times.append(time.perf_counter() - start)
    mib = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
    return statistics.median(times), result, mib


def row(
    case: str, shape: str, seconds: float, peer: str, peer_seconds: float, mib: float | None, agrees: bool | None
) -> dict[str, object]:
    values = (case, shape, f"{seconds:.3g}", peer, f"{peer_seconds:.3g}", "" if mib is None else f"{mib:.0f}", agrees)
    return dict(zip(COLUMNS, values, strict=True))


def header() -> str:
    return f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def as_line(values: dict[str, object]) -> str:
    shown = {None: "", True: "yes", False: "NO"}
    return "| " + " | ".join(str(shown.get(value, value)) for value in values.values()) + " |"


if __name__ == "__main__":
    sys.exit(main())
