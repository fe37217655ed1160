"""SVDs and read-outs on a CUDA device: its tests, then seconds and memory, within eight minutes. `make bench-cuda`.

    python benchmarks/gpu.py --output DIRECTORY

It needs a CUDA build of torch, pytest, hypothesis and what the library's svd and readout import; no Snakemake. Weights
are random numbers in the shapes of models, since no time depends on their values, but for the routes that a bound
decides on, which real weights take as well (docs/decomposition.md). What does not fit into the time is left out, and
the table says so. Writes tests.txt, gpu.csv and gpu.md. `--quick`: two shapes, no whole model. `--device cpu --tiny`
runs everything on tiny shapes without a GPU, to try the script out; its numbers mean nothing.
"""

import argparse
import csv
import functools
import gc
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens  # noqa: E402
from svdlens.runtime.compute import full_precision  # noqa: E402
from svdlens.spec.matrix_kinds import MATRIX_KINDS  # noqa: E402
from svdlens.spec.settings import Setting  # noqa: E402
from svdlens.svd.layer_by_layer import Task, each_layer  # noqa: E402
from svdlens.svd.model_svd import decompose_matrix  # noqa: E402
from svdlens.weights.weight_files import WeightFile  # noqa: E402

CONFIG = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
DIRECTIONS, TOKENS, MATRICES = CONFIG["directions"], CONFIG["tokens"], CONFIG["sweep"]["matrices"]
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
TEST_FILES = sorted(path.relative_to(PROJECT) for path in (PROJECT / "tests").glob("*/test_*_on_devices.py"))

ENOUGH = 3.0  # seconds of measuring, after which one more repetition tells nothing new
LONG = 10.0  # seconds; what takes longer is measured once, its first time
ROWS_AT_ONCE = 1024  # of the bare product, whose scores are thrown away
CSV_COLUMNS = ["case", "shape", "who", "seconds", "runs", "gpu_mib", "note"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a model."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int

    def directions(self, n_layers: int) -> list[int]:
        """How many directions each side of each kind of matrix has in so many layers, as the configuration keeps them.

        OV has two sides in the residual stream, so that it is there twice.
        """
        counts = []
        for matrix in MATRICES:
            kind = MATRIX_KINDS[matrix]
            counts += [n_layers * (self.n_heads if kind.per_head else 1) * DIRECTIONS] * len(kind.sides)
        return counts


SHAPES = {
    "gpt2-small": Shape(12, 12, 768, 64, 3072, 50257),
    "gpt2-medium": Shape(24, 16, 1024, 64, 4096, 50257),
    "gpt2-large": Shape(36, 20, 1280, 64, 5120, 50257),
    "gpt2-xl": Shape(48, 25, 1600, 64, 6400, 50257),
    "7B": Shape(32, 32, 4096, 128, 11008, 32000),
}
QUICK = ("gpt2-small", "gpt2-xl")
READ = ("gpt2-xl", "7B")
TINY = {"gpt2-xl": Shape(2, 2, 80, 64, 160, 700), "7B": Shape(3, 2, 96, 80, 200, 900)}


# --- measuring


class Measurements:
    """Rows of the table, kept in DIRECTORY/gpu.csv as they come, so that what breaks off later loses none."""

    def __init__(self, directory: Path, device: str, budget: float) -> None:
        self.file, self.device = directory / "gpu.csv", device
        self.end = time.monotonic() + budget
        self.rows: list[dict[str, object]] = []

    def remaining(self) -> float:
        """Seconds of the budget."""
        return self.end - time.monotonic()

    def add(
        self, case: str, shape: str, who: str, prepare: Callable[[], Callable[[], object]], estimate: float
    ) -> float:
        """Measure what `prepare` returns, if its `estimate` in seconds is known and within the budget.

        Returns the median in seconds, or NaN. An error is a row of the table.
        """
        row: dict[str, object] = dict.fromkeys(CSV_COLUMNS, "") | {"case": case, "shape": shape, "who": who}
        median = float("nan")
        if math.isnan(estimate):
            row["note"] = "left out: one layer, which tells how long it takes, was not measured"
        elif estimate > self.remaining():
            row["note"] = f"left out: about {estimate:.0f} s, and {max(self.remaining(), 0):.0f} s were left"
        else:
            try:
                on_card = self.device == "cuda" and who != "cpu"
                seconds, memory = measure(prepare(), self.device if on_card else "cpu")
                median = statistics.median(seconds)
                row |= {"seconds": f"{median:.5g}", "runs": len(seconds), "gpu_mib": f"{memory:.0f}" if on_card else ""}
            except Exception as error:  # whatever it is, other rows are worth having
                row["note"] = f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        self.rows.append(row)
        with self.file.open("w", newline="") as file:
            writer = csv.DictWriter(file, CSV_COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
        print(f"{case} {shape} {who}: {row['seconds'] or row['note']}", file=sys.stderr, flush=True)
        return median


def measure(work: Callable[[], object], device: str) -> tuple[list[float], float]:
    """Seconds of each run, without the first unless that is LONG; the most memory that torch took on the GPU, MiB."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    first = seconds_of(work, device)
    seconds = [first] if first > LONG else []
    while first <= LONG and (len(seconds) < 3 or (sum(seconds) < ENOUGH and len(seconds) < 20)):
        seconds.append(seconds_of(work, device))
    return seconds, torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0


def seconds_of(work: Callable[[], object], device: str) -> float:
    """Of one run, with what it has left to do on the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


# --- what is measured


def random_layer(path: Path, size: Shape, matrix: str) -> WeightFile:
    """A weight file with the factors of one kind of matrix in one layer, float32."""
    shapes = {
        "attn.W_V": (size.n_heads, size.d_model, size.d_head),
        "attn.W_O": (size.n_heads, size.d_head, size.d_model),
        "mlp.W_in": (size.d_model, size.d_mlp),
    }
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"blocks.0.{factor.weight}": 0.02 * torch.randn(shapes[factor.weight], generator=generator)
        for factor in MATRIX_KINDS[matrix].factors
    }
    save_file(tensors, path)
    return WeightFile(path)


def layer_svd(scratch: Path, size: Shape, matrix: str, device: str) -> Callable[[], object]:
    """The SVD of one layer as its rule does it, from the file of the weights to float32 results in memory."""
    layer = random_layer(scratch / f"{matrix}-{size.d_model}.safetensors", size, matrix)
    task = Task(matrix, Setting(), DIRECTIONS)
    return lambda: each_layer(decompose_matrix, layer, task, [0], THREADS, device)


@dataclass(frozen=True)
class Readout:
    """A random W_U [d_model, d_vocab], float32, and what reads directions through it on `device`."""

    size: Shape
    device: str
    W_U: torch.Tensor
    matrix: ReadoutMatrix

    def lists(self, n_layers: int) -> Callable[[], object]:
        """The best tokens of both signs of all directions of so many layers, one side of one kind after the other."""
        counts = self.size.directions(n_layers)
        # The largest of them serves all: a time does not depend on which directions they are.
        directions = random_directions(max(counts), self.size.d_model, self.device).cpu()
        return lambda: [top_tokens(directions[:count], self.matrix, TOKENS, THREADS) for count in counts]

    def products(self, n_layers: int) -> Callable[[], object]:
        """The bare float32 products that this contains, on the device; the scores are thrown away."""
        counts = self.size.directions(n_layers)
        directions = random_directions(ROWS_AT_ONCE, self.size.d_model, self.device)
        W_U = self.W_U.to(self.device)

        def multiply() -> None:
            with full_precision():
                for count in counts:
                    for start in range(0, count, ROWS_AT_ONCE):
                        directions[: count - start] @ W_U

        return multiply


def random_directions(n: int, d_model: int, device: str) -> torch.Tensor:
    """Unit vectors, float32."""
    generator = torch.Generator(device).manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(n, d_model, device=device, generator=generator))


