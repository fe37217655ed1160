"""Singular vectors beside other bases of the same subspaces: the table of docs/readouts.md, from the figure basis.

    make bases                                  the sweep of profiles/demo/bases.yaml, and then this
    python benchmarks/bases.py [--setting raw]  of another sweep

Prints, in per cent, the share of rows that is interpretable for singular vectors, each other basis and random
directions, and by how much singular vectors exceed the others, with 95 % intervals (paired by matrix but for random
directions, which are of none).
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
        for source in sources:
            if source != SINGULAR and source in by_source.index:
                excess, low, high = 100 * by_source.loc[source, ["excess", "excess_low", "excess_high"]].astype(float)
                row[f"over {source}"] = f"{excess:+.1f} ({low:.1f} to {high:.1f})"
        rows.append(row)
    return pd.DataFrame(rows)


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
