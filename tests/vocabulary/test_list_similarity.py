"""How alike the tokens of a list are: against loops, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svdlens.readout.token_table import DistinctLists
from svdlens.vocabulary.list_similarity import LIST_LENGTH, closeness, first_distinct, similarity, token_vectors

N_TOKENS, WIDTH = 60, 8


def vectors_of(seed: int) -> np.ndarray:
    """Vectors of many lengths, some of them zero, so that nothing rests on their being normalised."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((N_TOKENS, WIDTH)) * rng.choice([0.0, 0.5, 1.0], (N_TOKENS, 1))
    return vectors.astype(np.float32)


def lists_of(rows: list[list[int]]) -> DistinctLists:
    """Distinct ids as lists, the rest of each row unused, and no zeros there: what is unused may hold anything."""
    ids = np.full((len(rows), LIST_LENGTH), N_TOKENS - 1)
    used = np.zeros(ids.shape, bool)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)], used[row, : len(tokens)] = tokens, True
    return DistinctLists(ids, used)


distinct_lists = st.lists(
    st.lists(st.integers(0, N_TOKENS - 1), max_size=LIST_LENGTH, unique=True), min_size=1, max_size=6
)


# --- the first distinct tokens


@given(st.lists(st.lists(st.integers(0, 30), min_size=20, max_size=20), max_size=8))
def test_first_distinct_is_what_a_loop_finds(lists):
    groups = np.arange(31) // 2  # each token has a variant
    distinct = first_distinct(np.array(lists, dtype=np.int32).reshape(-1, 20), groups)
    assert distinct.ids.shape == distinct.used.shape == (len(lists), LIST_LENGTH)
    assert distinct.ids.dtype == np.int32
    for row, tokens in enumerate(lists):
        expected: list[int] = []
        for token in tokens:
            if all(token // 2 != other // 2 for other in expected):
                expected.append(token)
        expected = expected[:LIST_LENGTH]
        assert distinct.ids[row][distinct.used[row]].tolist() == expected
        # Without gaps: the first places are used, and the others are not.
        assert distinct.used[row].tolist() == [True] * len(expected) + [False] * (LIST_LENGTH - len(expected))


def test_more_lists_than_are_taken_at_once_are_each_what_they_are_alone():
    ids = np.random.default_rng(0).integers(0, N_TOKENS, (700, 25))
    groups = np.arange(N_TOKENS) // 3
    together = first_distinct(ids, groups)
    close = closeness(together, vectors_of(0))
    for row in (0, 255, 256, 511, 512, 699):
        alone = first_distinct(ids[row : row + 1], groups)
        assert np.array_equal(alone.ids[0], together.ids[row]) and np.array_equal(alone.used[0], together.used[row])
        assert np.array_equal(closeness(alone, vectors_of(0))[0], close[row])


@pytest.mark.parametrize("length", [1, 3, LIST_LENGTH, 100])
def test_lists_of_any_length_and_lists_of_one_token_again_and_again(length):
    distinct = first_distinct(np.full((2, length), 7), np.arange(10))
    assert distinct.ids[:, 0].tolist() == [7, 7]
    assert distinct.used.sum(axis=1).tolist() == [1, 1]
    assert not similarity(distinct, vectors_of(0)).any()


# --- closeness


@given(distinct_lists, st.integers(0, 100))
def test_closeness_is_that_of_a_loop(rows, seed):
    vectors = vectors_of(seed).astype(float)
    close = closeness(lists_of(rows), vectors_of(seed))
    alike = similarity(lists_of(rows), vectors_of(seed))
    assert close.shape == (len(rows), LIST_LENGTH)
    for row, tokens in enumerate(rows):
        expected = np.zeros(LIST_LENGTH)
        for number, token in enumerate(tokens):
            others = [other for other in tokens if other != token]
            squares = [max(0.0, float(vectors[token] @ vectors[other])) ** 2 for other in others]
            expected[number] = np.mean(squares) if squares else 0.0
        assert close[row] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert alike[row] == pytest.approx(expected[: len(tokens)].mean() if tokens else 0.0, rel=1e-4, abs=1e-5)


@given(st.permutations(range(12)), st.integers(0, 100))
def test_the_order_of_tokens_does_not_matter(order, seed):
    vectors = vectors_of(seed)
    lists, shuffled = lists_of([list(range(12))]), lists_of([list(order)])
    assert similarity(shuffled, vectors) == pytest.approx(similarity(lists, vectors), rel=1e-5, abs=1e-7)
    assert closeness(shuffled, vectors)[0, :12] == pytest.approx(
        closeness(lists, vectors)[0, list(order)], rel=1e-5, abs=1e-7
    )


def test_opposites_count_as_unrelated_and_what_is_the_same_counts_most():
    one, other = np.eye(WIDTH, dtype=np.float32)[:2]
    vectors = np.stack([one, -one, other, one])
    alike = similarity(lists_of([[0, 1], [0, 2], [0, 3]]), vectors[[0, 1, 2, 3, *[2] * (N_TOKENS - 4)]])
    assert alike.tolist() == [0, 0, 1]


# --- vectors


def test_token_vectors_take_out_what_all_tokens_share():
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((50, WIDTH))
    lengths = rng.choice([0.5, 1.0], 50)
    vectors = token_vectors(embeddings + 5.0, embeddings.mean(axis=0) + 5.0, lengths)
    moved = embeddings - embeddings.mean(axis=0)
    for vector, expected, length in zip(vectors, moved, lengths, strict=True):
        assert vector == pytest.approx(expected / np.linalg.norm(expected) * length, abs=1e-6)
    assert vectors.dtype == np.float32
    # A token exactly in the middle has no direction, and none is invented.
    in_the_middle = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]])
    assert not token_vectors(in_the_middle, in_the_middle.mean(axis=0), np.ones(3))[2].any()
