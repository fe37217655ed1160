"""What a job says when it stops: of damaged inputs the file and the way out, of all else which job it was."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


JOB = """
import errno, sys
from types import SimpleNamespace
from svdlens.errors import SvdlensError
from svdlens.runtime.script import run

def main(smk):
    import logging, warnings
    logging.getLogger("library").info("a library said this")
    warnings.warn("a library warned of this")
    if smk.what == "mine":
        raise SvdlensError("models.x: 'y' is wrong. Write z.")
    if smk.what == "defect":
        raise ValueError("a defect")
    if smk.what == "disk":
        raise OSError(errno.ENOSPC, "No space left on device", "results/a.txt")
    if smk.what == "lost":
        raise OSError(errno.ENOENT, "No such file or directory", "results/b.txt")

wildcards = {"model": "mine", "matrix": "ov"}
job = SimpleNamespace(log=sys.argv[1], what=sys.argv[2], input=[], rule="a_rule", wildcards=wildcards)
run(main, job)
"""


def test_what_the_user_can_put_right_is_one_message_and_the_log_has_the_traceback(tmp_path: Path) -> None:
    done = run_python(JOB, str(tmp_path / "job.log"), "mine")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == "svdlens: models.x: 'y' is wrong. Write z."
    log = (tmp_path / "job.log").read_text()
    assert "INFO library: a library said this" in log
    assert "a library warned of this" in log
    assert "Traceback (most recent call last)" in log
    assert log.rstrip().endswith("svdlens.errors.SvdlensError: models.x: 'y' is wrong. Write z.")


def test_a_full_disk_met_by_any_writer_is_one_message_too(tmp_path: Path) -> None:
    done = run_python(JOB, str(tmp_path / "job.log"), "disk")
    assert done.returncode == 1
    assert done.stderr.strip().startswith("svdlens: cannot write results/a.txt: the disk is full.")
    assert "Traceback" not in done.stderr
    assert "Traceback" in (tmp_path / "job.log").read_text()


@pytest.mark.parametrize(("what", "last"), [("defect", "ValueError: a defect"), ("lost", "FileNotFoundError: ")])
def test_a_defect_keeps_its_traceback_and_says_which_job_it_stopped(what: str, last: str, tmp_path: Path) -> None:
    done = run_python(JOB, str(tmp_path / "job.log"), what)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert last in done.stderr.rstrip().splitlines()[-1]
    assert "svdlens: a_rule (model=mine, matrix=ov) stopped unexpectedly: " in done.stderr


def test_a_job_without_a_log_still_says_what_is_wrong() -> None:
    done = run_python(JOB, "", "mine")
    assert done.returncode == 1
    assert done.stderr.strip() == "svdlens: models.x: 'y' is wrong. Write z."


def test_a_job_that_succeeds_is_silent(tmp_path: Path) -> None:
    done = run_python(JOB, str(tmp_path / "job.log"), "nothing")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "a library said this" in (tmp_path / "job.log").read_text()


# --- inputs that are damaged

READER = """
import sys
from types import SimpleNamespace
from svdlens.runtime.script import run
import pyarrow.parquet as pq
from safetensors.numpy import load_file

def main(smk):
    for path in smk.input:
        load_file(path) if path.endswith("safetensors") else pq.ParquetFile(path).read()

log, *inputs = sys.argv[1:]
run(main, SimpleNamespace(log=log, input=inputs, rule="a_rule", wildcards={"model": "mine", "matrix": "ov"}))
"""


def read_inputs(directory: Path, *inputs: Path) -> subprocess.CompletedProcess[str]:
    return run_python(READER, str(directory / "log"), *map(str, inputs))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    pq.write_table(pa.table({"number": np.random.default_rng(0).random(5000)}), tmp_path / "table.parquet")
    save_file({"array": np.zeros(5000, np.float32)}, tmp_path / "arrays.safetensors")
    return [tmp_path / "table.parquet", tmp_path / "arrays.safetensors"]


@pytest.mark.parametrize("name", ["table.parquet", "arrays.safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 4000])
def test_a_damaged_input_is_named_with_the_way_out(name: str, kept: int, files: list[Path], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    done = read_inputs(tmp_path, *files)
    assert done.returncode == 1
    assert f"svdlens: {tmp_path / name} is cut short or damaged (" in done.stderr
    assert "Delete it and run again" in done.stderr and "Traceback" not in done.stderr
    assert "Traceback" in (tmp_path / "log").read_text()


def test_bits_that_flipped_in_a_table_are_found(files: list[Path], tmp_path: Path) -> None:
    content = bytearray(files[0].read_bytes())
    content[4:200] = bytes(196)
    files[0].write_bytes(content)
    assert f"svdlens: {files[0]} is cut short or damaged (" in read_inputs(tmp_path, *files).stderr
