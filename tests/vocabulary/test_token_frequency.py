"""Frequency ranks: against scipy's, from counts, merges or ids; hostile files; the mean over a list."""

import codecs
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from scipy.stats import rankdata, spearmanr
from tokenizers import Tokenizer, models

from shared_data import shared
from svdlens.errors import SvdlensError
from svdlens.vocabulary.token_frequency import (
    COUNTS,
    MERGE_ORDER,
    TOKEN_ID,
    UNEMBEDDING,
    cosines_with_mean,
    log_ranks,
    mean_log_rank,
)
from tiny import tiny_tokenizer

BUNDLED = Path(__file__).resolve().parents[2] / "resources/models/wordnet-2layer"


def write_counts(directory: Path, columns: dict[str, object]) -> Path:
    pq.write_table(pa.table(columns), directory / "token_counts.parquet")
    return directory


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_ranks_from_counts_are_those_of_scipy_in_any_order_of_rows(tmp_path_factory, counts, random):
    rows = list(enumerate(counts))
    random.shuffle(rows)
    ids, shuffled = zip(*rows, strict=True)
    directory = write_counts(tmp_path_factory.mktemp("model"), {"id": ids, "count": shuffled})
    ranks, source = log_ranks(directory, len(counts))
    assert source == COUNTS
    assert ranks == pytest.approx(np.log(rankdata(-np.array(counts))))


def test_a_bundled_model_ships_its_counts():
    counts = pq.ParquetFile(BUNDLED / "token_counts.parquet").read().to_pandas().set_index("id")["count"].sort_index()
    ranks, source = log_ranks(BUNDLED, len(counts))
    assert source == COUNTS
    assert np.exp(ranks).sum() == pytest.approx(len(counts) * (len(counts) + 1) / 2)
    assert (np.diff(counts.to_numpy()[np.argsort(ranks)]) <= 0).all()


def test_without_counts_a_tied_unembedding_tells_most_of_what_counts_tell(tmp_path):
    """The bundled model has both: its counts are what the proxy is held against."""
    vectors = load_file(BUNDLED / "model.safetensors")["wte.weight"].astype(np.float32)
    weights = tmp_path / "unembed.safetensors"
    save_file({"unembed.W_U": np.ascontiguousarray(vectors.T), "embed.W_E": vectors}, weights)
    n = len(vectors)
    ranks, source = log_ranks(tmp_path, n, weights=weights)
    assert source == UNEMBEDDING and np.exp(ranks).sum() == pytest.approx(n * (n + 1) / 2)
    assert spearmanr(ranks, log_ranks(BUNDLED, n)[0]).statistic > 0.95
    # Counts come first, and the length of all vectors is nothing to it.
    assert log_ranks(BUNDLED, n, weights=weights)[1] == COUNTS
    save_file({"unembed.W_U": np.ascontiguousarray(vectors.T) * 8, "embed.W_E": vectors * 8}, weights)
    assert np.array_equal(log_ranks(tmp_path, n, weights=weights)[0], ranks)


def test_an_unembedding_that_is_no_embedding_is_not_asked(tmp_path):
    tiny_tokenizer(400).save(str(tmp_path / "tokenizer.json"))
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((402, 8)).astype(np.float32)
    weights = tmp_path / "unembed.safetensors"
    without, _ = log_ranks(tmp_path, 402)
    for tensors in ({"embed.W_E": vectors}, {"embed.W_E": vectors, "unembed.W_U": np.ascontiguousarray(-vectors.T)}):
        save_file(tensors, weights)
        ranks, source = log_ranks(tmp_path, 402, weights=weights)
        assert source == MERGE_ORDER and np.array_equal(ranks, without)


