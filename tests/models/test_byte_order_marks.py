"""Text files with a byte order mark, as tools on Windows write them, are read like those without."""

import codecs
import json
from pathlib import Path

import pytest

from svdlens.errors import SvdlensError
from svdlens.models.byte_order_marks import without_marks
from svdlens.models.fetch import fetch_from_directory
from svdlens.models.token_texts import read_vocabulary
from tiny import make_tiny_gpt2

TEXTS = ["config.json", "tokenizer.json", "tokenizer_config.json"]


def mark(path: Path) -> None:
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def test_a_model_is_fetched_as_if_there_were_no_marks(tmp_path: Path) -> None:
    source = make_tiny_gpt2(tmp_path / "source")
    fetch_from_directory(source, tmp_path / "plain", {}, "tiny", "path")
    for name in TEXTS:
        mark(source / name)
    before = files_of(source)
    fetch_from_directory(source, tmp_path / "marked", {}, "tiny", "path")
    assert files_of(tmp_path / "marked") == files_of(tmp_path / "plain")
    assert files_of(source) == before
    assert json.loads((tmp_path / "marked/provenance.json").read_text("utf-8"))["files"]


def test_a_message_names_the_directory_of_the_model(tmp_path: Path) -> None:
    source = make_tiny_gpt2(tmp_path / "source")
    mark(source / "config.json")
    (source / "tokenizer.json").write_text("{")
    with pytest.raises(SvdlensError, match=rf"model 'tiny' in {source}: .*tokeni[sz]er"):
        fetch_from_directory(source, tmp_path / "target", {}, "tiny", "path")
    assert not (tmp_path / "target/provenance.json").exists()


def test_a_tokenizer_is_read_with_marks(tmp_path: Path) -> None:
    source = make_tiny_gpt2(tmp_path / "source")
    vocabulary = {"a": 0, "b": 1, "Ġab": 2}
    pair = tmp_path / "pair"
    pair.mkdir()
    (pair / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8-sig")
    (pair / "merges.txt").write_text("#version: 0.2\na b\n", encoding="utf-8-sig")
    expected = read_vocabulary(source)
    mark(source / "tokenizer.json")
    with without_marks(source) as directory:
        assert read_vocabulary(directory) == expected
    with without_marks(pair) as directory:
        assert (directory / "merges.txt").read_text("utf-8").startswith("#version")
        assert json.loads((directory / "vocab.json").read_text("utf-8")) == vocabulary


def test_a_directory_without_marks_is_taken_as_it_is(tmp_path: Path) -> None:
    source = make_tiny_gpt2(tmp_path / "source")
    for directory in (source, tmp_path / "nowhere"):
        with without_marks(directory) as readable:
            assert readable == directory
