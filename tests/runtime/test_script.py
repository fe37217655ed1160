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


def run_python(code: str, *arguments: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, cwd=directory)


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
    if smk.what == "memory":
        import numpy
        numpy.empty(2**55)
    if smk.what == "torch":
        import torch
        torch.empty(2**55)
    if smk.what in ("thread", "safetensors"):
        import numpy, psutil, resource, threading
        from safetensors.numpy import safe_open, save_file
        save_file({"a": numpy.zeros(2**26, "uint8")}, smk.log + ".weights")
        with safe_open(smk.log + ".weights", framework="numpy") as file:
            resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**20,) * 2)
            file.get_tensor("a") if smk.what == "safetensors" else threading.Thread(target=print).start()
    if smk.what == "lost":
        raise OSError(errno.ENOENT, "No such file or directory", "results/b.txt")

wildcards = {"model": "mine", "matrix": "ov"}
job = SimpleNamespace(log=sys.argv[1], what=sys.argv[2], input=[], output=[], rule="a_rule", wildcards=wildcards)
run(main, job)
"""


def test_what_the_user_can_put_right_is_one_message_here_and_in_the_log(tmp_path: Path) -> None:
    done = run_python(JOB, str(tmp_path / "job.log"), "mine")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == "svdlens: models.x: 'y' is wrong. Write z."
    log = (tmp_path / "job.log").read_text()
    assert "INFO library: a library said this" in log
    assert "a library warned of this" in log
    assert log.splitlines()[-1] == "svdlens: models.x: 'y' is wrong. Write z."
    assert "Traceback" not in log


def test_a_full_disk_met_by_any_writer_is_one_message_too(tmp_path: Path) -> None:
    done = run_python(JOB, str(tmp_path / "job.log"), "disk")
    assert done.returncode == 1
    assert done.stderr.strip().startswith("svdlens: cannot write results/a.txt: the disk is full.")
    assert (tmp_path / "job.log").read_text().splitlines()[-1] == done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_a_log_that_cannot_be_written_is_one_message_too(tmp_path: Path) -> None:
    (tmp_path / "job.log").mkdir()
    done = run_python(JOB, str(tmp_path / "job.log"), "nothing")
    assert done.returncode == 1
    said = f"svdlens: cannot write {tmp_path}/job.log: a directory is there. Move it away; then run again, "
    assert done.stderr.strip().startswith(said) and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("what", ["memory", "torch", "thread", "safetensors"])
def test_too_little_memory_is_one_message(what: str, tmp_path: Path) -> None:
    done = run_python(JOB, str(tmp_path / "job.log"), what)
    assert done.returncode == 1
    *before, said = done.stderr.rstrip().splitlines()
    assert said.startswith("svdlens: a_rule has not got the memory that it needs: ")
    assert "fewer jobs at a time" in said
    assert not any(before) or what == "safetensors"  # whose panic Rust itself reports


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


ARROW = """
import sys
from types import SimpleNamespace
from svdlens.runtime.script import run

def main(smk):
    import pyarrow as pa
    numbers = pa.array([1.0, float("nan")], pa.float64(), from_pandas=True)
    print(numbers.null_count, pa.array(numbers.to_numpy(zero_copy_only=False)).null_count, "pandas" in sys.modules)

run(main, SimpleNamespace(log="", input=[], output=[], rule="a_rule", wildcards={}), pandas=sys.argv[1] == "pandas")
"""


def test_a_job_without_pandas_makes_the_same_arrays_and_does_not_import_it() -> None:
    assert run_python(ARROW, "pandas").stdout == "1 0 True\n"
    assert run_python(ARROW, "none").stdout == "1 0 False\n"


IMPORTS = ARROW.replace(
    "import pyarrow as pa\n",
    "from transformers import AutoTokenizer, LlamaConfig, LlamaTokenizer\n    import pyarrow as pa\n",
)


@pytest.mark.slow
def test_libraries_that_look_for_pandas_find_none_and_go_on() -> None:
    """transformers asks whether there is one on its way to the tokenizer of a Llama."""
    assert run_python(IMPORTS, "none").stdout == "1 0 False\n"


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
run(main, SimpleNamespace(log=log, input=inputs, output=[], rule="a_rule", wildcards={"model": "mine", "matrix": "ov"}))
"""


def read_inputs(directory: Path, *inputs: str) -> subprocess.CompletedProcess[str]:
    return run_python(READER, "log", *inputs, directory=directory)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A table and arrays that a workflow in tmp_path has made, and a user's own; relative to tmp_path."""
    for directory in ("results/tables", "model"):
        (tmp_path / directory).mkdir(parents=True)
        pq.write_table(pa.table({"number": np.random.default_rng(0).random(5000)}), tmp_path / directory / "a.parquet")
        save_file({"array": np.zeros(5000, np.float32)}, tmp_path / directory / "a.safetensors")
    return [
        f"{directory}/a.{suffix}" for directory in ("results/tables", "model") for suffix in ("parquet", "safetensors")
    ]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("kept", [0, 10, 4000])
def test_a_damaged_input_is_named_with_the_way_out(number: int, kept: int, files: list[str], tmp_path: Path) -> None:
    """Only what the workflow has made is to be deleted."""
    damaged = tmp_path / files[number]
    damaged.write_bytes(damaged.read_bytes()[:kept])
    done = read_inputs(tmp_path, *files)
    assert done.returncode == 1
    assert f"svdlens: {files[number]} is cut short or damaged (" in done.stderr and "Traceback" not in done.stderr
    assert ("Delete it and run again" in done.stderr) == (number < 2)
    assert ("Put a sound copy in its place" in done.stderr) == (number >= 2)
    assert (tmp_path / "log").read_text().splitlines()[-1] == done.stderr.strip()


def test_bits_that_flipped_in_a_table_are_found(files: list[str], tmp_path: Path) -> None:
    content = bytearray((tmp_path / files[0]).read_bytes())
    content[4:200] = bytes(196)
    (tmp_path / files[0]).write_bytes(content)
    assert f"svdlens: {files[0]} is cut short or damaged (" in read_inputs(tmp_path, *files).stderr


def test_sound_inputs_are_read(files: list[str], tmp_path: Path) -> None:
    done = read_inputs(tmp_path, *files)
    assert (done.returncode, done.stderr) == (0, "")
