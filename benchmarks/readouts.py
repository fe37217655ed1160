"""What each read-out of a sweep finds, as the table of docs/readouts.md:

    snakemake --cores all --configfile profiles/demo/readouts.yaml -- results/tables/{labels,control_labels}.parquet
    python benchmarks/readouts.py [--layers 20-29]

Prints, for every model, setting, matrix and side of results/tables, and each read-out: the fraction interpretable, that
of random unit directions through the same read-out, the excess over it, and the share of rows that are more coherent
than 95 % of these directions (p_direction <= .05), each in per cent with its 95 % interval (Wilson's, of the excess
Newcombe's).
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.evaluation.fractions import counted_rows, with_intervals  # noqa: E402
from svdlens.evaluation.intervals import wilson_interval  # noqa: E402
from svdlens.report.pages import markdown_table  # noqa: E402
from svdlens.spec.controls import RANDOM_UNIT  # noqa: E402

PLACE = ["model", "setting", "matrix"]
LABEL_COLUMNS = [
    *PLACE,
    "layer",
    "side",
    "readout",
    "kind",
    "labelled",
    "verified",
    "interpretable",
    "p_direction",
    "status",
]
BEYOND = 0.05


def table_of(labels: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """One row for each model, setting, matrix, side and read-out of the labels of one labeller, in their order."""
    rows = counted_rows(labels).assign(beyond=lambda rows: rows["p_direction"] <= BEYOND)
    beside = counted_rows(controls[controls["control"] == RANDOM_UNIT])
    table = rows.groupby([*PLACE, "side", "readout"], sort=False, observed=True).agg(
        n=("counts", "size"), k=("counts", "sum"), n_beyond=("beyond", "sum")
    )
    of_controls = beside.groupby([*PLACE, "readout"], sort=False, observed=True)["counts"].agg(
        control_n="size", control_k="sum"
    )
    table = with_intervals(table.reset_index().merge(of_controls.reset_index(), on=[*PLACE, "readout"], how="left"))
    table["control_low"], table["control_high"] = wilson_interval(table["control_k"], table["control_n"])
    table["beyond"] = table["n_beyond"] / table["n"]
    table["beyond_low"], table["beyond_high"] = wilson_interval(table["n_beyond"], table["n"])
    return table


def per_cent(table: pd.DataFrame, value: str, low: str, high: str) -> list[str]:
    """Values with their intervals, such as 42.7 (42.0-43.3)."""
    numbers = 100 * table[[value, low, high]]
    return [f"{one:.1f} ({start:.1f} to {end:.1f})" for one, start, end in numbers.itertuples(index=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=Path("results/tables"), help="where the tables of the sweep are")
    parser.add_argument("--labeller", default="coherence")
    parser.add_argument("--layers", default=None, help="first and last, such as 20-29; all if not given")
    arguments = parser.parse_args()
    wanted = [("labeller", "==", arguments.labeller)]
    labels = pd.read_parquet(arguments.tables / "labels.parquet", columns=LABEL_COLUMNS, filters=wanted)
    columns = [*LABEL_COLUMNS, "control"]
    controls = pd.read_parquet(arguments.tables / "control_labels.parquet", columns=columns, filters=wanted)
    if arguments.layers:
        first, last = map(int, arguments.layers.split("-"))
        labels = labels[labels["layer"].between(first, last)]
    table = table_of(labels, controls)
    shown = table[["model", "setting", "matrix", "side", "readout", "n"]].astype(str)
    shown["interpretable"] = per_cent(table, "fraction", "low", "high")
    shown["random"] = per_cent(table, "control_fraction", "control_low", "control_high")
    shown["excess"] = per_cent(table, "excess", "excess_low", "excess_high")
    shown["beyond 95 %"] = per_cent(table, "beyond", "beyond_low", "beyond_high")
    print(markdown_table(shown))


if __name__ == "__main__":
    main()
