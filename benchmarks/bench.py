"""Time and memory of svdlens beside what people would use instead: `make bench`, one run, one table.

Every cell is measured in a process of its own, svdlens and its peer in turns, so that a machine that slows down slows
both. Times are medians; memory is the largest resident set of the process, Python and libraries included. Prints the
table and writes results/benchmarks/bench.csv. Names of cases as arguments: only these.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from cases import CASES, SHAPES  # noqa: E402

from svdlens.artefacts.atomic_files import write_text  # noqa: E402
from svdlens.errors import did_you_mean  # noqa: E402
from svdlens.readout.top_tokens import fastest_precision  # noqa: E402

COLUMNS = ["case", "shape", "peer", "ours_s", "peer_s", "ratio", "ours_rss_mb", "peer_rss_mb"]


def measure(case: str, shape: str, who: str) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).with_name("measure.py")), case, shape, who]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(case: str, shape: str) -> list[dict[str, object]]:
    """One row for each peer of a case."""
    names = ["ours", *CASES[case].peers]
    measured = {name: [] for name in names}
    for _ in range(CASES[case].rounds):
        for name in names:
            measured[name].append(measure(case, shape, name))
    seconds = {name: statistics.median(one["seconds"] for one in measured[name]) for name in names}
    memory = {name: max(one["rss_mb"] for one in measured[name]) for name in names}
    return [
        dict(
            zip(
                COLUMNS,
                [
                    case,
                    shape,
                    peer,
                    seconds["ours"],
                    seconds[peer],
                    seconds["ours"] / seconds[peer],
                    memory["ours"],
                    memory[peer],
                ],
                strict=True,
            )
        )
        for peer in names[1:]
    ]


def machine() -> str:
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), model)
    torch.set_num_threads(1)
    chosen = {name: fastest_precision(size.d_vocab, size.d_model, "cpu") for name, size in SHAPES.items()}
    routes = ", ".join(f"{chosen[name]} for {name}" for name in chosen)
    return f"{os.cpu_count()} cores of {model}, torch {torch.__version__}. `readout` searches in {routes}."


def main(chosen: list[str]) -> None:
    for name in chosen:
        if name not in CASES:
            sys.exit(f"{name!r} is no case. Cases: {', '.join(CASES)}.{did_you_mean(name, CASES)}")
    rows = []
    for case in chosen or CASES:
        for shape in CASES[case].shapes:
            rows += compare(case, shape)
            print(f"measured {case} {shape}", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows, columns=COLUMNS)
    rounded = table.round({"ours_s": 5, "peer_s": 5, "ratio": 4, "ours_rss_mb": 0, "peer_rss_mb": 0})
    output = Path("results/benchmarks/bench.csv")
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, rounded.to_csv(index=False))
    print(f"\n{machine()}\n\n{rounded.to_string(index=False)}\n\n{output}")


if __name__ == "__main__":
    main(sys.argv[1:])
