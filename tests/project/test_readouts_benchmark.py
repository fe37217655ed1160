"""The tables of benchmarks/readouts.py: counts of labels, read-out by read-out and side by side, and the rule."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from svdlens.evaluation.fractions import by_matrix
from svdlens.evaluation.intervals import MATRIX, paired_excess, shares_over_matrices

PATH = Path(__file__).parents[2] / "benchmarks/readouts.py"
spec = importlib.util.spec_from_file_location("benchmark_readouts", PATH)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

NAMES = ["W_U", "W_U_whitened"]
INTERVALS = {
    "beyond": ("beyond_low", "beyond_high"),
    "fraction": ("low", "high"),
    "excess": ("excess_low", "excess_high"),
}


def rows_of(generator: np.random.Generator, keys: pd.DataFrame, p: float, **constants: object) -> pd.DataFrame:
    """Labels of such rows, of which about `p` have a p-value of the direction null up to .05."""
    n = len(keys)
    kinds = generator.choice(["semantic", "frequency", "none"], n)
    p_direction = np.where(generator.random(n) < p, 0.01, 0.5)
    return keys.assign(
        kind=kinds, interpretable=kinds == "semantic", labelled=kinds != "none", verified=None,
        p_direction=p_direction, status=generator.choice(["ok", "abstained"], n, p=[0.9, 0.1]), **constants,
    )  # fmt: skip


def tables(shares: dict[tuple[str, str], float], settings: tuple[str, ...] = ("raw",)) -> tuple[pd.DataFrame, ...]:
    """Labels and labels of controls, where this share is beyond: by model and read-out."""
    generator = np.random.default_rng(0)
    labels, controls = [], []
    keys = pd.MultiIndex.from_product(
        [range(3), range(2), range(10), ["read", "write"], [1, -1]], names=[*MATRIX, "index", "side", "sign"]
    ).to_frame(index=False)
    for setting in settings:
        for (model, readout), share in shares.items():
            place = {"model": model, "setting": setting, "matrix": "ov", "readout": readout}
            labels.append(rows_of(generator, keys, share, **place))
            beside = pd.DataFrame({"layer": np.nan, "head": np.nan, "index": range(80), "side": "all", "sign": 1})
            controls += [rows_of(generator, beside, 0.05, control=name, **place) for name in ("random_unit", "rotated")]
    return pd.concat(labels, ignore_index=True), pd.concat(controls, ignore_index=True)


def scores(values: dict[tuple[str, str], float], model: str = "m") -> pd.DataFrame:
    """Scores of read-outs in tests, shuffled .5, on either side."""
    rows = [
        {"model": model, "setting": "raw", "matrix": "ov", "side": side, "readout": readout, "test": test}
        | {"value": value, "shuffled": 0.5}
        for (readout, test), value in values.items()
        for side in ("read", "write")
    ]
    return pd.DataFrame(rows)


def test_the_table_counts_labels_and_controls_of_each_readout():
    labels, controls = tables({("m", readout): 0.2 for readout in NAMES})
    counts = benchmark.counts_of(labels)
    table = benchmark.table_of(counts, controls)
    assert list(zip(table["readout"], table["side"], strict=True)) == [
        (readout, side) for readout in NAMES for side in ("read", "write")
    ]
    for row in table.to_dict("records"):
        counted = labels.query(f"side == '{row['side']}' and readout == '{row['readout']}' and status == 'ok'")
        beside = controls.query(f"control == 'random_unit' and readout == '{row['readout']}' and status == 'ok'")
        assert row["n"] == len(counted)
        assert row["fraction"] == pytest.approx(counted["interpretable"].mean())
        assert row["control_fraction"] == pytest.approx(beside["interpretable"].mean())
        assert row["excess"] == pytest.approx(row["fraction"] - row["control_fraction"])
        assert row["beyond"] == pytest.approx((counted["p_direction"] <= 0.05).mean())
        assert all(row[low] < row[value] < row[high] for value, (low, high) in INTERVALS.items())
        groups = counted.assign(beyond=counted["p_direction"] <= 0.05).groupby(MATRIX)["beyond"]
        interval = shares_over_matrices(groups.agg(n="size", k="sum").reset_index(), [])
        assert (row["beyond_low"], row["beyond_high"]) == pytest.approx((interval["low"][0], interval["high"][0]))


def test_a_change_is_paired_matrix_by_matrix():
    labels, _ = tables({("m", readout): share for readout, share in zip(NAMES, (0.2, 0.5), strict=True)}, ("raw", "s"))
    counts = benchmark.counts_of(labels)
    for of, base in (("readout", "W_U"), ("setting", "raw")):
        others = [name for name in ("setting", "side", "readout") if name != of]
        changed = benchmark.changes(counts, of, base)
        assert len(changed) == 4 and base not in set(changed[of])  # of the two others, each on two sides
        for row in changed.to_dict("records"):
            same = counts[(counts[others] == [row[name] for name in others]).all(axis=1)]
            one, other = (by_matrix(same[same[of] == value], ["side"], "beyond") for value in (row[of], base))
            expected = paired_excess(one, other, ["side"])[["excess", "low", "high"]].iloc[0]
            assert (row["change"], row["change_low"], row["change_high"]) == pytest.approx(tuple(expected))
    apart = benchmark.changes(counts, "readout", "W_U")
    assert (apart["change_low"] > 0).all()


@pytest.mark.parametrize(
    ("other", "held_out", "passes"),
    [(0.5, 0.7, True), (0.5, 0.695, True), (0.5, 0.68, False), (0.02, 0.9, False)],
)
def test_a_readout_passes_that_is_ahead_in_every_model_and_whose_labels_are_no_worse(other, held_out, passes):
    shares = {("m", "W_U"): 0.2, ("m", "W_U_whitened"): 0.5, ("o", "W_U"): 0.2, ("o", "W_U_whitened"): other}
    labels, controls = tables(shares)
    counts = benchmark.counts_of(labels)
    fit = {("W_U", "held_out"): 0.7, ("W_U_whitened", "held_out"): held_out}
    fit |= {(readout, "intrusion"): 0.6 for readout in NAMES}
    fit_table = pd.concat([scores(fit), scores(fit, "o")])
    rule = benchmark.by_rule(benchmark.table_of(counts, controls), counts, fit_table, "raw", "W_U").set_index("readout")
    assert rule.loc["W_U_whitened", "passes"] == passes and not rule.loc["W_U", "passes"]
    assert rule.loc["W_U_whitened", "held_out"] == pytest.approx(held_out - 0.5)
    assert rule.loc["W_U_whitened", "ahead_models"] == 1 + (other > 0.2)
    assert rule.loc["W_U_whitened", ["ahead", "behind"]].tolist() == ([4, 0] if other > 0.2 else [2, 2])


def test_it_prints_a_row_for_each_model_and_readout():
    labels, controls = tables({("m", readout): 0.2 for readout in NAMES}, ("raw", "s"))
    fit = scores({(readout, test): 0.6 for readout in NAMES for test in benchmark.TESTS})
    beyond, excess, changed, rule = benchmark.sections(labels, controls, fit)
    for section, n in ((beyond, 2), (excess, 2), (changed, 2), (rule, 2)):
        title, *rows = section.strip().split("\n")
        assert title and len(rows) == 2 + n
        assert "OV, read" in section or section == rule


def test_late_layers_are_the_last_third_of_each_model():
    labels = pd.DataFrame({"model": ["a"] * 6 + ["b"] * 30, "layer": [*range(6), *range(30)]})
    late = benchmark.late_layers(labels)
    assert late.groupby("model")["layer"].agg(list).to_dict() == {"a": [4, 5], "b": list(range(20, 30))}
