"""Embeddings of the labeller: the official network, and the same numbers as sentence-transformers."""

import numpy as np
import pytest

from svdlens.errors import SvdlensError
from svdlens.vocabulary import sentence_embedding as embedding
from svdlens.vocabulary.sentence_embedding import embed_texts, minilm_directory

TEXTS = [" fire", "flame", "ice", "\\xff", "\n", "a text of quite a few words", "<script>", "fire"]


def test_agrees_with_sentence_transformers():
    from sentence_transformers import SentenceTransformer

    ours = embed_texts(TEXTS, threads=1)
    theirs = SentenceTransformer(str(minilm_directory()), device="cpu").encode(
        [text.strip() for text in TEXTS], normalize_embeddings=True
    )
    assert np.abs(ours - theirs).max() < 1e-5
    assert np.array_equal(ours[0], ours[-1])  # surrounding spaces do not count
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1, abs=1e-5)


def test_meaning_is_near_meaning():
    fire, flame, ice, *_ = embed_texts(TEXTS, threads=1)
    assert fire @ flame > fire @ ice


def test_altered_weights_are_named(tmp_path, monkeypatch):
    package = tmp_path / "altered_minilm"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model/model.safetensors").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(embedding, "PACKAGE", "altered_minilm")
    with pytest.raises(SvdlensError, match=r"altered_minilm/model/model\.safetensors has sha256 \w{64}, not 53aa51"):
        minilm_directory()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(embedding, "PACKAGE", "no_such_package")
    with pytest.raises(SvdlensError, match=r"no_such_package is not installed.*requirements\.lock"):
        minilm_directory()
