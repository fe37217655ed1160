"""What comes from others can do no harm: what tests of single modules do not try (docs/models.md has the whole list).

Model directories with links that lead out, names that a hub replies, names in the configuration; and that a token is
in no file, log or message.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configurations import config_with
from hub_server import COMMIT, HubServer
from svdlens.errors import SvdlensError
from svdlens.models.fetch import fetch_from_directory
from svdlens.sweep.config_checks import check_configuration, load_schema
from tiny import make_tiny_gpt2

PROJECT = Path(__file__).parents[2]
TOKEN = "hf_aTokenThatIsNobodysForTestsOfSvdlens"
JOB = """
import json, logging, sys
from types import SimpleNamespace as Space
from fetch_model import main
from svdlens.runtime.script import run

logging.getLogger().setLevel(logging.DEBUG)
directory = sys.argv[2]
output = Space(provenance=directory + "/models/tiny/provenance.json")
job = Space(wildcards=Space(model="tiny"), params=Space(source=json.loads(sys.argv[1])), output=output, log=directory + "/log")
run(main, job, network=True, checksums=False)
"""  # noqa: E501


class HostileHub(HubServer):
    """Lists files whose names lead out, beside those of a sound model."""

    evil: tuple[str, ...] = ()

    def names(self) -> list[str]:
        return [*super().names(), *self.evil]

    def sibling(self, name: str) -> dict[str, Any]:
        return {**super().sibling("config.json"), "rfilename": name} if name in self.evil else super().sibling(name)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HostileHub]:
    with HostileHub(make_tiny_gpt2(tmp_path / "repository")) as server:
        yield server


def fetch(hub: HubServer, results: Path) -> tuple[int, str]:
    """Exit status and all that a job prints that has a token."""
    results.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"PYTHONPATH": str(PROJECT / "scripts"), "HF_ENDPOINT": hub.url, "HF_HOME": str(results / "home")}
    environment |= {"NO_PROXY": "127.0.0.1", "HF_TOKEN": TOKEN}
    source = {"repo": "someone/tiny", "revision": COMMIT}
    command = [sys.executable, "-c", JOB, json.dumps(source), str(results)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_names_that_a_hub_replies_lead_nowhere(hub: HostileHub, tmp_path: Path) -> None:
    hub.evil = (
        "../../../evil.json",
        "/evil.json",
        "a/../../tokenizer.json",
        "sub/config.json",
        "evil.py",
        "x.safetensors",
    )
    before = files_below(tmp_path)
    status, printed = fetch(hub, tmp_path / "results")
    assert status == 0, printed
    new = {name for name in files_below(tmp_path) - before if not name.startswith(("results/log", "results/home"))}
    published = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "provenance.json"}
    assert new == {f"results/models/tiny/{name}" for name in published}
    assert not [path for _, path, _ in hub.requests if "evil" in path or ".." in path]


@pytest.mark.parametrize(
    "name", ["../../evil.safetensors", "/tmp/evil.safetensors", "a\\..\\evil.safetensors", "..", "x.bin"]
)
def test_shards_that_an_index_on_the_hub_names_lead_nowhere(name: str, hub: HostileHub, tmp_path: Path) -> None:
    (hub.directory / "model.safetensors").rename(hub.directory / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"wte.weight": "model-00001-of-00001.safetensors", "wpe.weight": name}}
    (hub.directory / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    hub.evil = (name,)
    status, printed = fetch(hub, tmp_path / "results")
    assert status == 1 and f"names the shard {name!r}" in printed
    assert not [path for _, path, _ in hub.requests if "evil" in path]


@pytest.mark.parametrize("status", [None, 401, 404, 500])
def test_a_token_is_in_no_file_and_no_message(status: int | None, hub: HostileHub, tmp_path: Path) -> None:
    """Nor in the log with everything that the client of the hub has to say."""
    hub.status = status
    _, printed = fetch(hub, tmp_path / "results")
    assert (tmp_path / "results/log").stat().st_size > 0 or status is None
    assert TOKEN not in printed
    for path in (tmp_path / "results").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


LINKS: dict[str, Callable[[Path, Path], tuple[str, Path]]] = {
    "a list of words": lambda model, outside: ("vocab.txt", outside / "passwords"),
    "counts": lambda model, outside: ("token_counts.parquet", outside / "private.parquet"),
    "settings of the tokenizer": lambda model, outside: ("tokenizer_config.json", outside / "credentials.json"),
}


@pytest.mark.parametrize("case", LINKS)
def test_a_link_out_of_a_model_brings_nothing_in(case: str, tmp_path: Path) -> None:
    """A directory that was unpacked from an archive of somebody may have links to files of whoever reads it."""
    model, outside = make_tiny_gpt2(tmp_path / "model"), tmp_path / "outside"
    outside.mkdir()
    name, target = LINKS[case](model, outside)
    target.write_text('{"password": "secret"}', "utf-8")
    (model / name).unlink(missing_ok=True)
    if name == "vocab.txt":  # which is not read beside it
        (model / "tokenizer.json").unlink()
    (model / name).symlink_to(target)
    with pytest.raises(SvdlensError, match=f"{name} is a link to .*{target.name}") as error:
        fetch_from_directory(model, tmp_path / "results/models/tiny", {}, "tiny", "path")
    assert "secret" not in str(error.value)
    assert not (tmp_path / "results").exists()


def test_links_to_where_a_model_lies_are_followed(tmp_path: Path) -> None:
    """To a file of the same name, to one beside it, and to what the hub's cache calls by its checksum."""
    source = make_tiny_gpt2(tmp_path / "source")
    model, blob = tmp_path / "model", tmp_path / "blobs" / ("a" * 64)
    model.mkdir()
    blob.parent.mkdir()
    shutil.copy(source / "config.json", blob)
    (model / "config.json").symlink_to(blob)
    (model / "model.safetensors").symlink_to(source / "model.safetensors")
    shutil.copy(source / "tokenizer.json", model / "my_tokenizer.json")
    (model / "tokenizer.json").symlink_to("my_tokenizer.json")
    shutil.copy(source / "tokenizer_config.json", model)
    fetch_from_directory(model, tmp_path / "results/models/tiny", {}, "tiny", "path")
    published = tmp_path / "results/models/tiny"
    assert not [path for path in published.iterdir() if path.is_symlink()]
    assert (published / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", ".hidden", "/tmp/x", "a\n", "a b", "$(id)", "-x", "a\\b", "{model}", ""]
)
@pytest.mark.parametrize("of", ["models", "settings", "edits"])
def test_a_name_in_the_configuration_is_no_path(of: str, name: str) -> None:
    """Names are parts of paths and of commands."""
    entry: dict[str, Any] = {"models": {"path": "source"}, "settings": [], "edits": {"model": "a"}}
    config = config_with({of: {name: entry[of]}})
    with pytest.raises(SvdlensError, match=r"letters, digits, dots, hyphens and underscores"):
        check_configuration(config, load_schema(PROJECT / "rules/config.schema.yaml"))
