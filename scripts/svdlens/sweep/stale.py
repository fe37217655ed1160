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
from svdlens.runtime.checksums import all_records, read_record
from svdlens.sweep import paths
from svdlens.sweep.config_checks import check_configuration, load_schema
from svdlens.sweep.config_files import configuration
from svdlens.sweep.plan import Sweep

DATA_SETS = {
    "spectra": paths.SPECTRA,
    "tokens": paths.TOKENS,
    "controls": paths.CONTROLS,
    "labels": paths.LABELS,
}
"""The directories that a person opens as one data set, and the paths of their files."""
LIST = Path("results/tables/files.csv")
PROJECT = Path(__file__).parents[3]


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


def stale_beside(sweep: Sweep) -> list[str]:
    """The files below the working directory that are not of this `sweep`, sorted; none where results/tables is not of
    it, so that nobody is told to delete what the tables are of."""
    files = data_set_files(sweep)
    if not LIST.exists():
        return []
    return stale_files(path for _, path in files) if listed_files() == files else []


def listed_files() -> list[tuple[str, str]]:
    """Data set and path of every file of the sweep that results/tables is of, as results/tables/files.csv has them."""
    with LIST.open(encoding="utf-8", newline="") as file:
        return [(row["data_set"], row["path"]) for row in csv.DictReader(file)]


def stale_records() -> list[Path]:
    """The checksums below the working directory of which no file is there any more, sorted."""
    return [record for record in all_records() if not any(map(Path.exists, read_record(record)))]


def warning(stale: list[str]) -> str:
    """What to say about these files."""
    count, data_set = "1 file is" if len(stale) == 1 else f"{len(stale)} files are", Path(stale[0]).parents[2]
    return (
        f"{count} of other configurations than this sweep, such as {stale[0]}: who opens {data_set} as a whole "
        f"reads them, too. {LIST} has the files of this sweep; `make clean-stale SWEEP=FILE`, with the file that "
        "says which sweep it is, lists the others, and deletes them if you like."
    )


def main(arguments: list[str]) -> None:
    """List the files below the working directory that are not of the sweep of these configuration files (over
    config.yaml of the project); with `--delete`, delete them, the directories that are empty then, and the checksums of
    files that are gone."""
    delete, files = "--delete" in arguments, [argument for argument in arguments if argument != "--delete"]
    config = configuration(map(Path, files), PROJECT)
    check_configuration(config, load_schema(PROJECT / "rules/config.schema.yaml"))
    sweep = Sweep(config)
    stale = stale_files(path for _, path in data_set_files(sweep))
    for path in map(Path, stale):
        print(path)
        if delete:
            delete_file(path)
    if delete:
        for record in stale_records():
            delete_file(record)
    of = f"of other configurations than {' and '.join(files) or 'config.yaml'}"
    what = "deleted" if delete else "`make clean-stale DELETE=yes SWEEP=...` deletes them"
    print(f"{len(stale)} {'file' if len(stale) == 1 else 'files'} {of}" + (f"; {what}" if stale else ""))


def delete_file(path: Path) -> None:
    """And its directory and the one above that, where they are empty then."""
    path.unlink()
    for directory in (path.parent, path.parent.parent):
        if not any(directory.iterdir()):
            directory.rmdir()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (SvdlensError, OSError) as error:
        sys.exit(str(error))