def test_cosines_are_those_of_the_definition_and_a_vector_of_zeros_has_none():
    vectors = np.random.default_rng(0).standard_normal((30, 5)) + 1
    vectors[3] = 0
    mean = vectors.mean(axis=0)
    expected = [0.0 if i == 3 else v @ mean / np.linalg.norm(v) / np.linalg.norm(mean) for i, v in enumerate(vectors)]
    assert cosines_with_mean(vectors) == pytest.approx(expected)
    assert (cosines_with_mean(np.zeros((3, 2))) == 0).all()


@pytest.mark.parametrize(
    "columns,message",
    [
        (
            {"id": [0, 1], "count": [5, 3]},
            r"has no count for 1 of the 3 ids, the first of them 2\. Give every id a row",
        ),
        ({"id": [0, 1, 2], "count": [5, -3, 1]}, r"has the count -3\.0 for the id 1, not 0 or more"),
        ({"id": [0, 1, 2], "count": [5.0, 1.0, np.nan]}, r"has the count nan for the id 2"),
        ({"id": [0, 1, 2], "count": [5.0, 1.0, np.inf]}, r"has the count inf for the id 2"),
        ({"id": [0, 1, 3], "count": [5, 3, 1]}, r"counts the id 3, but the ids of this model go from 0 to 2"),
        ({"id": [0, 1, -1], "count": [5, 3, 1]}, r"counts the id -1, but the ids"),
        ({"id": pa.array([0, 1, 2**64 - 1], pa.uint64()), "count": [5, 3, 1]}, r"counts the id 18446744073709551615"),
        ({"id": [0, 1, 1], "count": [5, 3, 1]}, r"counts the id 1 more than once"),
        ({"id": [0, 1, None], "count": [5, 3, 1]}, r"has rows without an id or a count"),
        ({"id": ["0", "1", "2"], "count": [5, 3, 1]}, r"has ids of type string and counts of type int64"),
        ({"id": [0, 1, 2], "count": ["5", "3", "1"]}, r"counts of type string"),
        ({"token": [0, 1, 2], "count": [5, 3, 1]}, r"has columns \['token', 'count'\], but needs one column 'id'"),
        ({}, r"needs one column 'id'"),
    ],
)
def test_hostile_counts_are_named(tmp_path, columns, message):
    with pytest.raises(SvdlensError, match=rf"{tmp_path.name}/token_counts\.parquet .*{message}"):
        log_ranks(write_counts(tmp_path, columns), 3)


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "token_counts.parquet").write_bytes(b"id,count\n0,5\n")
    with pytest.raises(SvdlensError, match=r"token_counts\.parquet cannot be read as parquet .*Count the tokens again"):
        log_ranks(tmp_path, 1)


def test_gpt2_is_ranked_by_the_order_of_its_merges(tmp_path):
    """GPT-2's ids are: bytes, merges in order, the end of the text."""
    directory = shared("gpt2-tokenizer")
    ranks, source = log_ranks(directory, 50257)
    assert source == MERGE_ORDER
    assert np.exp(ranks[:256]) == pytest.approx(128.5)
    assert np.exp(ranks[256:]) == pytest.approx(np.arange(257, 50258))
    # Its tokenizer.json lacks the eight merges that begin with #, and says the same of all other tokens.
    shutil.copy(directory / "tokenizer.json", tmp_path)
    alone, source = log_ranks(tmp_path, 50257)
    assert source == MERGE_ORDER
    assert np.sum(np.exp(alone) > 50248) == 9
    both = np.exp(alone) <= 50248
    assert (np.argsort(ranks[both], kind="stable") == np.argsort(alone[both], kind="stable")).all()


def test_merges_as_texts_and_as_pairs_say_the_same(tmp_path):
    tiny_tokenizer(400).save(str(tmp_path / "tokenizer.json"))
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    pairs = [pair if isinstance(pair, list) else pair.split(" ") for pair in content["model"]["merges"]]
    both = []
    for merges in (pairs, [" ".join(pair) for pair in pairs]):
        content["model"]["merges"] = merges
        (tmp_path / "tokenizer.json").write_text(json.dumps(content))
        both.append(log_ranks(tmp_path, 402)[0])
    assert np.array_equal(*both)
    ranks = np.exp(both[0])
    assert ranks[:256] == pytest.approx(128.5) and ranks[256:399] == pytest.approx(np.arange(257, 400))
    # The end of text and two ids without a token: no merge makes them.
    assert ranks[399:] == pytest.approx(401)


