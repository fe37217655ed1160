"""One cell of bench.py in a process of its own: the median time of one contender, and its largest resident set."""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import torch
from cases import CASES, THREADS

ENOUGH = 2.0  # seconds of measuring, after which one more repetition tells nothing new


def main(case: str, shape: str, who: str) -> None:
    torch.set_num_threads(THREADS)
    work, share = CASES[case].prepare(shape, who)
    if CASES[case].repeats > 1:
        work()  # first use of libraries and of memory
    times: list[float] = []
    while not times or (sum(times) < ENOUGH and len(times) < CASES[case].repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": statistics.median(times) / share, "rss_mb": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
