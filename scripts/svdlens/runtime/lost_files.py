"""Files of a fetched directory that are gone when a job needs them: fetched again, with the bytes that they had.

Snakemake knows such a directory by its provenance.json alone, which is written last and names the others.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.errors import SvdlensError
from svdlens.runtime.script import USER_IS_OFFLINE

log = logging.getLogger(__name__)

SCRIPTS = Path(__file__).parents[2]
FETCH = """
import importlib, json, sys
from types import SimpleNamespace as Space
from svdlens.runtime.script import run

script, name, source, provenance, log = json.loads(sys.argv[1])
names, files = Space(model=name), Space(provenance=provenance)
job = Space(rule=script, wildcards=names, params=Space(source=source), input=[], output=files, log=log)
run(importlib.import_module(script).main, job, network=True, checksums=False)
"""


def restore_lost_files(directory: Path, script: str, source: Mapping[str, Any]) -> None:
    """Fetch again what `directory` has lost of the files that its provenance.json names, or what was cut short there.

    `script` is that of the rule that fetched it, "fetch_model" or "fetch_published", `source` the parameter of that
    rule. It fetches into a directory beside this one, from where files with the sha256 that provenance.json states are
    moved to where they were. provenance.json stays as it is, so that nothing that was made of the files is made anew.

    Raises SvdlensError if that cannot be done here, or the source has other files now, and takes provenance.json away:
    the next run fetches everything anew.
    """
    if not lost_files(directory):
        return
    lock = directory.parent / f".{directory.name}.lock"
    with FileLock(lock):
        try:
            if lost := lost_files(directory):  # unless another job has fetched them while this one waited
                restore(directory, lost, directory.parent / f".{directory.name}.restored", script, source)
        finally:
            lock.unlink()  # who waits for it makes a new one


def lost_files(directory: Path) -> list[str]:
    """The names of files that are not there as provenance.json says, or not with that content."""
    paths = {directory / name: recorded["sha256"] for name, recorded in read_files(directory).items()}
    return [path.name for path, sha256 in paths.items() if not path.is_file() or sha256_of(path) != sha256]


def read_files(directory: Path) -> dict[str, Any]:
    """{name: {"sha256", "size"}} of provenance.json. Raises SvdlensError if that is gone itself."""
    provenance = directory / "provenance.json"
    if not provenance.exists():
        raise SvdlensError(f"{provenance} is gone. Run again: everything in {directory} is fetched anew.")
    files: dict[str, Any] = json.loads(provenance.read_text(encoding="utf-8"))["files"]
    return files


def restore(directory: Path, lost: Sequence[str], staging: Path, script: str, source: Mapping[str, Any]) -> None:
    """Fetch into `staging`, which is made and removed, and move the `lost` files into `directory`."""
    said = f"{', '.join(lost)} of {directory} {'is' if len(lost) == 1 else 'are'} gone or damaged"
    print(f"\nsvdlens: {said}, and fetched again.\n", file=sys.stderr)
    log.warning("%s, and fetched again.", said)
    shutil.rmtree(staging, ignore_errors=True)  # of a job that was killed
    fetched, arrived = staging / directory.name, staging / ".partial" / directory.name
    # A download goes on with what has arrived: with the files that are still here, if they have the right checksum.
    arrived.mkdir(parents=True)
    for name in read_files(directory).keys() - set(lost):
        (arrived / name).symlink_to((directory / name).absolute())
    try:
        fetch(script, directory.name, source, fetched / "provenance.json", staging / "log")
        check_same(read_files(directory), read_files(fetched), lost)
        for name in lost:
            (fetched / name).replace(directory / name)
    except SvdlensError as error:
        (directory / "provenance.json").unlink()
        raise SvdlensError(
            f"{said}, and this job could not fetch that again: {error} Run again: everything in {directory} is fetched "
            f"anew, where snakemake runs."
        ) from error
    finally:
        shutil.rmtree(staging)


def fetch(script: str, name: str, source: Mapping[str, Any], provenance: Path, log_file: Path) -> None:
    """Run the script of a rule that fetches, in a process of its own: this one has closed the network for itself.

    Raises SvdlensError with what it says if it fails.
    """
    environment = dict(os.environ)
    if not USER_IS_OFFLINE:
        environment.pop("HF_HUB_OFFLINE", None)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SCRIPTS), environment.get("PYTHONPATH")]))
    job = json.dumps([script, name, source, str(provenance), str(log_file)])
    done = subprocess.run(
        [sys.executable, "-P", "-c", FETCH, job],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    log.info("%s:\n%s%s", script, done.stdout, done.stderr)
    if done.returncode:
        raise SvdlensError(done.stderr.strip().splitlines()[-1].removeprefix("svdlens: "))


def check_same(recorded: Mapping[str, Any], fetched: Mapping[str, Any], lost: Sequence[str]) -> None:
    """Raises SvdlensError if a lost file has come back as another."""
    for name in lost:
        actual = fetched[name]["sha256"] if name in fetched else None
        if actual != recorded[name]["sha256"]:
            raise SvdlensError(
                f"{name} had the sha256 {recorded[name]['sha256']}, and its source now has "
                f"{f'one with {actual}' if actual else 'no such file'}."
            )
