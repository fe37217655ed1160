"""Checksums of what jobs have made, and the check of it before another job reads it.

The output results/F of a job has its record in results/checksums/F.sha256, lines as sha256sum writes them, with paths
relative to results/: one line for a file, one for each file of a directory. So a record is found by the path of what it
is of, and is written anew with it.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from svdlens.artefacts.atomic_files import sha256_of, write_text
from svdlens.errors import SvdlensError

RESULTS = Path("results")
RECORDS = RESULTS / "checksums"
DAMAGED = RESULTS / "damaged"
FILLED_IN = RESULTS / "manual/sheet.csv"
"""An output that people fill in: it has no record."""


def record_of(path: Path) -> Path:
    """Where the checksums of results/... are."""
    return RECORDS / f"{path.relative_to(RESULTS)}.sha256"


def recorded_outputs(outputs: Iterable[str]) -> Iterator[Path]:
    """Those of a job's outputs that have a record: all under results/ of the working directory but FILLED_IN."""
    return (path for path in map(Path, outputs) if path.is_relative_to(RESULTS) and path != FILLED_IN)


def remove_records(outputs: Iterable[str]) -> None:
    """Before a job: whenever it is killed, no file is held against the record of the one before it."""
    for path in recorded_outputs(outputs):
        record_of(path).unlink(missing_ok=True)


def write_records(outputs: Iterable[str]) -> None:
    """After a job that went well. Raises SvdlensError if a record cannot be written."""
    for path in recorded_outputs(outputs):
        lines = [sha256_line(sha256_of(file), file.relative_to(RESULTS).as_posix()) for file in files_of(path)]
        write_text(record_of(path), "".join(lines))


def files_of(path: Path) -> list[Path]:
    """A file, or the files of a directory, sorted."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def sha256_line(sha256: str, name: str) -> str:
    """A line of a record. Names with a backslash or a line break are written as sha256sum writes them."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    start = "" if escaped == name else "\\"
    return f"{start}{sha256}  {escaped}\n"


def read_record(record: Path) -> dict[Path, str]:
    """The sha256 of each file of a record, by its path. Raises SvdlensError if the record itself is damaged."""
    found = {}
    for line in record.read_text(encoding="utf-8", errors="replace").removesuffix("\n").split("\n"):
        sha256, separator, name = line.removeprefix("\\").partition("  ")
        if not separator or len(sha256) != 64:
            raise SvdlensError(f"{record} is damaged: {line!r} is no line of sha256sum. Delete it and what it is of.")
        if line.startswith("\\"):
            name = name.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\0", "\\")
        found[RESULTS / name] = sha256
    return found


def difference(path: Path, expected: str) -> str | None:
    """What is wrong with a file; None if it has this sha256. Raises OSError if it cannot be read."""
    if not path.is_file():
        return "is gone"
    actual = sha256_of(path)
    if actual == expected:
        return None
    return f"has {path.stat().st_size} bytes with the sha256 {actual}, and was made with the sha256 {expected}"


def check_inputs(inputs: Iterable[str]) -> None:
    """Before a job: every input that has a record must be what was made.

    One that is not is moved to results/damaged, so that the next run makes it anew. Raises SvdlensError that says so.
    """
    found = [sentence for path in map(Path, inputs) if path.is_relative_to(RESULTS) for sentence in damage_of(path)]
    if found:
        raise SvdlensError(
            f"{' '.join(found)} What has been made is not for editing: the configuration is. Run again: just this, and "
            "what follows from it, is made anew."
        )


def damage_of(path: Path) -> Iterator[str]:
    """A sentence about an input that is not what was made, after it has been moved away."""
    record, aside = record_of(path), DAMAGED / path.relative_to(RESULTS)
    if not record.exists():
        return
    wrong = [(file, said) for file, sha256 in read_record(record).items() if (said := difference(file, sha256))]
    for file, said in wrong:
        yield f"{file} is damaged or edited: it {said}."
    if wrong and path.exists():  # else another job has moved it
        remove(aside)
        aside.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, aside)
        yield f"It is now {aside}."


def remove(path: Path) -> None:
    """A file or a directory that may be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def all_records() -> list[Path]:
    """The records of everything, sorted."""
    return sorted(path for path in RECORDS.rglob("*.sha256") if not path.name.startswith("."))
