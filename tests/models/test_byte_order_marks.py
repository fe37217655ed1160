"""Text files with a byte order mark, as tools on Windows write them, are read like those without."""

import codecs
import json
from pathlib import Path

import pytest

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.errors import SvdlensError
from svdlens.models.byte_order_marks import without_marks
from svdlens.models.fetch import fetch_from_directory, fetch_from_package
from svdlens.models.model_shape import read_shape
from svdlens.models.token_texts import read_vocabulary
from svdlens.sweep.verify import differences
from tiny import make_tiny_gpt2

TEXTS = ["config.json", "tokenizer.json", "tokenizer_config.json"]


def mark(path: Path) -> None:
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@pytest.mark.parametrize("source", ["path", "package"])
def test_a_model_is_fetched_as_it_is(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its marks, so that a checksum of it holds, before and after; and read as if there were none."""
    plain = make_tiny_gpt2(tmp_path / "plain")
    marked = make_tiny_gpt2(tmp_path / f"site/marked_{source}")
    for name in TEXTS:
        mark(marked / name)
    pins = {"config.json": sha256_of(marked / "config.json")}
    target = tmp_path / "results/models/mine"
    if source == "path":
        fetch_from_directory(marked, target, pins, "mine", "path")
    else:
        (marked / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(marked.parent))
        fetch_from_package(marked.name, target, pins, "mine")
    fetched = files_of(target)
    provenance = json.loads(fetched.pop("provenance.json"))
    assert fetched == {name: content for name, content in files_of(marked).items() if name in fetched}
    assert set(fetched) > set(TEXTS)
    assert provenance["files"]["config.json"]["sha256"] == pins["config.json"]
    config = {"models": {"mine": {"path": str(marked)}}, "labellers": {}}
    assert list(differences(tmp_path / "results", config, tmp_path)) == []
    assert read_vocabulary(target) == read_vocabulary(plain)
    assert read_shape(target, "gpt2") == read_shape(plain, "gpt2")


def test_a_message_names_the_directory_of_the_model(tmp_path: Path) -> None:
    source = make_tiny_gpt2(tmp_path / "source")
    mark(source / "config.json")
    (source / "tokenizer.json").write_text("{")
    with pytest.raises(SvdlensError, match=rf"model 'tiny' in {source}: .*tokeni[sz]er"):
        fetch_from_directory(source, tmp_path / "target", {}, "tiny", "path")
    assert not (tmp_path / "target/provenance.json").exists()


def test_what_another_library_reads_has_no_marks(tmp_path: Path) -> None:
    source = make_tiny_gpt2(tmp_path / "source")
    (source / "merges.txt").write_text("#version: 0.2\na b\n", encoding="utf-8-sig")
    before = files_of(source)
    with without_marks(source) as directory:
        assert files_of(directory) == before | {"merges.txt": b"#version: 0.2\na b\n"}
    assert files_of(source) == before and not directory.exists()


def test_a_directory_without_marks_is_taken_as_it_is(tmp_path: Path) -> None:
    source = make_tiny_gpt2(tmp_path / "source")
    for directory in (source, tmp_path / "nowhere"):
        with without_marks(directory) as readable:
            assert readable == directory
