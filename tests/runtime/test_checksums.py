"""Checksums of what jobs have made: as coreutils wants them, kept by each job, and checked by the next one."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from svdlens.errors import SvdlensError
from svdlens.runtime.checksums import check_inputs, remove_records, write_records

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the jobs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str = "text") -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return path


def sha256sum() -> subprocess.CompletedProcess[str]:
    """What coreutils say of results/, as the documentation has it."""
    command = "find checksums -name '*.sha256' -exec cat {} + | sha256sum --check --strict --quiet"
    return subprocess.run(command, shell=True, cwd="results", capture_output=True, text=True)


NAMES = ["plain.txt", "with space.txt", "back\\slash.txt", "two\nlines.txt", "re\rturn.txt", "ümlaut*.txt", "\\n.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_coreutils_check_the_records(name: str) -> None:
    path = write(f"results/tables/{name}")
    write_records([path])
    assert (done := sha256sum()).returncode == 0, done.stderr
    check_inputs([path])
    write(path, "other")
    assert sha256sum().returncode == 1
    with pytest.raises(SvdlensError, match="is damaged or edited"):
        check_inputs([path])


def test_a_directory_has_one_record_with_all_its_files() -> None:
    for name in ("a.js", "deeper/b.js"):
        write(f"results/explorer/data/{name}", name)
    write_records(["results/explorer/data"])
    assert [path.name for path in Path("results/checksums").rglob("*.sha256")] == ["data.sha256"]
    assert sha256sum().returncode == 0
    check_inputs(["results/explorer/data"])
    Path("results/explorer/data/deeper/b.js").unlink()
    with pytest.raises(SvdlensError, match=r"results/explorer/data/deeper/b\.js is damaged or edited: it is gone"):
        check_inputs(["results/explorer/data"])


def test_no_record_of_what_is_elsewhere_or_for_people_to_fill_in(here: Path) -> None:
    outputs = [write(path) for path in ("elsewhere/a.txt", "results/manual/sheet.csv", str(here / "results/b.txt"))]
    write_records(outputs)
    assert not Path("results/checksums").exists()
    write(outputs[1], "filled in")
    check_inputs(outputs)


def table(path: Path) -> None:
    pq.write_table(pa.table({"number": np.random.default_rng(0).random(5000)}), path, compression="none")


def arrays(path: Path) -> None:
    save_file({"array": np.arange(5000, dtype=np.float32)}, path)


def text(path: Path) -> None:
    path.write_text(json.dumps({"numbers": [1.0] * 1000}))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("make", [table, arrays, text])
@pytest.mark.parametrize("damage", [cut_short, emptied, one_bit])
def test_a_damaged_input_is_named(make: Callable[[Path], None], damage: Callable[[Path], None]) -> None:
    good, bad = Path("results/svd/good"), Path("results/svd/bad")
    good.parent.mkdir(parents=True)
    for path in (good, bad):
        make(path)
    inputs = [str(good), str(bad)]
    write_records(inputs)
    check_inputs(inputs)
    sound = bad.read_bytes()
    damage(bad)
    damaged = bad.read_bytes()
    with pytest.raises(SvdlensError) as error:
        check_inputs(inputs)
    said = str(error.value)
    assert said.startswith(f"results/svd/bad is damaged or edited: it has {len(damaged)} bytes with the sha256 ")
    assert all(hashlib.sha256(content).hexdigest() in said for content in (damaged, sound))
    assert "Run again" in said and "good" not in said
    bad.write_bytes(sound)
    check_inputs(inputs)
    assert sha256sum().returncode == 0


JOBS = """
import sys
from pathlib import Path
from types import SimpleNamespace
from svdlens.runtime.script import run

def main(smk):
    Path(smk.output[0]).write_text(Path(smk.input[0]).read_text() + smk.rule)
    if smk.rule == "fails":
        raise ValueError

source, made, rule = sys.argv[1:]
run(main, SimpleNamespace(log=f"{rule}.log", input=[source], output=[made], rule=rule, wildcards={}))
"""


def test_jobs_keep_and_check_them() -> None:
    def job(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
        command = [sys.executable, "-c", JOBS, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    first, second, source = "results/svd/first", "results/svd/second", write("source")
    write(first), write(second)
    for arguments in ((source, first, "one"), (first, second, "two")):
        assert (done := job(*arguments)).returncode == 0, done.stderr
    records = [path.as_posix() for path in sorted(Path("results/checksums").rglob("*.sha256"))]
    assert records == ["results/checksums/svd/first.sha256", "results/checksums/svd/second.sha256"]
    assert sha256sum().returncode == 0

    write(first, "texttwo")  # as long as it was
    done = job(first, second, "two")
    assert done.returncode == 1
    assert done.stderr.startswith(f"\nsvdlens: {first} is damaged or edited") and "Traceback" not in done.stderr
    assert Path("two.log").read_text().endswith(f"\n{done.stderr.strip()}\n")
    assert Path(second).read_text() == "textonetwo"

    # What a job that fails, or is killed, leaves is not held against the record of what was there before.
    assert job(source, second, "fails").returncode == 1
    assert [path.as_posix() for path in Path("results/checksums").rglob("*.sha256")] == records[:1]


@pytest.mark.parametrize(
    "content",
    [
        *("", "no record at all", "0123  tables/a.txt\n", "a" * 64 + " tables/a.txt\n"),
        # Cut short, and that of another file.
        *("a" * 64 + "  tables/a.t", "a" * 64 + "  tables/b.txt\n", "a" * 64 + "  tables/a.txt/../b.txt\n"),
    ],
)
def test_a_damaged_record_is_named_and_what_it_is_of_made_anew(content: str) -> None:
    path = write("results/tables/a.txt")
    marks = Path(".snakemake/incomplete")
    marks.mkdir(parents=True)
    write_records([path])
    Path("results/checksums/tables/a.txt.sha256").write_text(content)
    with pytest.raises(SvdlensError, match=r"results/checksums/tables/a\.txt\.sha256 is damaged"):
        check_inputs([path])
    assert len(list(marks.iterdir())) == 1


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_no_record(make: Callable[[Path], None]) -> None:
    """A pipe would have the job wait for ever."""
    path, record = write("results/tables/a.txt"), Path("results/checksums/tables/a.txt.sha256")
    record.parent.mkdir(parents=True)
    make(record)
    with pytest.raises(SvdlensError, match=r"results/checksums/tables/a\.txt\.sha256 is damaged: it is no file"):
        check_inputs([path])
    if record.is_dir():
        with pytest.raises(SvdlensError, match="a directory is there"):
            remove_records([path])
    else:
        remove_records([path])
        assert not os.path.lexists(record)


def test_files_without_a_record_are_read_as_they_are() -> None:
    """Of an earlier version, and a user's own."""
    check_inputs([write("results/tables/a.txt"), write("mine/results/a.txt"), "results/not_there.txt"])
    remove_records(["results/tables/a.txt", "elsewhere/a.txt"])
