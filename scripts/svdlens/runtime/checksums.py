"""Checksums of what jobs have made, and the check of it before another job reads it.

The output results/F of a job has its record in results/checksums/F.sha256, lines as sha256sum writes them, with paths
relative to results/: one line for a file, one for each file of a directory. So a record is found by the path of what it
is of, and is written anew with it.
"""

import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

from svdlens.artefacts.atomic_files import remove_file, sha256_of, write_text
from svdlens.errors import SvdlensError

RESULTS = Path("results")
RECORDS = RESULTS / "checksums"
FILLED_IN = RESULTS / "manual/sheet.csv"
"""An output that people fill in: it has no record."""


def record_of(path: Path) -> Path:
    """Where the checksums of results/... are."""
    return RECORDS / f"{path.relative_to(RESULTS)}.sha256"


def recorded_outputs(outputs: Iterable[str]) -> Iterator[Path]:
    """Those of a job's outputs that have a record: all under results/ of the working directory but FILLED_IN."""
    return (path for path in map(Path, outputs) if path.is_relative_to(RESULTS) and path != FILLED_IN)


def remove_records(outputs: Iterable[str]) -> None:
    """Before a job: whenever it is killed, no file is held against the record of the one before it.

    Raises SvdlensError if a directory has the place of a record.
    """
    for path in recorded_outputs(outputs):
        remove_file(record_of(path))


def write_records(outputs: Iterable[str]) -> None:
    """After a job that went well. Raises SvdlensError if a record cannot be written."""
    for path in recorded_outputs(outputs):
        lines = [sha256_line(sha256_of(file), file.relative_to(RESULTS).as_posix()) for file in files_of(path)]
        write_text(record_of(path), "".join(lines))


def files_of(path: Path) -> list[Path]:
    """A file, or the files of a directory, sorted; there Snakemake keeps one of its own, hidden."""
    found = path.rglob("[!.]*") if path.is_dir() else [path]
    return sorted(file for file in found if not file.is_dir())


def sha256_line(sha256: str, name: str) -> str:
    """A line of a record. Names with a backslash or a line break are written as sha256sum writes them."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    start = "" if escaped == name else "\\"
    return f"{start}{sha256}  {escaped}\n"


def read_record(record: Path) -> dict[Path, str]:
    """The sha256 of each file of a record, by its path. Raises SvdlensError if the record itself is damaged: if it
    cannot be read, is cut short, or is of something else than its own path says."""
    of, found = RESULTS / record.relative_to(RECORDS).with_suffix(""), {}
    if not record.is_file():  # to open a pipe would wait for ever
        raise SvdlensError(f"{record} is damaged: it is no file.")
    try:
        content = record.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SvdlensError(f"{record} is damaged: it cannot be read ({error.strerror}).") from error
    for line in content.removesuffix("\n").split("\n"):
        sha256, separator, name = line.removeprefix("\\").partition("  ")
        if not separator or len(sha256) != 64:
            raise SvdlensError(f"{record} is damaged: {line!r} is no line of sha256sum.")
        if line.startswith("\\"):
            name = name.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\0", "\\")
        path = RESULTS / name
        if not path.is_relative_to(of) or ".." in path.parts:
            raise SvdlensError(f"{record} is damaged: {line!r} is of another file than {of}.")
        found[path] = sha256
    return found


def difference(path: Path, expected: str, when: str = "was made with the sha256") -> str | None:
    """What is wrong with a file; None if it has the `expected` sha256, `when` says since when."""
    if not path.is_file():
        return "is no file" if path.exists() else "is gone"
    try:
        actual = sha256_of(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if actual == expected:
        return None
    return f"has {path.stat().st_size} bytes with the sha256 {actual}, and {when} {expected}"


def check_inputs(inputs: Iterable[str]) -> None:
    """Before a job: every input that has a record must be what was made.

    Raises SvdlensError that names each that is not, after they have been marked to be made anew.
    """
    found = [sentence for path in map(Path, inputs) if path.is_relative_to(RESULTS) for sentence in damage_of(path)]
    if found:
        raise SvdlensError(
            f"{' '.join(found)} Run again: this is made anew, and what follows from it. (Results are not for editing: "
            "a change by hand is lost then. What can be changed is in the configuration.)"
        )


def damage_of(path: Path) -> list[str]:
    """A sentence about each file of an input that is not what was made, or about its record, if nobody can tell; the
    input is marked to be made anew."""
    record = record_of(path)
    if not os.path.lexists(record):
        return []
    try:
        wrong = {file: said for file, sha256 in read_record(record).items() if (said := difference(file, sha256))}
        found = [f"{file} is damaged or edited: it {said}." for file, said in wrong.items()]
    except SvdlensError as error:
        found = [str(error)]
    if found:
        mark_to_be_made_anew(path)
    return found


def mark_to_be_made_anew(path: Path) -> None:
    """Leave word for the next run of Snakemake as it does itself of the outputs of a job that was killed.

    To delete the file would not do: of files that are gone Snakemake makes only those that it is asked for, or that a
    job needs which runs for another reason.
    """
    marks = Path(".snakemake/incomplete")
    if not marks.is_dir():  # no job of Snakemake
        return
    name = urlsafe_b64encode(str(path).encode()).decode()
    longest = os.pathconf(marks, "PC_NAME_MAX") - 1
    *directories, last = [name[start : start + longest] for start in range(0, len(name), longest)]
    mark = marks.joinpath(*(f"@{part}" for part in directories), last)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps({"external_jobid": None}), encoding="utf-8")


def all_records() -> list[Path]:
    """The records of everything, sorted."""
    return sorted(path for path in RECORDS.rglob("*.sha256") if not path.name.startswith("."))
