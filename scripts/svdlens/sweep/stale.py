"""Files of other configurations under results/: of models, settings, matrices, controls, labellers that are not swept.

Two sweeps in one directory share what they can, and results/tables is of the last; but the directories that open as one
data set have the files of both. results/tables/files.csv says which are of the sweep of the tables. Imports nothing
heavy: the Snakefile asks.
"""

import csv
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from svdlens.errors import SvdlensError
from svdlens.sweep import paths
from svdlens.sweep.plan import Sweep

DATA_SETS = {
    "spectra": paths.SPECTRA,
    "tokens": paths.TOKENS,
    "controls": paths.CONTROLS,
    "labels": paths.LABELS,
}
"""The directories that a person opens as one data set, and the paths of their files."""
LIST = Path("results/tables/files.csv")


def data_set_files(sweep: Sweep) -> list[tuple[str, str]]:
    """Data set and path of every file of the data sets that a sweep makes."""
    controls = [path for control in sweep.controls for path in sweep.over_places(one_control(control))]
    files = {
        "spectra": sweep.over_places(paths.SPECTRA),
        "tokens": sweep.over_places(paths.TOKENS),
        "controls": controls,
        "labels": sweep.over_labels(paths.LABELS),
    }
    return [(name, path) for name, found in files.items() for path in found]


def one_control(control: str) -> str:
    return paths.CONTROLS.replace("{control}", control)


def stale_files(present: Iterable[str], directory: Path = Path()) -> list[str]:
    """The files of data sets below `directory`/results that are not among the `present` paths, sorted.

    Only files whose paths are such as svdlens makes; whatever else a person keeps there is none of these.
    """
    known = set(present)
    found = []
    for name, pattern in DATA_SETS.items():
        ours = re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(pattern)))
        for path in (directory / "results" / name).glob("*/*/*.parquet"):
            relative = path.relative_to(directory).as_posix()
            if ours.fullmatch(relative) and not path.name.startswith(".") and relative not in known:
                found.append(relative)
    return sorted(found)


def stale_by_the_list() -> list[str]:
    """The files below the working directory that are not of the sweep of results/tables, sorted.

    Raises SvdlensError where no run has said yet which files are.
    """
    if not LIST.exists():
        raise SvdlensError(f"there is no {LIST}, which says what the last sweep made: run `all` or `tables` first.")
    with LIST.open(encoding="utf-8", newline="") as file:
        return stale_files(row["path"] for row in csv.DictReader(file))


def warning(stale: list[str]) -> str:
    """What to say about these files."""
    return (
        f"{len(stale)} files, such as {stale[0]}, are of other configurations than results/tables: who opens "
        f"{Path(stale[0]).parents[2]} as a whole reads them, too. {LIST} has the files of results/tables; "
        "`make clean-stale` lists the others, and deletes them if you like."
    )


def main(arguments: list[str]) -> None:
    """List the files of other configurations below the working directory; with `--delete`, delete them."""
    stale, delete = stale_by_the_list(), "--delete" in arguments
    for path in stale:
        print(path)
        if delete:
            Path(path).unlink()
    what = "deleted" if delete else "of other configurations; `make clean-stale DELETE=yes` deletes them"
    print(f"{len(stale)} files {what}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SvdlensError as error:
        sys.exit(str(error))
