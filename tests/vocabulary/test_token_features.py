"""What is known of a vocabulary: written and read again, and the same bytes whatever the number of threads."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from shared_data import shared
from svdlens.artefacts.atomic_files import sha256_of
from svdlens.artefacts.table_schemas import CLASSES, TOKEN_FEATURES, TOKEN_TEXTS, read_metadata
from svdlens.models.token_table import read_token_texts, write_token_texts
from svdlens.models.token_texts import read_vocabulary
from svdlens.vocabulary.list_similarity import UNKNOWN_WEIGHT
from svdlens.vocabulary.sentence_embedding import SHA256, embed_texts, embed_vocabulary
from svdlens.vocabulary.token_classes import ABOUT, classify_tokens
from svdlens.vocabulary.token_features import (
    TokenFeatures,
    load_features,
    load_vocabulary,
    save_embeddings,
    save_features,
)
from svdlens.vocabulary.token_frequency import log_ranks
from svdlens.vocabulary.wordnet import load_lexicon
from tiny import save_tokenizer
from tiny_vocabulary import N_TOKENS, WIDTH, features_of, tiny_vocabulary, write_vocabulary

PROJECT = Path(__file__).parents[2]
LEXICON = PROJECT / "resources/lexicon"
BUNDLED = PROJECT / "resources/models/wordnet-2layer"
TEXTS = [
    *[" dog", " cat", "Horse", " cow", " sheep", " tree", " oak", " dogs", " red", " green", " blue", " yellow"],
    *[" running", " went", "ellig", "?", "...", "12", " 1990", " the", "\\xff", "<script>", "\n", "", "火", " Mary"],
    *[" fire", " water", " stone", " house", " garden", " car", " engine", " wheel", " road", " doctor", " nurse"],
]
RANKS = np.log(1 + np.arange(len(TEXTS)))


def check_equal(features: TokenFeatures, expected: TokenFeatures) -> None:
    classes, expected_classes = features.classes, expected.classes
    assert (classes.names, classes.kinds) == (expected_classes.names, expected_classes.kinds)
    for name in ("groups", "is_word"):
        values, wanted = getattr(classes, name), getattr(expected_classes, name)
        assert values.dtype == wanted.dtype and np.array_equal(values, wanted), name
    assert classes.membership.shape == expected_classes.membership.shape
    assert (classes.membership != expected_classes.membership).nnz == 0
    assert np.array_equal(features.log_ranks, expected.log_ranks)
    assert features.token_frequency == expected.token_frequency


# --- features


@pytest.mark.parametrize("no_classes", [False, True])
def test_features_that_are_written_are_read_again(no_classes: bool, tmp_path: Path) -> None:
    features = features_of(tiny_vocabulary(no_classes=no_classes))
    paths = [tmp_path / "features.parquet", tmp_path / "classes.parquet"]
    save_features(*paths, features)
    check_equal(load_features(*paths), features)

    # The same bytes again, and no file beside the two.
    first = [path.read_bytes() for path in paths]
    save_features(*paths, features)
    assert [path.read_bytes() for path in paths] == first
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_vocabulary_without_tokens_has_features_all_the_same(tmp_path: Path) -> None:
    classes = classify_tokens([], load_lexicon(), np.empty(0))
    features = TokenFeatures(classes, np.empty(0), "none")
    save_features(tmp_path / "features.parquet", tmp_path / "classes.parquet", features)
    check_equal(load_features(tmp_path / "features.parquet", tmp_path / "classes.parquet"), features)


def test_anyone_can_read_who_is_in_a_class(tmp_path: Path) -> None:
    """Without scipy: `classes` of a token are numbers of rows of classes.parquet."""
    features = features_of(tiny_vocabulary())
    save_features(tmp_path / "features.parquet", tmp_path / "classes.parquet", features)
    tokens, classes = (pq.ParquetFile(tmp_path / f"{name}.parquet").read() for name in ("features", "classes"))
    assert tokens.schema.equals(TOKEN_FEATURES) and classes.schema.equals(CLASSES)
    assert tokens["id"].to_pylist() == list(range(N_TOKENS))
    members = features.classes.membership.toarray()
    for id, numbers in enumerate(tokens["classes"].to_pylist()):
        assert sorted(numbers) == np.flatnonzero(members[id]).tolist()
    assert classes["kind"].to_pylist() == features.classes.kinds
    assert read_metadata(tmp_path / "features.parquet")["token_frequency"] == features.token_frequency


# --- embeddings


@pytest.mark.parametrize("no_classes", [False, True])
def test_a_vocabulary_is_read_from_its_files(no_classes: bool, tmp_path: Path) -> None:
    vocabulary = tiny_vocabulary(no_classes=no_classes)
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((N_TOKENS, WIDTH)).astype(np.float32) + 3
    name_embeddings = rng.standard_normal((len(vocabulary.classes.names), WIDTH)).astype(np.float32)
    files = write_vocabulary(tmp_path, vocabulary, embeddings, name_embeddings)
    features = load_features(files["features"], files["classes"])
    loaded = load_vocabulary(files["embeddings"], features, read_token_texts(files["tokens"]))
    assert loaded.texts == vocabulary.texts and loaded.facts == vocabulary.facts
    check_equal(features_of(loaded), features_of(vocabulary))

    # Vectors: without the mean of the tokens, at length 1, and those of no words shorter.
    moved = embeddings - embeddings.mean(axis=0)
    for id in (0, 500, N_TOKENS - 1):
        length = 1 if vocabulary.classes.is_word[id] else UNKNOWN_WEIGHT
        assert loaded.vectors[id] == pytest.approx(moved[id] / np.linalg.norm(moved[id]) * length, abs=1e-5)
    moved = name_embeddings - embeddings.mean(axis=0)
    assert loaded.name_vectors == pytest.approx(moved / np.linalg.norm(moved, axis=1, keepdims=True), abs=1e-5)

    # The same bytes again, and no file beside the four.
    first = {name: path.read_bytes() for name, path in files.items()}
    write_vocabulary(tmp_path, vocabulary, embeddings, name_embeddings)
    assert {name: path.read_bytes() for name, path in files.items()} == first
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_embeddings_are_written_whatever_their_layout_in_memory(tmp_path: Path) -> None:
    """safetensors takes the memory as it lies: rows of a transposed array would come back as columns."""
    embeddings = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    for name, array in (("rows", embeddings), ("columns", np.asfortranarray(embeddings))):
        save_embeddings(tmp_path / name, array, array[::2], {"minilm_sha256": "00ff"})
    assert (tmp_path / "rows").read_bytes() == (tmp_path / "columns").read_bytes()
    assert np.array_equal(load_file(tmp_path / "columns")["name_embeddings"], embeddings[::2])


def test_a_vocabulary_is_embedded(tmp_path: Path) -> None:
    classes = classify_tokens(TEXTS, load_lexicon(), RANKS)
    path = tmp_path / "embeddings.safetensors"
    embed_vocabulary(TEXTS, classes, path, threads=1)
    loaded = load_vocabulary(path, TokenFeatures(classes, RANKS, "made up"), TEXTS)
    assert loaded.facts == {"minilm_sha256": SHA256, "token_frequency": "made up"}
    # Concepts are embedded by their name, without what tells how words came to them.
    semantic = [column for column, kind in enumerate(classes.kinds) if kind == "semantic"]
    names = [classes.names[column].removeprefix(ABOUT) for column in semantic]
    assert len(names) > 3
    arrays, embedded = load_file(path), embed_texts([*TEXTS, *names, "animal"], threads=1)
    assert arrays["embeddings"] == pytest.approx(embedded[: len(TEXTS)], abs=1e-6)
    assert arrays["name_embeddings"][semantic] == pytest.approx(embedded[len(TEXTS) : -1], abs=1e-6)
    # So that a dog is more like an animal than a house is.
    animal = embedded[-1] - arrays["embeddings"].mean(axis=0)
    assert loaded.vectors[TEXTS.index(" dog")] @ animal > loaded.vectors[TEXTS.index(" house")] @ animal


def test_embeddings_of_the_same_texts_are_copied_and_no_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts, more_texts = TEXTS[:40], [*TEXTS[:39], "other"]
    classes = classify_tokens(texts, load_lexicon(), RANKS[:40])
    first, again, damaged = (tmp_path / name for name in ("first", "again", "damaged"))
    embed_vocabulary(texts, classes, first, 1, "code")
    damaged.write_bytes(first.read_bytes()[:-1000])
    with caplog.at_level("INFO"):
        for name, of, code in (("texts", more_texts, "code"), ("code", texts, "other code")):
            embed_vocabulary(of, classes, tmp_path / name, 1, code, [first])
            assert (tmp_path / name).read_bytes() != first.read_bytes()
        embed_vocabulary(texts, classes, again, 1, "code", [tmp_path / "absent", damaged, tmp_path / "texts"])
        assert "is copied" not in caplog.text
        again.unlink()
        embed_vocabulary(texts, classes, again, 1, "code", [tmp_path / "absent", damaged, tmp_path / "texts", first])
        assert f"{first} has embeddings of the same texts and is copied" in caplog.text
    assert again.read_bytes() == first.read_bytes()


# --- the scripts


def run_scripts(directory: Path, tokenizer: Path, threads: int) -> dict[str, Path]:
    """decode_tokens, classify_tokens and embed_tokens, as the rules run them; what they make, by name."""
    made = {name: directory / f"{name}.parquet" for name in ("tokens", "features", "classes")}
    made["embeddings"] = directory / "embeddings.safetensors"
    source = [str(tokenizer / "tokenizer.json")]
    files = SimpleNamespace(**made, source=source, words=LEXICON / "words.parquet", token_counts=[], weights=[])
    params = SimpleNamespace(source={}, code="0")
    for script in ("decode_tokens", "classify_tokens", "embed_tokens"):
        job = SimpleNamespace(input=files, output=files, params=params, threads=threads)
        importlib.import_module(script).main(job)
    return made


@pytest.mark.slow
def test_the_scripts_write_the_same_bytes_for_one_and_two_threads(tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    save_tokenizer(2000, tokenizer)  # bytes, letters and their combinations, in several batches
    made = [run_scripts(tmp_path / str(threads), tokenizer, threads) for threads in (1, 2)]
    contents = [{name: path.read_bytes() for name, path in files.items()} for files in made]
    assert contents[0] == contents[1]
    assert not any(str(tmp_path).encode() in content for content in contents[0].values())

    texts = read_vocabulary(tokenizer)
    assert read_token_texts(made[0]["tokens"]) == texts
    features = load_features(made[0]["features"], made[0]["classes"])
    ranks, token_frequency = log_ranks(tokenizer, len(texts))
    expected = TokenFeatures(classify_tokens(texts, load_lexicon(), ranks), ranks, token_frequency)
    check_equal(features, expected)
    arrays = load_file(made[0]["embeddings"])
    assert arrays["embeddings"].shape[0] == len(texts)
    assert arrays["name_embeddings"].shape[0] == len(features.classes.names)


def test_counts_of_the_catalogue_are_taken_in_place_of_the_models_own(tmp_path: Path) -> None:
    """token_counts of a model in config.yaml, as the rule hands it over."""
    texts = read_vocabulary(BUNDLED)
    counts = np.random.default_rng(0).permutation(len(texts))
    pq.write_table(pa.table({"id": np.arange(len(texts)), "count": counts}), tmp_path / "counts.parquet")
    write_token_texts(tmp_path / "tokens.parquet", texts, {})
    features = []
    for token_counts in ([], [str(tmp_path / "counts.parquet")]):
        made = SimpleNamespace(features=tmp_path / "features.parquet", classes=tmp_path / "classes.parquet")
        given = SimpleNamespace(
            source=[str(BUNDLED / "tokenizer.json")],
            tokens=tmp_path / "tokens.parquet",
            words=LEXICON / "words.parquet",
            token_counts=token_counts,
            weights=[],
        )
        job = SimpleNamespace(input=given, output=made, params=SimpleNamespace(source={}, code="0f"))
        importlib.import_module("classify_tokens").main(job)
        features.append(load_features(made.features, made.classes))
        # `make verify` compares it.
        digests = [sha256_of(Path(path)) for path in token_counts]
        assert read_metadata(made.features).get("token_counts_sha256") == next(iter(digests), None)
    # The more often a token was counted, the lower its rank.
    assert np.array_equal(np.argsort(features[1].log_ranks), np.argsort(-counts))
    assert not np.array_equal(np.argsort(features[0].log_ranks), np.argsort(-counts))


@pytest.mark.slow
def test_tokens_of_gpt2_are_decoded_as_its_tokenizer_has_them(tmp_path: Path) -> None:
    tokenizer = shared("gpt2-tokenizer")
    job = SimpleNamespace(
        input=SimpleNamespace(source=[str(tokenizer / "vocab.json")]),
        output=SimpleNamespace(tokens=tmp_path / "tokens.parquet"),
        params=SimpleNamespace(source={}, code="0"),
    )
    importlib.import_module("decode_tokens").main(job)
    table = pq.ParquetFile(tmp_path / "tokens.parquet").read()
    assert table.schema.equals(TOKEN_TEXTS)
    assert table["id"].to_pylist() == list(range(50257))
    assert read_token_texts(tmp_path / "tokens.parquet") == read_vocabulary(tokenizer)
