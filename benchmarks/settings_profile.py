"""Where the time goes when a model is decomposed and read in nine settings, and in one, on one thread.

`python benchmarks/settings_profile.py [SHAPE]` does what the case nine_settings of bench.py does, with a clock on every
stage, and prints a table. Leave the machine alone.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import cases

import svdlens.readout.top_tokens as top_tokens
from svdlens.spec.settings import Setting

# Stages by the functions that do them. What one of them calls of another counts for the other alone.
STAGES = {
    "SVDs": (cases, ["decompose_model"]),
    "read-out matrices": (cases, ["readout_matrix", "ReadoutMatrix"]),
    "the same in low precision": (top_tokens.ReadoutMatrix, ["approximation"]),
    "products in low precision": (top_tokens, ["approximate_scores"]),
    "candidates": (top_tokens, ["search_candidates"]),
    "their float64 scores": (top_tokens, ["scores_of", "keep_best"]),
}


def with_clock(function: Callable[..., Any], stage: str, seconds: dict[str, float]) -> Any:
    """`function`, whose time counts for `stage` and no longer for the stage that called it."""

    def timed(*args: Any, **options: Any) -> Any:
        started, before = time.perf_counter(), sum(seconds.values())
        try:
            return function(*args, **options)
        finally:
            seconds[stage] += time.perf_counter() - started - (sum(seconds.values()) - before)

    return timed


def profile(shape: str, settings: dict[str, Setting]) -> dict[str, float]:
    """Seconds of each stage, and of all together."""
    seconds: dict[str, float] = defaultdict(float)
    originals = [(owner, name, getattr(owner, name)) for owner, names in STAGES.values() for name in names]
    stages = [stage for stage, (_, names) in STAGES.items() for _ in names]
    model = cases.RandomModel(cases.SHAPES[shape])
    try:
        for stage, (owner, name, function) in zip(stages, originals, strict=True):
            setattr(owner, name, with_clock(function, stage, seconds))
        started = time.perf_counter()
        cases.run_settings(model, cases.SHAPES[shape], settings)
        seconds["all"] = time.perf_counter() - started
        seconds["other"] = 2 * seconds["all"] - sum(seconds.values())
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)
    return seconds


def main(shape: str = "gpt2-small") -> None:
    cases.THREADS = 1
    measured = {"one": profile(shape, {"raw": Setting()}), "nine": profile(shape, cases.SETTINGS)}
    table = pd.DataFrame(measured).reindex([*STAGES, "other", "all"])
    table["ratio"] = table["nine"] / table["one"]
    table["share of nine"] = table["nine"] / table.loc["all", "nine"]
    size = cases.SHAPES[shape]
    print(f"{shape}, one thread, {top_tokens.fastest_precision(size.d_vocab, size.d_model, 'cpu')}")
    print(table.round(2).to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
