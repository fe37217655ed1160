"""Singular vectors beside other bases of the same subspaces: the table of docs/readouts.md, from the figure basis.

    make bases                                  the sweep of profiles/demo/bases.yaml, and then this
    python benchmarks/bases.py [--setting raw]  of another sweep

Prints, in per cent, the share of rows that is interpretable for singular vectors, other bases of the same subspaces,
varimax bases of random subspaces and random unit vectors; and with 95 % intervals by how much singular vectors exceed
rotated ones (paired by matrix) and random unit vectors, and varimax bases those of random subspaces.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.figures.basis import SOURCES, place_name  # noqa: E402
from svdlens.figures.controls import SINGULAR  # noqa: E402
from svdlens.report.pages import markdown_table  # noqa: E402
from svdlens.spec.controls import ROTATED, VARIMAX  # noqa: E402

DIFFERENCES = [
    ("singular over rotated", ROTATED, "excess"),
    ("singular over random", SINGULAR, "over_random"),
    ("varimax over random varimax", VARIMAX, "over_random"),
]
"""What is printed of whose row in the csv."""
ROW = ["model", "readout", "matrix", "side", "layers"]


def table_of(data: pd.DataFrame) -> pd.DataFrame:
    """A row for each model, matrix, side and choice of layers of the csv of the figure basis, as texts."""
    data = data[data["n"] > 0]
    sources = [source for source in SOURCES if source in set(data["source"])]
    rows = []
    for key, part in data.groupby(ROW, sort=False):
        model, readout, matrix, side, layers = (str(value) for value in key)
        by_source = part.set_index("source")
        row = {"model": model, "read-out": readout, "matrix": place_name(matrix, side), "layers": layers}
        row |= {source: f"{100 * by_source['fraction'].get(source, float('nan')):.1f}" for source in sources}
        for title, source, name in DIFFERENCES:
            if source in by_source.index:
                row[title] = difference(by_source.loc[source], name)
        rows.append(row)
    return pd.DataFrame(rows)


def difference(row: pd.Series, name: str) -> str:
    """A difference and its interval in per cent, such as +1.5 (0.7 to 2.3)."""
    value, low, high = 100 * row[[name, f"{name}_low", f"{name}_high"]].astype(float)
    return f"{value:+.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--figures", type=Path, default=Path("results/figures"), help="where the figures of the sweep are"
    )
    parser.add_argument("--setting", default="raw")
    arguments = parser.parse_args()
    print(markdown_table(table_of(pd.read_csv(arguments.figures / f"basis_{arguments.setting}.csv"))))


if __name__ == "__main__":
    main()
