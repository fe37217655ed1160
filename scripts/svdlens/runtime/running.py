"""Runs of Snakemake in a directory, and what one that was killed has left behind: locks, jobs, unfinished files.

A run has a file in .snakemake/svdlens as long as it lives, with its machine, process and command. Where the process of
such a file is certainly gone, the run was killed, and the next one clears up after it, so that nobody has to type
`snakemake --unlock`. Who might be alive, on another machine or of another user, is left alone; Snakemake says then that
the directory is locked.
"""

import atexit
import json
import os
import shutil
import socket
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import psutil

from svdlens.artefacts.atomic_files import RUN, write_text
from svdlens.errors import SvdlensError

RUNS = Path(".snakemake/svdlens")
LOCKS = Path(".snakemake/locks")
METADATA = Path(".snakemake/metadata")
"""What Snakemake knows of each file: by which parameters and code it was made."""
INCOMPLETE = Path(".snakemake/incomplete")
"""A file of the same name there has Snakemake make that file anew."""
UNFINISHED = ".*.partial.*"
"""Files of `atomic_path`."""


def start_run(directory: Path) -> None:
    """Clear up after runs in this directory that were killed, and enter this process as one until it ends.

    Its jobs find their run in the environment variable RUN. Called before Snakemake looks at its locks.
    """
    os.environ.pop(RUN, None)
    file = directory.absolute() / RUNS / uuid.uuid4().hex
    # Who cannot write here cannot lock either, and Snakemake says so.
    with suppress(SvdlensError, OSError):
        enter(file)
        atexit.register(file.unlink, missing_ok=True)
        os.environ[RUN] = str(file)
        clear_up(directory, file)


def enter(file: Path) -> None:
    process = psutil.Process()
    write_text(file, json.dumps({"where": where(), "process": process.pid, "command": process.cmdline()}))


def confirm_run() -> None:
    """Enter this process once more, now that it has Snakemake's locks: without, another machine takes it for dead."""
    if file := os.environ.pop(RUN, None):
        with suppress(SvdlensError, OSError):
            enter(Path(file))
            os.environ[RUN] = file


def where() -> list[str | int]:
    """Machine, space of process numbers (containers may have one of their own) and user. Of processes elsewhere, and of
    other users, nobody here can tell whether they live."""
    space = Path("/proc/self/ns/pid")
    return [socket.gethostname(), space.stat().st_ino if space.exists() else 0, os.getuid()]


def clear_up(directory: Path, own: Path) -> None:
    """Remove what killed runs in this directory have left: jobs that still run, Snakemake's locks, unfinished files,
    damaged metadata.

    Nothing is touched where another run is alive or, with locks there, might be. `own` is the file of this run.
    """
    others = {file: read_object(file) for file in own.parent.iterdir() if file != own and not file.name.startswith(".")}
    killed = {file for file, run in others.items() if is_killed(run)}
    unknown = {file for file, run in others.items() if run.get("where") != where()}
    if others.keys() - killed - unknown:
        return
    # Locks of a run without a file are of somebody else; without locks, nobody elsewhere has begun to work.
    if any((directory / LOCKS).glob("*")) and (unknown or not killed):
        return
    kill_jobs({file.name for file in killed})
    shutil.rmtree(directory / LOCKS, ignore_errors=True)
    for file in [*(directory / "results").rglob(UNFINISHED), *others]:
        file.unlink(missing_ok=True)
    replace_damaged_metadata(directory)


def replace_damaged_metadata(directory: Path) -> None:
    """Have Snakemake make anew what it has no readable metadata of, as after a power failure.

    By itself it takes such a file for made, and would not notice a change of the configuration; or it breaks off.
    """
    readable = (path for path in (directory / METADATA).rglob("*") if path.is_file() and os.access(path, os.R_OK))
    damaged = [path for path in readable if not read_object(path)]
    for path in damaged:
        write_text(directory / INCOMPLETE / path.relative_to(directory / METADATA), '{"external_jobid": null}')
        path.unlink()
    if damaged:
        print(f"svdlens: damaged in {METADATA}: {len(damaged)}. What that is of is made anew.", file=sys.stderr)


def read_object(file: Path) -> dict[str, Any]:
    """The object in JSON that a file holds; {} if it has just gone, cannot be read or holds anything else."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_killed(run: dict[str, Any]) -> bool:
    """Whether the process of a run is certainly gone. Numbers are given again, so that its command has to be the same;
    when it was started tells less, because clocks are set."""
    if run.get("where") != where():
        return False
    if run["process"] == os.getpid():
        return True
    try:
        return bool(psutil.Process(run["process"]).cmdline() != run["command"])
    except psutil.NoSuchProcess:  # or a zombie
        return True
    except psutil.Error:
        return False


def kill_jobs(runs: set[str]) -> None:
    """End the processes on this machine that these runs have started. A new run would compute beside them."""
    jobs = []
    for process in psutil.process_iter() if runs else ():
        with suppress(psutil.Error, OSError):
            if Path(process.environ().get(RUN, "")).name in runs:
                process.kill()
                jobs.append(process)
    psutil.wait_procs(jobs, timeout=10)


def end_with_run() -> NoReturn:
    """End this job and those who wait for it on this machine: a Snakemake on a node of a cluster would take the job for
    failed, and delete its outputs, which may be there anew."""
    kill_jobs({Path(os.environ[RUN]).name})
    sys.exit(1)
