"""A token's rank is its float64 score, ties go to the lowest id, and neither tile nor thread changes a byte."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from svdlens import readout
from svdlens.errors import SvdlensError
from svdlens.readout import random_unit_directions, top_tokens


def as_bytes(found: dict[int, readout.TopTokens]) -> dict[int, tuple[bytes, bytes]]:
    return {sign: (tokens.ids.tobytes(), tokens.scores.tobytes()) for sign, tokens in found.items()}


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Ids by falling score, ties by rising id."""
    return np.stack([np.lexsort((np.arange(scores.shape[1]), -row))[:k] for row in scores])


@settings(max_examples=60)
@given(
    data=st.data(), n=st.integers(1, 4), d_model=st.integers(1, 6), vocabulary=st.integers(1, 30), k=st.integers(1, 40)
)
def test_lists_are_an_argsort_with_ties_by_lowest_id(data, n, d_model, vocabulary, k):
    """Small whole numbers: scores are exact, and ties, zero columns and zero directions are frequent."""
    small = st.integers(-2, 2)
    directions = data.draw(hnp.arrays(np.float64, (n, d_model), elements=small))
    W_U = data.draw(hnp.arrays(np.float64, (d_model, vocabulary), elements=small))
    found = top_tokens(torch.from_numpy(directions), torch.from_numpy(W_U), k)
    assert list(found) == [+1, -1]
    for sign, tokens in found.items():
        scores = sign * (directions @ W_U)
        expected = best(scores, k)
        assert tokens.ids.shape == (n, min(k, vocabulary))
        np.testing.assert_array_equal(tokens.ids, expected)
        np.testing.assert_array_equal(tokens.scores, np.take_along_axis(scores, expected, axis=1))
        assert tokens.scores.dtype == np.float32


@pytest.fixture(scope="module")
def crowded() -> tuple[torch.Tensor, torch.Tensor]:
    """Directions [37, 96] and W_U [96, 1200] in which every column stands four times, in scattered places."""
    generator = np.random.default_rng(0)
    columns = generator.standard_normal((96, 300))
    places = generator.permutation(np.tile(np.arange(300), 4))
    return torch.from_numpy(generator.standard_normal((37, 96))), torch.from_numpy(columns[:, places])


@pytest.fixture(scope="module")
def delicate() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores that differ in their last bits alone, so that ranks hang on the order in which products are summed.

    Directions are multiples of the ones vector, and four columns at a time have the same numbers in another order.
    """
    generator = np.random.default_rng(0)
    columns = np.repeat(generator.standard_normal((96, 300)), 4, axis=1)
    columns = generator.permuted(columns, axis=0)[:, generator.permutation(1200)]
    return torch.from_numpy(generator.standard_normal((37, 1)) * np.ones(96)), torch.from_numpy(columns)


def test_equal_columns_tie_whatever_their_numbers(crowded: tuple[torch.Tensor, torch.Tensor]) -> None:
    """A matrix product may give equal columns scores that differ in the last bit; their ids must still count up."""
    directions, W_U = (tensor.numpy() for tensor in crowded)
    kinds = np.unique(W_U, axis=1, return_inverse=True)[1].reshape(-1)
    one_of_each = np.array([np.flatnonzero(kinds == kind)[0] for kind in range(300)])
    for k in (30, 50):  # 50 cuts through the four of a kind
        for sign, tokens in top_tokens(*crowded, k).items():
            scores = sign * (directions @ W_U[:, one_of_each])[:, kinds]
            np.testing.assert_array_equal(tokens.ids, best(scores, k))
            np.testing.assert_allclose(tokens.scores, np.take_along_axis(scores, tokens.ids, axis=1), rtol=1e-6)


@pytest.mark.parametrize("case", ["crowded", "delicate"])
def test_any_tile_and_any_threads_give_the_same_bytes(case: str, request, monkeypatch: pytest.MonkeyPatch) -> None:
    directions, W_U = request.getfixturevalue(case)
    before = torch.get_num_threads()
    row = 8 * W_U.shape[1]
    expected = as_bytes(top_tokens(directions, W_U, 50))
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for tile in (1, row, 7 * row, 36 * row, 1000 * row):
                monkeypatch.setattr(readout, "TILE_BYTES", tile)
                assert as_bytes(top_tokens(directions, W_U, 50)) == expected, (threads, tile)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("case", ["crowded", "delicate"])
def test_a_direction_is_read_the_same_alone_and_among_others(case: str, request) -> None:
    directions, W_U = request.getfixturevalue(case)
    together = top_tokens(directions, W_U, 21)
    for row in (0, 17, 36):
        alone = top_tokens(directions[row : row + 1], W_U, 21)
        for sign in (+1, -1):
            assert alone[sign].ids[0].tobytes() == together[sign].ids[row].tobytes()
            assert alone[sign].scores[0].tobytes() == together[sign].scores[row].tobytes()


def test_the_other_sign_is_the_opposite_direction(crowded: tuple[torch.Tensor, torch.Tensor]) -> None:
    directions, W_U = crowded
    found, opposite = top_tokens(directions, W_U, 40), top_tokens(-directions, W_U, 40)
    for sign in (+1, -1):
        np.testing.assert_array_equal(found[sign].ids, opposite[-sign].ids)
        np.testing.assert_array_equal(found[sign].scores, opposite[-sign].scores)


def test_float32_inputs_are_scored_in_float64() -> None:
    """Two columns whose float32 scores would be equal: 2^24 + 1 is no float32."""
    direction = torch.tensor([[2.0**24, 1.0]], dtype=torch.float32)
    W_U = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, -1.0]], dtype=torch.float32)
    found = top_tokens(direction, W_U, 3)
    assert found[+1].ids.tolist() == [[1, 0, 2]]
    assert found[-1].ids.tolist() == [[2, 0, 1]]


@pytest.mark.parametrize("k", [5, 6, 1000])
def test_k_is_cut_to_the_vocabulary(k: int) -> None:
    found = top_tokens(random_unit_directions(3, 4, seed=1), random_unit_directions(4, 5, seed=2), k)
    for tokens in found.values():
        assert tokens.ids.shape == tokens.scores.shape == (3, 5)
        assert all(sorted(ids) == [0, 1, 2, 3, 4] for ids in tokens.ids.tolist())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["directions", "W_U"])
def test_scores_that_are_not_finite_are_refused(where: str, value: float) -> None:
    parts = {"directions": random_unit_directions(3, 4, seed=1), "W_U": random_unit_directions(4, 9, seed=2)}
    parts[where][1, 2] = value
    with pytest.raises(SvdlensError, match=r"NaN or infinite.*checkpoint"):
        top_tokens(parts["directions"], parts["W_U"], 2)


def test_random_directions_are_unit_vectors_by_seed() -> None:
    directions = random_unit_directions(4000, 24, seed=5)
    assert directions.dtype == torch.float64
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(4000, dtype=torch.float64), rtol=0, atol=1e-14)
    assert torch.equal(directions, random_unit_directions(4000, 24, seed=5))
    assert not torch.equal(directions, random_unit_directions(4000, 24, seed=6))
    assert len(np.unique(directions.numpy(), axis=0)) == 4000


def test_random_directions_are_uniform_on_the_sphere() -> None:
    """Mean 0 and covariance 1/d, within six standard errors."""
    n, d = 4000, 24
    directions = random_unit_directions(n, d, seed=0).numpy()
    assert np.abs(directions.mean(axis=0)).max() < 6 / np.sqrt(n * d)
    covariance = directions.T @ directions / n
    assert np.abs(covariance - np.eye(d) / d).max() < 6 * np.sqrt(2 / n) / d
