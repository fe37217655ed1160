"""Files that are whole or absent: everything is written under a temporary name and then renamed."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from svdlens.errors import SvdlensError

WRITE_FAILURES = {
    errno.ENOSPC: "the disk is full. Free some space, or put results/ on another disk",
    errno.EDQUOT: "your disk quota is used up. Free some space, or put results/ on another disk",
    errno.EFBIG: "the file is larger than this system lets you write. Raise the limit (ulimit -f)",
    errno.EROFS: "the file system is read-only. Mount it for writing, or put results/ elsewhere",
    errno.EACCES: "you may not write there. Change its permissions, or put results/ elsewhere",
    errno.EPERM: "you may not write there. Change its permissions, or put results/ elsewhere",
}
RUN = "SVDLENS_RUN"
"""Environment variable of a job: the file of the run that started it (runtime/running.py), gone when that is over."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    Raises SvdlensError when the disk is full, read-only or closed to the user, when a directory has the place, and in a
    job that has outlived its run; nothing half-written stays.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own for each writer, so that two jobs cannot write into one file. The suffix stays,
        # because writers of figures go by it. What a killed job leaves is known by the name (runtime/running.py).
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.partial.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner can read
        check_run()
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        reason = write_failure(error) or (obstacle(path) if isinstance(error, OSError) else None)
        if reason:
            raise SvdlensError(f"cannot write {path}: {reason}; then run again, what is finished is kept.") from error
        raise


def remove_file(path: Path) -> None:
    """Remove a file that may not be there. Raises SvdlensError where a directory has its place."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        if reason := obstacle(path):
            raise SvdlensError(f"cannot remove {path}: {reason}; then run again, what is finished is kept.") from error
        raise


def obstacle(path: Path) -> str | None:
    """What has the place of the file `path`, in plain words: a directory, or a file where a directory is to be."""
    if path.is_dir() and not path.is_symlink():
        return "a directory is there. Move it away"
    found = next((parent for parent in path.parents if os.path.lexists(parent) and not parent.is_dir()), None)
    return f"{found} is no directory. Move it away" if found else None


def check_run() -> None:
    """Raise SvdlensError in a job that has outlived its run of Snakemake, before it puts anything in its place: it may
    be of another configuration, and the results there of a new run."""
    if run_is_over():
        raise SvdlensError("the run that started this job was killed, and another has begun; nothing was written.")


def run_is_over() -> bool:
    """Whether this process is a job of a run that was killed and has been followed by another."""
    run = Path(os.environ.get(RUN, ""))
    # Where its directory is not there either, this machine does not see such files, and nothing is known.
    return RUN in os.environ and run.parent.is_dir() and not run.exists()


def write_failure(error: BaseException) -> str | None:
    """Why a write failed, in plain words, if `error` (of Python or of a writer written in Rust or C++) says so."""
    number = error.errno if isinstance(error, OSError) else None
    for code, reason in WRITE_FAILURES.items():
        # safetensors and Arrow pass the system's message on without its number.
        if number == code or (number is None and os.strerror(code) in str(error)):
            return reason
    return None


def write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def copy_file(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def sha256_of(path: Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
