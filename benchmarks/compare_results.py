"""Are two results directories the same? `python benchmarks/compare_results.py BEFORE AFTER`.

Compares every user-facing table (per setting and of the whole sweep) to the last bit and without metadata, and the csv
of every figure to a relative 1e-12. Ends with status 1 where a value differs or something is missing. BEFORE may be of
schema 3, whose names are translated (CHANGELOG.md); columns and files that only AFTER has are listed.
"""

import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = {"block": "cluster", "block_spread": "cluster_spread", "rule": "criterion", "shade_rule": "shading"}
"""Columns of schema 3 under their names in schema 4; of tables, and of the csv of figures."""
FIGURES = {"fraction_by_block": "fraction_by_layer", "blocks": "near_degenerate"}
"""Figures of schema 3 under their names in schema 4."""
ROUNDING = 1e-12
"""Of the numbers in the csv of figures: intervals of controls came from fractions before, and come from counts now."""
TABLES = ("spectra", "tokens", "labels", "fractions", "scores", "agreement")
VIEWS = ("spectra", "tokens", "controls", "labels")


def read(path: Path) -> dict[str, pa.Array]:
    """Columns of a file itself, texts as texts, under today's names."""
    table = pq.ParquetFile(path).read().combine_chunks()
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        column = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        columns[COLUMNS.get(name, name)] = column.combine_chunks()
    return columns


def same(before: pa.Array, after: pa.Array) -> bool:
    """Whether two columns have the same type and values, floats to the last bit."""
    if before.type != after.type or len(before) != len(after):
        return False
    if pa.types.is_list(before.type):
        lengths = [pc.list_value_length(column) for column in (before, after)]
        return lengths[0].equals(lengths[1]) and same(before.flatten(), after.flatten())
    if not pa.types.is_floating(before.type):
        return before.equals(after)
    if not before.is_null().equals(after.is_null()):
        return False
    bits = [column.drop_null().to_numpy(zero_copy_only=False) for column in (before, after)]
    return np.array_equal(bits[0].view(f"i{bits[0].itemsize}"), bits[1].view(f"i{bits[1].itemsize}"))


def differences(before: dict[str, pa.Array], after: dict[str, pa.Array]) -> list[str]:
    """Columns that are missing or not the same."""
    return [name for name in before if name not in after or not same(before[name], after[name])]


def control_labels(results: Path, path: Path, table: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The rows of AFTER's table of control labels that a file of control labels of schema 3 has."""
    model, setting = (part.partition("=")[2] for part in path.relative_to(results / "controls").parts[:2])
    matrix, control, labeller, _ = path.name.split(".")
    wanted = {"model": model, "setting": setting, "matrix": matrix, "control": control, "labeller": labeller}
    rows = np.ones(len(table["model"]), dtype=bool)
    for name, value in wanted.items():
        rows &= np.asarray(pc.equal(table[name], value))
    return {name: column.filter(pa.array(rows)) for name, column in table.items()}


def compared_tables(before: Path, after: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Name, differing columns and new columns of every table of BEFORE."""
    collected = None
    for path in sorted(path for view in VIEWS for path in (before / view).rglob("*.parquet")):
        name = str(path.relative_to(before))
        columns = read(path)
        if path.parts[-4] == "controls" and len(path.name.split(".")) == 4:
            collected = collected or read(after / "tables/control_labels.parquet")
            other = control_labels(before, path, collected)
        elif (after / name).exists():
            other = read(after / name)
        else:
            yield name, ["the file"], []
            continue
        yield name, differences(columns, other), [column for column in other if column not in columns]
    for table in TABLES:
        columns, other = (read(results / f"tables/{table}.parquet") for results in (before, after))
        new = [column for column in other if column not in columns]
        yield f"tables/{table}.parquet", differences(columns, other), new


def figure_name(path: Path) -> str:
    name = str(path)
    for old, new in FIGURES.items():
        if path.name.startswith(old):
            name = name.replace(old, new)
    return name


def compared_figures(before: Path, after: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Name, what differs, and new columns of the csv of every figure of BEFORE."""
    for path in sorted((before / "figures").rglob("*.csv")):
        name = figure_name(path.relative_to(before))
        if not (after / name).exists():
            yield name, ["the file"], []
            continue
        tables = []
        for file in (path, after / name):
            with file.open(encoding="utf-8", newline="") as handle:
                header, *rows = csv.reader(handle)
            header = [COLUMNS.get(column, column) for column in header]
            tables.append({column: [row[place] for row in rows] for place, column in enumerate(header)})
        old, new = tables
        yield name, [column for column in old if not same_text(old[column], new.get(column))], [*(set(new) - set(old))]


def same_text(before: list[str], after: list[str] | None) -> bool:
    """Whether two columns of a csv are the same; numbers may differ by a relative ROUNDING."""
    if after is None or len(before) != len(after):
        return False
    return all(old == new or nearly_equal(old, new) for old, new in zip(before, after, strict=True))


def nearly_equal(before: str, after: str) -> bool:
    try:
        return math.isclose(float(before), float(after), rel_tol=ROUNDING)
    except ValueError:
        return False


def main(before: Path, after: Path) -> int:
    n, different, new_columns = 0, 0, dict[str, set[str]]()
    for name, differing, new in [*compared_tables(before, after), *compared_figures(before, after)]:
        n += 1
        if differing:
            different += 1
            print(f"{name}: {', '.join(differing)} differ")
        if new:
            new_columns.setdefault(name.split("/")[0] + "/" + Path(name).stem.split(".")[0], set()).update(new)
    for name, columns in sorted(new_columns.items()):
        print(f"{name}: only after: {', '.join(sorted(columns))}")
    print(f"{n} files compared, {different} differ")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