def random_readout(size: Shape, device: str) -> Readout:
    W_U = 0.02 * torch.randn(size.d_model, size.d_vocab, generator=torch.Generator().manual_seed(2))
    return Readout(size, device, W_U, ReadoutMatrix(W_U, device))


def measure_svd(measurements: Measurements, shapes: dict[str, Shape], who: str, device: str, scratch: Path) -> None:
    """A layer's OV circuits, and an MLP, in each shape."""
    for name, size in shapes.items():
        ov, mlp = (functools.partial(layer_svd, scratch, size, matrix, device) for matrix in ("ov", "mlp_in"))
        measurements.add("ov_layer", name, who, ov, 5 + 1e-3 * size.d_model)
        # Products and an eigenvalue problem in float64, at 20 gigaflops on one thread of a CPU.
        once = (2 * size.d_model**2 * size.d_mlp + 10 * size.d_model**3) / 2e10 * (1 if device == "cpu" else 0.1)
        measurements.add("mlp", name, who, mlp, 5 + (once if once > LONG else 4 * once))


def measure_readout(measurements: Measurements, name: str, size: Shape, device: str, whole: bool) -> None:
    """The lists of one layer, those of the whole model, and the bare products in them."""
    readout = functools.cache(lambda: random_readout(size, device))
    layer = measurements.add("readout_layer", name, "gpu", lambda: readout().lists(1), 30)
    measurements.add("readout_layer", name, "product", lambda: readout().products(1), 10)
    if whole:
        all_layers = size.n_layers * layer
        # Where it is short, it is measured several times.
        estimate = 10 + (all_layers if all_layers > LONG else 4 * all_layers)
        measurements.add("readout_model", name, "gpu", lambda: readout().lists(size.n_layers), estimate)
        measurements.add("readout_model", name, "product", lambda: readout().products(size.n_layers), 15)


