"""Paths of a configuration, and digests of files by which a change of them is seen."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from svdlens.errors import SvdlensError
from svdlens.sweep import named_files
from svdlens.sweep.named_files import (
    content_digest,
    expand_home,
    model_digests,
    tokenizer_name,
    tokenizer_paths,
)


def test_every_path_of_a_configuration_has_its_home_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/people/me")
    config = {
        "models": {
            "a": {"path": "~/a", "token_counts": "~/counts.parquet"},
            "b": {"path": "b/~"},
            "c": {"repo": "o/n"},
        },
        "labellers": {"published": {"path": "~/published"}},
        "lists": "~/lists.jsonl",
        "tokenizer": "~",
    }
    expand_home(config)
    assert config == {
        "models": {
            "a": {"path": "/people/me/a", "token_counts": "/people/me/counts.parquet"},
            "b": {"path": "b/~"},
            "c": {"repo": "o/n"},
        },
        "labellers": {"published": {"path": "/people/me/published"}},
        "lists": "/people/me/lists.jsonl",
        "tokenizer": "/people/me",
    }


def test_a_home_that_nobody_has_is_named() -> None:
    config = {"models": {"a": {"path": "~no-such-user/a"}}, "labellers": {}}
    with pytest.raises(SvdlensError, match=r"models\.a\.path: '~no-such-user/a' begins with ~"):
        expand_home(config)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files above 4 KiB are read in pieces."""
    monkeypatch.setattr(named_files, "WHOLE", 1 << 12)
    monkeypatch.setattr(named_files, "HEAD", 1 << 10)
    monkeypatch.setattr(named_files, "PIECE", 1 << 6)


@pytest.mark.parametrize("size", [1, 4096, 4097, 5000, 3 << 20])
def test_a_digest_sees_the_start_the_end_and_the_size_and_no_dates(
    size: int, small_pieces: None, tmp_path: Path
) -> None:
    content = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()
    path, copy = tmp_path / "a", tmp_path / "elsewhere"
    path.write_bytes(content)
    digest = content_digest(path)
    copy.write_bytes(content)
    os.utime(copy, (1, 1))
    assert content_digest(copy) == digest
    for other in (
        bytes([content[0] ^ 1]) + content[1:],
        content[:-1] + bytes([content[-1] ^ 1]),
        content + b"\0",
        content[:-1],
    ):
        copy.write_bytes(other)
        os.utime(copy, (1, 1))
        assert content_digest(copy) != digest


def test_one_edited_matrix_of_a_large_model_is_seen(small_pieces: None, tmp_path: Path) -> None:
    """Wherever it is, if it is 1 MiB or more."""
    path = tmp_path / "model.safetensors"
    weights = np.zeros(5 << 20, dtype=np.uint8)
    path.write_bytes(weights.tobytes())
    digest = content_digest(path)
    for start in (1 << 10, (1 << 20) + 77, (3 << 20) + 4097, 4 << 20):
        edited = weights.copy()
        edited[start : start + (1 << 20)] = 1
        path.write_bytes(edited.tobytes())
        assert content_digest(path) != digest, start


def test_a_model_is_known_by_its_files_wherever_they_lie(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "folder").mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "vocab.txt", "README.md", "pytorch_model.bin"):
        (model / name).write_text(name)
    digests = model_digests(model)
    assert list(digests) == ["config.json", "model.safetensors", "vocab.txt"]
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    (copy / "README.md").write_text("other words")
    assert model_digests(copy) == digests
    (copy / "config.json").unlink()
    assert model_digests(copy) != digests
    # A GGUF file, and what is not there.
    (tmp_path / "a.gguf").write_text("a")
    shutil.copy(tmp_path / "a.gguf", tmp_path / "b.gguf")
    assert model_digests(tmp_path / "a.gguf") == model_digests(tmp_path / "b.gguf") != {}
    assert model_digests(tmp_path / "nowhere") == {}


def test_a_tokenizer_is_known_by_its_files_wherever_they_lie(tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    for name in ("vocab.json", "merges.txt", "README.md"):
        (tokenizer / name).write_text(name)
    copy = shutil.copytree(tokenizer, tmp_path / "copy")
    (copy / "README.md").write_text("other words")
    assert tokenizer_name(copy) == tokenizer_name(tokenizer)
    assert [path.name for path in tokenizer_paths(copy)] == ["merges.txt", "vocab.json"]
    (copy / "merges.txt").write_text("others")
    assert tokenizer_name(copy) != tokenizer_name(tokenizer)
    assert tokenizer_paths(tmp_path / "nowhere") == []
