"""A file is whole or absent, whatever goes wrong while it is written, and the person at the terminal is told why."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from svdlens.artefacts.atomic_files import (
    WRITE_FAILURES,
    atomic_path,
    copy_file,
    remove_file,
    sha256_of,
    write_failure,
    write_text,
)
from svdlens.artefacts.table_schemas import write_table
from svdlens.errors import SvdlensError
from svdlens.weights.weight_files import save_tensors
from workflow import mounted

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


# --- atomic_path


def test_a_good_end_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "directory" / "table.parquet"
    for text in ("old", "new"):
        with atomic_path(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == ".parquet"  # writers of figures go by it
            assert temporary.name.startswith(".")
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), OSError(errno.EIO, "I/O")])
@pytest.mark.parametrize("existing", [True, False])
def test_an_exception_leaves_the_old_file_and_nothing_else(
    error: BaseException, existing: bool, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    if existing:
        path.write_text("old")
    with pytest.raises(type(error)) as caught, atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert caught.value is error
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("table.parquet", "old")] * existing


@pytest.mark.parametrize(("in_the_way", "said"), [("a/table", "a directory is there"), ("a", "a is no directory")])
def test_what_has_the_place_of_a_file_is_named_and_stays(in_the_way: str, said: str, tmp_path: Path) -> None:
    path, kept = tmp_path / "a/table", tmp_path / in_the_way
    if kept == path:
        kept.mkdir(parents=True)
        kept /= "of the user"
    kept.write_text("kept")
    with pytest.raises(SvdlensError, match=f"cannot write {path}: .*{said}. Move it away; then run again"):
        write_text(path, "new")
    with pytest.raises(SvdlensError, match=f"cannot remove {path}: .*{said}"):
        remove_file(path)
    assert [file.read_text() for file in tmp_path.rglob("*") if file.is_file()] == ["kept"]


def test_a_link_to_a_directory_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for remove in (remove_file, lambda path: write_text(path, "new")):
        (tmp_path / "link").symlink_to("elsewhere")
        remove(tmp_path / "link")
    assert (tmp_path / "link").read_text() == "new" and not any((tmp_path / "elsewhere").iterdir())


def test_a_writer_that_removed_its_file_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.unlink()
    assert not list(tmp_path.iterdir())


def test_two_writers_of_one_file_do_not_collide(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_path(path) as first:
        first.write_text("first, beg")
        with atomic_path(path) as second:
            assert second != first
            second.write_text("second")
            assert not path.exists()
        assert path.read_text() == "second"
        first.write_text("first")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_who_may_read(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "text")
        assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode
        assert os.umask(umask) == umask  # looked at, not changed
    finally:
        os.umask(before)


def test_text_and_copies(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "火\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xe7\x81\xab\n"
    copy_file(tmp_path / "a.txt", tmp_path / "deep" / "b.txt")
    assert (tmp_path / "deep" / "b.txt").read_bytes() == b"\xe7\x81\xab\n"
    done = subprocess.run(["sha256sum", tmp_path / "a.txt"], capture_output=True, text=True, check=True)
    assert sha256_of(tmp_path / "deep" / "b.txt") == done.stdout.split()[0]


# --- disks that are full


@pytest.mark.parametrize("code", WRITE_FAILURES)
def test_every_known_failure_is_recognised_with_and_without_its_number(code: int) -> None:
    reason = write_failure(OSError(code, os.strerror(code), "a.parquet"))
    assert reason == WRITE_FAILURES[code]
    # As safetensors (Rust) puts it: text only.
    assert write_failure(RuntimeError(f"I/O error: {os.strerror(code)} (os error {code})")) == reason
    assert write_failure(OSError(errno.ENOENT, "No such file or directory")) is None
    assert write_failure(ValueError("k must be positive")) is None


def large_tensors(path: Path) -> None:
    save_tensors(path, {"left": torch.rand(1000, 500)}, {"matrix": "ov"})


def large_table(path: Path) -> None:
    values = torch.rand(500_000, generator=torch.Generator().manual_seed(0)).numpy()  # does not compress
    write_table(path, {"value": values}, pa.schema([("value", pa.float32())]), {})


def large_text(path: Path) -> None:
    write_text(path, "a" * 2_000_000)


WRITERS: dict[str, Callable[[Path], None]] = {
    "svd.safetensors": large_tensors,
    "table.parquet": large_table,
    "notes.txt": large_text,
}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    with mounted(tmp_path / "disk", "size=256k"):
        yield tmp_path / "disk"


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_nothing_is_half_written(name: str, full_disk: Path) -> None:
    path = full_disk / name
    path.write_bytes(b"old")
    with pytest.raises(SvdlensError) as error:
        WRITERS[name](path)
    message = str(error.value)
    assert message.startswith(f"cannot write {path}: the disk is full. Free some space")
    assert [(file.name, file.read_bytes()) for file in full_disk.iterdir()] == [(name, b"old")]
    # With room, the same call succeeds.
    WRITERS[name](full_disk.parent / name)
    assert (full_disk.parent / name).stat().st_size > 256 * 1024


LIMITED = """
import json, resource, sys
from pathlib import Path
from svdlens.errors import SvdlensError
sys.path[:0] = sys.argv[2:]
from test_atomic_files import WRITERS

place, said = Path(sys.argv[1]), {}
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
for name, write in WRITERS.items():
    try:
        write(place / name)
    except SvdlensError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def test_a_file_size_limit_is_named_and_nothing_is_half_written(tmp_path: Path) -> None:
    """In a process of its own: the limit could not be lifted again."""
    done = run_python(LIMITED, str(tmp_path), str(Path(__file__).parent), str(Path(__file__).parents[1] / "helpers"))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said) == set(WRITERS)
    for name, message in said.items():
        assert message.startswith(f"cannot write {tmp_path / name}: the file is larger than this system lets you write")
    assert not list(tmp_path.iterdir())
