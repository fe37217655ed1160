"""The table of benchmarks/readouts.py: counts of labels, read-out by read-out and side by side."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PATH = Path(__file__).parents[2] / "benchmarks/readouts.py"
spec = importlib.util.spec_from_file_location("benchmark_readouts", PATH)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


def test_the_table_counts_labels_and_controls_of_each_readout():
    generator = np.random.default_rng(0)

    def rows(n: int, **constants: str) -> pd.DataFrame:
        kinds = generator.choice(["semantic", "frequency", "none"], n)
        table = pd.DataFrame({"kind": kinds, "interpretable": kinds == "semantic", "labelled": kinds != "none"})
        table["p_direction"], table["status"] = generator.random(n) / 4, generator.choice(["ok", "abstained"], n)
        place = {"model": "m", "setting": "raw", "matrix": "ov", "verified": None}
        return table.assign(**place, **constants)

    readouts = ["W_U", "W_U_whitened"]
    labels = pd.concat([rows(60, readout=readout, side=side) for readout in readouts for side in ("read", "write")])
    names = ("random_unit", "rotated")
    controls = pd.concat(
        [rows(80, readout=readout, side="all", control=name) for readout in readouts for name in names]
    )
    table = benchmark.table_of(labels, controls)
    assert list(zip(table["side"], table["readout"], strict=True)) == [
        (side, readout) for readout in readouts for side in ("read", "write")
    ]
    for row in table.to_dict("records"):
        counted = labels.query(f"side == '{row['side']}' and readout == '{row['readout']}' and status == 'ok'")
        beside = controls.query(f"control == 'random_unit' and readout == '{row['readout']}' and status == 'ok'")
        assert row["n"] == len(counted)
        assert row["fraction"] == pytest.approx(counted["interpretable"].mean())
        assert row["control_fraction"] == pytest.approx(beside["interpretable"].mean())
        assert row["excess"] == pytest.approx(row["fraction"] - row["control_fraction"])
        assert row["beyond"] == pytest.approx((counted["p_direction"] <= 0.05).mean())
        for value, low, high in (
            ("beyond", "beyond_low", "beyond_high"),
            ("control_fraction", "control_low", "control_high"),
        ):
            assert row[low] < row[value] < row[high]
