"""What a killed run has left is cleared by the next; what might belong to one that is alive is not."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from svdlens.artefacts.atomic_files import RUN, atomic_path, write_text
from svdlens.errors import SvdlensError
from svdlens.runtime.running import INCOMPLETE, METADATA, RUNS, clear_up, where

SCRIPTS = Path(__file__).parents[2] / "scripts"
START = "import sys, time; from pathlib import Path; from svdlens.runtime.running import *; start_run(Path());"
WAIT = "print('started', flush=True); time.sleep(600)"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with Snakemake's locks, a whole file and an unfinished one."""
    monkeypatch.delenv(RUN, raising=False)
    for name in (".snakemake/locks/0.input.lock", "results/a/.x.partial.k2j3h4.parquet", "results/a/x.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that do not outlive the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(place: Path, code: str, started: list[subprocess.Popen[str]], **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)} | variables
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=place, env=environment, stdout=subprocess.PIPE, text=True
    )
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def write_run(place: Path, **changes: Any) -> None:
    """The file of a run that was killed, but for the `changes`."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    run = {"where": where(), "process": gone.pid, "command": ["true"]} | changes
    write_text(place / RUNS / uuid.uuid4().hex, json.dumps(run))


def cleared(place: Path) -> bool:
    """Whether the next run clears everything up; False if it leaves everything."""
    own = place / RUNS / "own"
    write_text(own, "{}")
    clear_up(place, own)
    assert (place / "results/a/x.parquet").exists()
    left = [(place / name).exists() for name in (".snakemake/locks", "results/a/.x.partial.k2j3h4.parquet")]
    assert len(set(left)) == 1
    assert own.exists()
    assert left[0] or list((place / RUNS).iterdir()) == [own]
    return not left[0]


def test_after_a_killed_run_everything_is_cleared_up(place: Path, started: list[subprocess.Popen[str]]) -> None:
    kill(start(place, START + WAIT, started))
    assert cleared(place)


def test_a_run_that_is_alive_keeps_everything(place: Path, started: list[subprocess.Popen[str]]) -> None:
    write_run(place)
    alive = start(place, START + "(Path('.snakemake/locks')).mkdir();" + WAIT, started)
    (place / ".snakemake/locks/0.input.lock").touch()
    (place / "results/a/.x.partial.k2j3h4.parquet").touch()
    assert not cleared(place)
    kill(alive)
    assert cleared(place)


@pytest.mark.parametrize("how", ["pass", "sys.exit(1)", "raise KeyboardInterrupt", "1 / 0"])
def test_a_run_that_ends_by_itself_leaves_no_file(how: str, place: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", START + how],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        stderr=subprocess.DEVNULL,
    )
    assert not list((place / RUNS).iterdir())
    assert (place / ".snakemake/locks").exists()  # these locks are nobody's that it knows


def test_a_number_that_another_process_has_now_is_no_run(place: Path) -> None:
    write_run(place, process=os.getppid(), command=["a", "command", "of", "before"])
    write_run(place, process=os.getpid(), command=psutil.Process().cmdline())  # in a container, often the same number
    assert cleared(place)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_on_another_machine_in_another_container_of_another_user_a_run_might_be_alive(part: int, place: Path) -> None:
    elsewhere = where()
    elsewhere[part] = "other" if part == 0 else 1
    write_run(place)
    write_run(place, where=elsewhere)
    assert not cleared(place)
    # `snakemake --unlock` says that it is not.
    (place / ".snakemake/locks/0.input.lock").unlink()
    assert cleared(place)


def test_locks_of_a_run_that_nobody_knows_stay(place: Path) -> None:
    assert not cleared(place)


def test_a_file_of_a_run_that_says_nothing_is_no_proof(place: Path) -> None:
    write_text(place / RUNS / "empty", "")  # after a power failure
    write_text(place / RUNS / "null", "null")
    assert not cleared(place)


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b'{"rule": "collect_', b"\xb0\x90", b"null", b"[1]", b"{}"])
def test_damaged_metadata_of_snakemake_count_as_an_unfinished_job(
    content: bytes, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(place)
    sound, damaged, long = (place / METADATA / name for name in ("a", "b", "@c/d"))
    for path in (sound, damaged, long):
        write_text(path, '{"rule": "collect_tokens"}')
    for path in (damaged, long):
        path.write_bytes(content)
    assert cleared(place)
    assert [path for path in (sound, damaged, long) if path.exists()] == [sound]
    marked = {path.relative_to(place / INCOMPLETE) for path in (place / INCOMPLETE).rglob("*") if path.is_file()}
    assert marked == {Path("b"), Path("@c/d")}
    assert "damaged in .snakemake/metadata: 2." in capsys.readouterr().err


def test_metadata_are_left_alone_while_another_run_writes_them(place: Path) -> None:
    write_run(place, process=os.getppid(), command=psutil.Process(os.getppid()).cmdline())
    write_text(place / METADATA / "a", "")
    assert not cleared(place)
    assert (place / METADATA / "a").exists()


def test_a_directory_that_nobody_may_write_to_is_left_to_snakemake(place: Path) -> None:
    (place / RUNS).write_text("a file")
    code = START + "import os; print(RUN in os.environ)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


# --- jobs that outlive their run


def run_file(place: Path) -> Path:
    [file] = [file for file in (place / RUNS).iterdir() if file.name != "own"]
    return file


def test_jobs_of_a_killed_run_end_before_the_next_begins(place: Path, started: list[subprocess.Popen[str]]) -> None:
    run = start(place, START + WAIT, started)
    job = start(place, "import time;" + WAIT, started, **{RUN: str(run_file(place))})
    other = start(place, "import time;" + WAIT, started, **{RUN: str(run_file(place).with_name("other"))})
    kill(run)
    assert cleared(place)
    assert job.poll() is not None
    assert other.poll() is None


def test_a_job_that_outlives_its_run_puts_nothing_in_its_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(place)
    run, target = run_file(place), place / "results/a/x.parquet"
    monkeypatch.setenv(RUN, str(run))
    write_text(target, "of the run")
    run.unlink()
    with pytest.raises(SvdlensError, match="run that started this job was killed"):
        write_text(target, "too late")
    with pytest.raises(SvdlensError), atomic_path(place / "results/b") as temporary:
        temporary.write_text("too late")
    assert target.read_text() == "of the run"
    assert not list(place.glob("results/**/.*.partial.[!k]*"))
    assert not (place / "results/b").exists()
    # A machine that does not see such files knows nothing of any run.
    monkeypatch.setenv(RUN, str(place / "not/there"))
    write_text(target, "of the job")
    assert target.read_text() == "of the job"


def test_such_a_job_ends_with_the_snakemake_that_waits_for_it(
    place: Path, started: list[subprocess.Popen[str]]
) -> None:
    """Of a job on a node of a cluster: Snakemake there deletes the outputs of a job that fails."""
    (place / RUNS).mkdir(parents=True)
    job = (
        "from svdlens.artefacts.atomic_files import *; from svdlens.runtime import script; from types import *;"
        "from pathlib import Path; import time; print('started', flush=True);"
        "[time.sleep(0.05) for _ in range(200) if not Path('go').exists()];"
        "job = SimpleNamespace(log='job.log', input=[], output=[]);"
        "script.run(lambda smk: write_text(Path('results/late'), ''), job, pandas=False)"
    )
    run = place / RUNS / "a"
    run.touch()
    waiting = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {job!r}]); open('deletes', 'w')"
    snakemake = start(place, waiting, started, **{RUN: str(run)})
    run.unlink()
    (place / "go").touch()
    assert snakemake.wait(30) == -signal.SIGKILL
    time.sleep(0.2)
    assert not (place / "results/late").exists()
    assert not (place / "deletes").exists()