def test_pieces_inside_a_word_are_found_by_their_prefix(tmp_path):
    vocabulary = {token: id for id, token in enumerate(["ab", "##c", "a", "##b", "abc", "b"])}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[("a", "##b"), ("ab", "##c")], continuing_subword_prefix="##")
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert np.exp(log_ranks(tmp_path, 6)[0]) == pytest.approx([5, 2.5, 2.5, 2.5, 6, 2.5])


@pytest.mark.parametrize(
    "model",
    [models.WordPiece(vocab={"[UNK]": 0, "a": 1}, unk_token="[UNK]"), models.Unigram([("a", -1.0)], None), None],
)
def test_without_merges_the_id_is_the_rank(tmp_path, model):
    if model:
        Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    ranks, source = log_ranks(tmp_path, 7)
    assert source == TOKEN_ID and np.exp(ranks) == pytest.approx(np.arange(1, 8))


@pytest.mark.parametrize(
    "vocabulary,merges,message",
    [
        ({"a": 0, "b": 1}, [["a", "b"]], "merge 1 of its tokenizer makes 'ab', which has no id"),
        ({"a": 0, "ab": 3}, [["a", "b"]], "has the id 3 for 'ab', but the ids of this model go from 0 to 2"),
        ({"a": 0, "ab": "1"}, [["a", "b"]], "has the id '1' for 'ab'"),
        ({"a": 0, "ab": 1}, [["a", "b"], ["a"]], r"tokenizer\.json: merge 2 is \['a'\], not two tokens"),
        ({"a": 0, "ab": 1}, [7], "merge 1 is 7, not two tokens"),
        ({"a": 0, "ab": 1}, "a b", "has merges that are no list"),
        (["a", "ab"], [["a", "b"]], "has merges, but no ids of tokens"),
    ],
)
def test_damaged_merges_are_named(tmp_path, vocabulary, merges, message):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary, "merges": merges}}))
    with pytest.raises(SvdlensError, match=message):
        log_ranks(tmp_path, 3)


def test_damaged_merges_txt_is_named(tmp_path):
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1, "ab": 2}')
    for content, message in ((b"#version: 0.2\na b\nab\n", "merge 2 is .*ab"), (b"a \xff", "cannot be read as UTF-8")):
        (tmp_path / "merges.txt").write_bytes(content)
        with pytest.raises(SvdlensError, match=rf"{tmp_path.name}/merges\.txt.* {message}"):
            log_ranks(tmp_path, 3)
    for mark in (b"", codecs.BOM_UTF8):
        (tmp_path / "merges.txt").write_bytes(mark + b"#version: 0.2\r\na b\r\n")
        (tmp_path / "vocab.json").write_bytes(mark + b'{"a": 0, "b": 1, "ab": 2}')
        assert np.exp(log_ranks(tmp_path, 3)[0]) == pytest.approx([1.5, 1.5, 3])


@given(st.integers(0, 2**32 - 1))
def test_the_mean_is_over_the_tokens_that_are_used(seed):
    rng = np.random.default_rng(seed)
    ranks = rng.standard_normal(20)
    ids, used = rng.integers(0, 20, (5, 6)), rng.random((5, 6)) < 0.4
    ids[~used] = rng.choice([-1, 10**6], np.sum(~used))  # what stands where there is no token does not matter
    for row, mean in enumerate(mean_log_rank(ids, used, ranks)):
        if used[row].any():
            assert mean == pytest.approx(np.mean([ranks[id] for id in ids[row][used[row]]]))
        else:
            assert np.isnan(mean)
