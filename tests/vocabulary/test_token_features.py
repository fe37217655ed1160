"""What is known of a vocabulary: written and read again, and the same bytes whatever the number of threads."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from svdlens.vocabulary.list_similarity import UNKNOWN_WEIGHT
from svdlens.vocabulary.sentence_embedding import SHA256, embed_texts, know_vocabulary
from svdlens.vocabulary.token_classes import ABOUT, classify_tokens
from svdlens.vocabulary.token_features import KnownVocabulary, load_vocabulary, save_vocabulary
from svdlens.vocabulary.wordnet import load_lexicon
from tiny_vocabulary import N_TOKENS, WIDTH, tiny_vocabulary

TEXTS = [
    *[" dog", " cat", "Horse", " cow", " sheep", " tree", " oak", " dogs", " red", " green", " blue", " yellow"],
    *[" running", " went", "ellig", "?", "...", "12", " 1990", " the", "\\xff", "<script>", "\n", "", "火", " Mary"],
    *[" fire", " water", " stone", " house", " garden", " car", " engine", " wheel", " road", " doctor", " nurse"],
]
RANKS = np.log(1 + np.arange(len(TEXTS)))


def saved(directory: Path, vocabulary: KnownVocabulary, embeddings: np.ndarray, of_names: np.ndarray) -> list[Path]:
    paths = [directory / "tokens.safetensors", directory / "classes.parquet"]
    save_vocabulary(*paths, embeddings, of_names, vocabulary.classes, vocabulary.log_ranks, vocabulary.facts)
    return paths


@pytest.mark.parametrize("no_classes", [False, True])
def test_what_is_written_is_read_again(no_classes, tmp_path):
    vocabulary = tiny_vocabulary(no_classes=no_classes)
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((N_TOKENS, WIDTH)).astype(np.float32) + 3
    of_names = rng.standard_normal((len(vocabulary.classes.names), WIDTH)).astype(np.float32)
    paths = saved(tmp_path, vocabulary, embeddings, of_names)
    found = load_vocabulary(*paths, vocabulary.texts)
    assert found.texts == vocabulary.texts and found.facts == vocabulary.facts
    assert np.array_equal(found.log_ranks, vocabulary.log_ranks)
    assert (found.classes.names, found.classes.kinds) == (vocabulary.classes.names, vocabulary.classes.kinds)
    for name in ("groups", "is_word"):
        assert np.array_equal(getattr(found.classes, name), getattr(vocabulary.classes, name))
    assert found.classes.membership.shape == vocabulary.classes.membership.shape
    assert (found.classes.membership != vocabulary.classes.membership).nnz == 0

    # Vectors: without the mean of the tokens, at length 1, and those of no words shorter.
    moved = embeddings - embeddings.mean(axis=0)
    for id in (0, 500, N_TOKENS - 1):
        length = 1 if vocabulary.classes.is_word[id] else UNKNOWN_WEIGHT
        assert found.vectors[id] == pytest.approx(moved[id] / np.linalg.norm(moved[id]) * length, abs=1e-5)
    moved = of_names - embeddings.mean(axis=0)
    assert found.name_vectors == pytest.approx(moved / np.linalg.norm(moved, axis=1, keepdims=True), abs=1e-5)

    # The same bytes again, and no file beside the two.
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in saved(tmp_path, vocabulary, embeddings, of_names)] == first
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_vocabulary_is_embedded_and_classified(tmp_path):
    contents = []
    for threads in (1, 2):
        paths = tmp_path / f"{threads}.safetensors", tmp_path / f"{threads}.parquet"
        know_vocabulary(TEXTS, (RANKS, "made up"), load_lexicon(), *paths, threads)
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]

    found = load_vocabulary(*paths, TEXTS)
    classes = classify_tokens(TEXTS, load_lexicon(), RANKS)
    assert (found.classes.names, found.classes.kinds) == (classes.names, classes.kinds)
    assert (found.classes.membership != classes.membership).nnz == 0
    assert found.facts == {"minilm_sha256": SHA256, "token_frequency": "made up"}
    assert np.array_equal(found.log_ranks, RANKS)
    # Concepts are embedded by their name, without what tells how words came to them.
    semantic = [place for place, kind in enumerate(classes.kinds) if kind == "semantic"]
    names = [classes.names[place].removeprefix(ABOUT) for place in semantic]
    assert len(names) > 3
    arrays, embedded = load_file(paths[0]), embed_texts([*TEXTS, *names, "animal"], threads=1)
    assert arrays["embeddings"] == pytest.approx(embedded[: len(TEXTS)], abs=1e-6)
    assert arrays["name_embeddings"][semantic] == pytest.approx(embedded[len(TEXTS) : -1], abs=1e-6)
    # So that a dog is more like an animal than a house is.
    animal = embedded[-1] - arrays["embeddings"].mean(axis=0)
    assert found.vectors[TEXTS.index(" dog")] @ animal > found.vectors[TEXTS.index(" house")] @ animal
