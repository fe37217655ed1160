"""`make compare A=DIR B=DIR`: whether two results directories, of two machines or two versions, say the same.

Ids and texts are the same, floats within a tolerance; rows of directions that the weights do not determine are set
apart, counted and not failed. Labels, fractions and what else rests on all lists of a matrix together are set apart
where such a list differs. With the tolerance 0 nothing is set apart, and every float is the same to the last bit.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from svdlens.comparison.files import added, compare_arrays, compare_bytes, compare_texts
from svdlens.comparison.tables import Compared, compare_tables, read_table
from svdlens.comparison.undetermined import (
    DIRECTION,
    PLACE,
    is_among,
    keys_of,
    place_of,
    rows_set_apart,
    undetermined_directions,
)
from svdlens.errors import SvdlensError

TOLERANCE = 1e-5
NOT_RESULTS = {"logs", "benchmarks", "checksums", "publish", "weights"}
"""What a run writes beside its results: times, and what is temporary."""
REPEATED = {"explorer", "report"}
"""What is drawn of the tables, whose names and texts have digits of floats in them. Compared with the tolerance 0."""
SHARED = {"tokens", "labels", "scores", "agreement"}
"""Under by_switches: what the data sets and tables of settings have as well."""
INPUTS = {"models", "published"}
FIRST = {"spectra", "svd", "stability", "varimax", "tokens", "controls"}
"""Data sets of single directions: a row of theirs rests on no other row."""
INDEPENDENT = FIRST | INPUTS | {"vocabulary"}
PICTURES = {".png", ".pdf", ".svg"}
TEXTS = {".csv", ".json", ".jsonl", ".md", ".html", ".js", ".css", ".txt", ".yaml", ".rst"}


def result_files(results: Path, exact: bool) -> dict[str, Path]:
    """Path below `results` and path of each file that is compared. Raises SvdlensError if it is no such directory."""
    if not results.is_dir():
        raise SvdlensError(f"{results} is no directory. Name two results directories: make compare A=DIR B=DIR")
    if not any((results / name).is_dir() for name in ("tables", "models", "spectra", "tokens")):
        inside = results / "results"
        hint = f"Did you mean {inside}?" if inside.is_dir() else "Name a results/ that a run has made."
        raise SvdlensError(f"{results} is no results directory: it has neither tables nor models. {hint}")
    left_out = NOT_RESULTS | (set() if exact else REPEATED)
    found = {}
    for path in sorted(results.rglob("*")):
        parts = path.relative_to(results).parts
        hidden = any(part.startswith(".") for part in parts)
        shared = parts[0] == "by_switches" and len(parts) > 1 and parts[1] in SHARED
        timed = parts[0] == "tables" and path.stem == "benchmarks"
        beside = len(parts) == 1 or path.suffix == ".attempt"
        pictured = path.suffix in PICTURES and not exact
        if path.is_file() and not (hidden or shared or timed or beside or pictured or parts[0] in left_out):
            found["/".join(parts)] = path
    return found


def data_set(name: str) -> str:
    parts = name.split("/")
    return name if parts[0] == "tables" else "/".join(parts[:2]) if parts[0] == "by_switches" else parts[0]


def spectra_of(files: dict[str, Path]) -> pd.DataFrame:
    """The spectra of all places, with what decides whether a direction is determined."""
    tables = []
    for name, path in files.items():
        if name == "tables/spectra.parquet" or (name.startswith("spectra/") and name.endswith(".parquet")):
            table = read_table(path)
            keys = keys_of(table, place_of(Path(name)))
            lacking = {*DIRECTION, "cluster", "sign_margin"} - {*keys.columns, *table.column_names}
            if lacking:
                raise SvdlensError(f"{path} is no table of spectra: it has no column {min(lacking)}. Make it again.")
            tables.append(keys.assign(**{key: table.column(key).to_pandas() for key in ("cluster", "sign_margin")}))
    if not tables:
        return pd.DataFrame(columns=[*DIRECTION, "cluster", "sign_margin"])
    # The table of the sweep repeats the rows of the places.
    return pd.concat(tables, ignore_index=True).drop_duplicates(DIRECTION)


class Comparison:
    """Two directories: what was found so far, by the name of each file, and which places differ in lists set apart."""

    def __init__(self, first: Path, second: Path, tolerance: float) -> None:
        self.tolerance = tolerance
        self.exact = tolerance == 0
        self.files = result_files(first, self.exact), result_files(second, self.exact)
        spectra = [spectra_of(files) for files in self.files]
        found = [undetermined_directions(table, max(tolerance, 1e-12)) for table in spectra]
        self.undetermined = pd.concat([table for table in found if len(table)] or found[:1]).drop_duplicates()
        self.unsettled = pd.DataFrame(columns=PLACE)

    def run(self) -> dict[str, Compared]:
        """Compare what both have; single directions first, because the rest follows from them."""
        both = sorted(self.files[0].keys() & self.files[1].keys())
        both.sort(key=lambda name: (data_set(name).removeprefix("tables/").split(".")[0] not in FIRST, name))
        return {name: self.compare(name) for name in both}

    def compare(self, name: str) -> Compared:
        paths = self.files[0][name], self.files[1][name]
        path, suffix = Path(name), Path(name).suffix
        if data_set(name) in INPUTS:
            return compare_bytes(path, paths) if suffix not in TEXTS else compare_texts(path, paths, 0.0)
        if suffix == ".parquet":
            return self.compare_tables(path, paths)
        if suffix == ".safetensors":
            try:
                found = compare_arrays(path, paths, self.tolerance, self.exact)
            except TypeError:  # numpy has no bfloat16
                found = compare_bytes(path, paths)
        elif suffix in TEXTS:
            found = compare_texts(path, paths, self.tolerance)
        else:
            found = compare_bytes(path, paths)
        if data_set(name) not in INDEPENDENT and len(self.unsettled) and found.differ:
            return Compared(found.rows, 0, found.rows, found.differ)
        return found

    def compare_tables(self, path: Path, paths: tuple[Path, Path]) -> Compared:
        tables = read_table(paths[0]), read_table(paths[1])
        keys = [keys_of(table, place_of(path)) for table in tables]
        of = path.stem if path.parts[0] == "tables" else path.parts[0]
        independent = of in INDEPENDENT and path.stem != "label_embeddings"
        apart = [np.zeros(len(table), dtype=bool) for table in tables]
        if not self.exact:
            apart = [rows_set_apart(each, self.undetermined) for each in keys]
            if not independent and len(self.unsettled):
                follow = [is_among(each, self.unsettled) if set(PLACE) <= set(each) else None for each in keys]
                apart = [mine | (True if its is None else its) for mine, its in zip(apart, follow, strict=True)]
        found, differing = compare_tables(path, tables, (apart[0], apart[1]), self.tolerance)
        if of in ("tokens", "controls") and differing.any():
            self.unsettled = pd.concat([self.unsettled, keys[0].loc[differing, PLACE]]).drop_duplicates()
        return found


def report(comparison: Comparison, found: dict[str, Compared]) -> tuple[list[str], bool]:
    """What to print, and whether the two directories say the same."""
    lines, same = [], True
    names = [set(files) for files in comparison.files]
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names[0] | names[1]):
        groups[data_set(name)].append(name)
    for group, members in groups.items():
        total, n_differ, messages = Compared(), 0, []
        for name in members:
            if name in found:
                total = added(total, found[name])
                n_differ += found[name].differ > 0
        for which, mine, others in (("A", *names), ("B", *reversed(names))):
            alone = [name for name in members if name in mine and name not in others]
            if alone:
                messages.append(
                    f"    only {which} has {alone[0]}" + (f" and {len(alone) - 1} more" if alone[1:] else "")
                )
        messages += [f"    {total.first}"] if total.first else []
        files = f"{len(members)} file{'s' * (len(members) > 1)}"
        verdict = "the same" if not messages else f"{n_differ} differ" if n_differ else "not the same files"
        rows = f", {total.differ} of {total.rows} rows differ" if total.differ else f", {total.rows} rows"
        apart = f"; {total.apart} set apart, {total.apart_differ} of these differ" if total.apart else ""
        lines += [f"{group}: {files}: {verdict}{rows}{apart}", *messages]
        same = same and not messages
    return lines, same


def main(arguments: list[str]) -> int:
    """Compare the directories A and B; the third argument is the tolerance. Returns 1 where they differ."""
    if len(arguments) not in (2, 3) or not all(arguments[:2]):
        raise SvdlensError("two results directories are compared, and two were not named: make compare A=DIR B=DIR")
    try:
        tolerance = float(arguments[2]) if arguments[2:] else TOLERANCE
    except ValueError:
        tolerance = float("nan")
    if not 0 <= tolerance < 1:
        raise SvdlensError(f"TOLERANCE={arguments[2]}: the tolerance of floats is a number from 0 to less than 1.")
    comparison = Comparison(Path(arguments[0]), Path(arguments[1]), tolerance)
    if not any(comparison.files):
        raise SvdlensError(f"neither {arguments[0]} nor {arguments[1]} has a result in it. Make a sweep in each first.")
    lines, same = report(comparison, comparison.run())
    print("\n".join(lines))
    print("The two say the same." if same else "The two differ.")
    return int(not same)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (SvdlensError, OSError) as error:
        sys.exit(str(error))