def measure_on_cpu(measurements: Measurements, shapes: dict[str, Shape], scratch: Path) -> None:
    """One layer, of what was measured on the GPU."""
    for name in READ:
        if name in shapes:
            size = shapes[name]
            measurements.add("readout_layer", name, "cpu", lambda size=size: random_readout(size, "cpu").lists(1), 30)
    measure_svd(measurements, shapes, "cpu", "cpu", scratch)


# --- tests


def run_tests(directory: Path, device: str, seconds: float) -> str:
    """How many tests passed and failed, as pytest says; its whole output is in tests.txt."""
    marker = "cuda" if device == "cuda" else "not cuda"
    # Without the project's options: they need beartype.
    command = [sys.executable, "-m", "pytest", "-o", "addopts=--strict-markers", "-p", "no:cacheprovider", "-q"]
    command += ["--durations=10", "-m", marker, *map(str, TEST_FILES)]
    with (directory / "tests.txt").open("w") as output:
        try:
            subprocess.run(command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT, timeout=max(seconds, 1))
        except subprocess.TimeoutExpired:
            return f"failed: stopped after {seconds:.0f} s"
    lines = (directory / "tests.txt").read_text("utf-8").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    print("\n".join(failed), file=sys.stderr)
    return next((line.strip("= ") for line in reversed(lines) if "passed" in line or "failed" in line), "failed to run")


# --- the table


def machine(device: str) -> str:
    """Card, versions, and the CPU beside it."""
    parts = [f"torch {torch.__version__}"]
    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        parts = [
            f"{card.name}, {card.total_memory / 2**30:.0f} GiB",
            *parts,
            f"CUDA {torch.version.cuda}",
            f"driver {driver()}",
        ]
    return ", ".join([*parts, f"Python {platform.python_version()}", f"{THREADS} threads of {cpu()}"])


def driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpu() -> str:
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), model)
    return model


def markdown(rows: list[dict[str, object]]) -> str:
    """A row for each case and shape; under it what was left out, or failed."""
    keys = list(dict.fromkeys((row["case"], row["shape"]) for row in rows))
    cells = {(row["case"], row["shape"], row["who"]): row for row in rows}
    lines = ["| case | shape | GPU | float32 product | CPU | GPU MiB |", "|---|---|---|---|---|---|"]
    for case, shape in keys:
        on_gpu, product, on_cpu = (cells.get((case, shape, who), {}) for who in ("gpu", "product", "cpu"))
        values = [row.get("seconds") or "" for row in (on_gpu, product, on_cpu)]
        lines.append(f"| `{case}` | {shape} | {' | '.join(map(str, values))} | {on_gpu.get('gpu_mib', '')} |")
    notes = [f"* `{row['case']}` {row['shape']} {row['who']}: {row['note']}" for row in rows if row["note"]]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def main(arguments: list[str]) -> int:
    """Returns 1 where a test or a measurement failed."""
    parser = argparse.ArgumentParser(description="Tests and times on a CUDA device.")
    parser.add_argument("--output", type=Path, required=True, help="folder for tests.txt, gpu.csv and gpu.md")
    parser.add_argument("--budget", type=float, help="seconds for all of it (450; 150 with --quick)")
    parser.add_argument("--quick", action="store_true", help="two shapes, no whole model")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, to try the script out")
    options = parser.parse_args(arguments)
    device = options.device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            f"torch {torch.__version__} finds no CUDA device here. Run this on a machine that has one, with a CUDA "
            "build of torch; --device cpu --tiny tries the script out without."
        )
    budget = options.budget if options.budget is not None else (150 if options.quick else 450)
    options.output.mkdir(parents=True, exist_ok=True)
    measurements = Measurements(options.output, device, budget)
    shapes = TINY if options.tiny else {name: SHAPES[name] for name in (QUICK if options.quick else SHAPES)}
    print(machine(device), flush=True)

    tests = run_tests(options.output, device, 0.4 * budget)
    print(f"Tests: {tests}", flush=True)
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as scratch:
        measure_svd(measurements, shapes, "gpu", device, Path(scratch))
        for name in READ:
            if name in shapes:
                measure_readout(measurements, name, shapes[name], device, whole=not options.quick)
        measure_on_cpu(measurements, shapes, Path(scratch))

    report = f"{machine(device)}\n\nTests: {tests}\n\n{markdown(measurements.rows)}\n"
    (options.output / "gpu.md").write_text(report, "utf-8")
    print(f"\n{report}\n{options.output / 'gpu.md'}")
    failed = "failed" in tests or "error" in tests or any("failed" in str(row["note"]) for row in measurements.rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
