"""A fetched directory that has lost a file has it again, with the bytes that it had, and nothing else is changed.

Of a wheel: tests/models/test_fetch_gguf.py. Published answers: tests/labels/published. As Snakemake sees it:
tests/workflow/test_errors.py.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fetch_model
from hub_server import COMMIT, HubServer
from svdlens.errors import SvdlensError
from svdlens.runtime.lost_files import restore_lost_files
from tiny import make_tiny_gpt2

SCRIPTS = Path(__file__).parents[2] / "scripts"
HUB = {"repo": "someone/tiny", "revision": COMMIT, "architecture": "gpt2"}
# A job that closes the network for itself, as all do but those that fetch.
JOB = """
import json, sys
from pathlib import Path
from types import SimpleNamespace as Space
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run

directory, source = Path(sys.argv[1]), json.loads(sys.argv[2])
run(lambda job: restore_lost_files(directory, "fetch_model", source), Space(log=sys.argv[3], input=[], output=[]))
"""


def fetch(source: dict[str, Any], results: Path) -> Path:
    """Run the rule's script in this process; return the model's directory."""
    directory = results / "models/tiny"
    files = SimpleNamespace(provenance=directory / "provenance.json")
    names, params = SimpleNamespace(model="tiny"), SimpleNamespace(source=source)
    fetch_model.main(SimpleNamespace(wildcards=names, params=params, output=files, log=""))
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def assert_restored(directory: Path, before: dict[str, bytes], date: int) -> None:
    assert contents(directory) == before
    assert not [path for path in directory.iterdir() if path.is_symlink()]
    assert (directory / "provenance.json").stat().st_mtime_ns == date  # else all would be made anew
    assert [path.name for path in directory.parent.iterdir()] == ["tiny"]


def from_path(place: Path) -> dict[str, Any]:
    return {"path": str(make_tiny_gpt2(place / "source"))}


def from_package(place: Path) -> dict[str, Any]:
    make_tiny_gpt2(place / "packages/has_a_model/model")
    (place / "packages/has_a_model/__init__.py").touch()
    return {"package": "has_a_model"}


def cut_short(path: Path) -> None:
    os.truncate(path, 100)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("make", "damage"), [(from_path, cut_short), (from_package, flip_a_bit)])
def test_what_is_lost_comes_back_from_where_it_came(
    make: Any, damage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    source = make(tmp_path)
    directory = fetch(source, tmp_path / "results")
    before, date = contents(directory), (directory / "provenance.json").stat().st_mtime_ns
    # A job that was killed at this leaves nothing that the next one falls over.
    (directory.parent / ".tiny.restored/tiny").mkdir(parents=True)
    for name in before.keys() - {"provenance.json", "model.safetensors"}:
        (directory / name).unlink()
    damage(directory / "model.safetensors")
    restore_lost_files(directory, "fetch_model", source)
    assert_restored(directory, before, date)


def start(hub: HubServer, directory: Path, log: Path) -> subprocess.Popen[str]:
    """A job that misses files of a model of the hub."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"PYTHONPATH": str(SCRIPTS), "HF_ENDPOINT": hub.url, "HF_HOME": str(log.parent), "NO_PROXY": "*"}
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(directory), json.dumps(HUB), str(log)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_jobs_download_just_what_is_lost_and_that_once(tmp_path: Path) -> None:
    with HubServer(make_tiny_gpt2(tmp_path / "repository")) as hub:
        directory = fetch({"path": str(hub.directory)}, tmp_path / "results")
        before, date = contents(directory), (directory / "provenance.json").stat().st_mtime_ns
        (directory / "tokenizer.json").unlink()
        jobs = [start(hub, directory, tmp_path / name) for name in ("one", "two")]
        said = [job.communicate(timeout=60)[1] for job in jobs]
        assert [job.returncode for job in jobs] == [0, 0], said
        assert_restored(directory, before, date)
        assert [len(hub.requested(name)) for name in ("tokenizer.json", "model.safetensors", "config.json")] == [
            1,
            0,
            0,
        ]
        assert sum(f"tokenizer.json of {directory} is gone or damaged" in text for text in said) == 1

        # A node without a network, a repository that is gone.
        hub.status = 404
        (directory / "tokenizer.json").unlink()
        job = start(hub, directory, tmp_path / "three")
        message = job.communicate(timeout=60)[1].strip().splitlines()[-1]
    assert job.returncode == 1
    assert f"tokenizer.json of {directory} is gone or damaged, and this job could not fetch that" in message
    assert "again: model 'tiny' (someone/tiny at" in message
    assert "no such repository (status 404). Correct models.tiny.repo. Run again" in message
    # Snakemake makes anew what is not there.
    assert not (directory / "provenance.json").exists()
    assert [path.name for path in directory.parent.iterdir()] == ["tiny"]


def test_another_file_does_not_take_the_place_of_one_that_is_lost(tmp_path: Path) -> None:
    source = from_path(tmp_path)
    directory = fetch(source, tmp_path / "results")
    left = contents(directory)
    (directory / "model.safetensors").unlink()
    shutil.rmtree(tmp_path / "source")
    make_tiny_gpt2(tmp_path / "source", seed=1)
    with pytest.raises(SvdlensError, match=r"model.safetensors had the sha256 \w{64}, and its source now has one with"):
        restore_lost_files(directory, "fetch_model", source)
    for name in ("model.safetensors", "provenance.json"):
        del left[name]
    assert contents(directory) == left
    # And a job that waited for this one.
    with pytest.raises(SvdlensError, match=r"provenance.json is gone. Run again"):
        restore_lost_files(directory, "fetch_model", source)
