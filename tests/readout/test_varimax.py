"""The varimax basis: a planted one is found, no rotation that is tried is better, and it stays in the subspace."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.multivariate.factor_rotation import rotate_factors

from random_weights import normal
from svdlens.readout.top_tokens import ReadoutMatrix
from svdlens.readout.varimax import varimax_rotation, varimax_vectors


def criterion(scores: np.ndarray) -> float:
    """Kaiser's raw varimax of scores [d_vocab, k]."""
    squares = scores**2
    return float(np.sum(squares**2) - np.sum(squares.sum(axis=0) ** 2) / len(scores))


def orthogonal(k: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((k, k)))[0]


def heavy_tailed(d_vocab: int, k: int, seed: int) -> np.ndarray:
    """Scores in which few tokens stand out in each direction, and directions are of different size."""
    generator = np.random.default_rng(seed)
    return generator.standard_t(4, (d_vocab, k)) * generator.uniform(0.5, 2, k)


@given(k=st.integers(1, 12), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_planted_basis_is_found(k: int, seed: int) -> None:
    """Of tokens that score in one direction alone, or in none, every other basis mixes directions."""
    generator = np.random.default_rng(seed)
    planted = np.zeros((2000, k))
    planted[np.arange(400), np.arange(400) % k] = generator.choice([-1, 1], 400) * generator.uniform(1, 2, 400)
    hidden = torch.from_numpy(planted @ orthogonal(k, seed))
    rotation = varimax_rotation(hidden).numpy()
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(k), atol=1e-10)
    overlap = np.abs(orthogonal(k, seed) @ rotation)
    # Each direction is one of those that were planted, and each of these is found once.
    assert (overlap.max(axis=0) > 0.98).all() and len(set(overlap.argmax(axis=0))) == k


@pytest.mark.parametrize("seed", range(2))
def test_it_is_as_good_as_another_implementation_finds_and_better_than_any_rotation_tried(seed: int) -> None:
    scores = heavy_tailed(300, 4, seed)
    scores = (scores - scores.mean(axis=0)) @ orthogonal(4, seed)
    found = criterion(scores @ varimax_rotation(torch.from_numpy(scores)).numpy())
    peer, _ = rotate_factors(scores, "varimax", max_tries=200)
    assert found > 0.97 * criterion(peer)
    assert found > max(criterion(scores @ orthogonal(4, 100 + other)) for other in range(20))


def test_single_precision_finds_the_same() -> None:
    scores = torch.from_numpy(heavy_tailed(3000, 8, 5))
    exact, single = varimax_rotation(scores), varimax_rotation(scores.float())
    torch.testing.assert_close(single, exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("k", [1, 3])
def test_without_scores_the_basis_stays_as_it_is(k: int) -> None:
    assert torch.equal(varimax_rotation(torch.zeros(50, k)), torch.eye(k, dtype=torch.float64))


def vectors_of(seed: int, d_model: int = 24, k: int = 5) -> dict[str, torch.Tensor]:
    """Orthonormal vectors [3, k, d_model] on two sides."""
    sides = {"read": normal(seed, 3, d_model, k), "write": normal(seed + 1, 3, d_model, k)}
    return {side: torch.from_numpy(np.linalg.qr(array)[0].transpose(0, 2, 1)) for side, array in sides.items()}


def test_vectors_span_the_same_subspaces_in_the_order_of_what_the_matrix_makes_of_them() -> None:
    vectors, unembed = vectors_of(0), torch.from_numpy(normal(7, 24, 500) ** 3)
    values = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5, 0.1]).repeat(3, 1)
    rotated = varimax_vectors(vectors, vectors, values, ReadoutMatrix(unembed), 2)
    for side, stored in vectors.items():
        found = rotated[side]
        assert found.dtype == torch.float64
        identity = torch.eye(5, dtype=torch.float64).expand(3, 5, 5)
        torch.testing.assert_close(found @ found.mT, identity, rtol=0, atol=1e-9)
        torch.testing.assert_close(found.mT @ found, stored.mT @ stored, rtol=0, atol=1e-9)
        lengths = ((found @ stored.mT) * values[:, None, :5]).norm(dim=-1)
        assert (lengths.diff(dim=-1) <= 1e-9).all()
        largest = found.gather(-1, found.abs().argmax(dim=-1, keepdim=True))
        assert (largest > 0).all()


def test_a_constant_in_all_scores_makes_no_difference_and_neither_does_the_number_of_threads() -> None:
    vectors, unembed = vectors_of(3), torch.from_numpy(normal(8, 24, 500) ** 3)
    values = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5]).repeat(3, 1)
    one = varimax_vectors(vectors, vectors, values, ReadoutMatrix(unembed), 1)
    moved = varimax_vectors(vectors, vectors, values, ReadoutMatrix(unembed + 3 * unembed[:, :1]), 3)
    again = varimax_vectors(vectors, vectors, values, ReadoutMatrix(unembed), 3)
    for side in vectors:
        assert torch.equal(one[side], again[side])
        torch.testing.assert_close(moved[side], one[side], rtol=0, atol=1e-4)


def test_a_matrix_is_rotated_by_what_is_read_and_not_by_what_is_stored() -> None:
    """Where a gain stands between them, scores are those of the vectors after it."""
    vectors, unembed = vectors_of(5), torch.from_numpy(normal(9, 24, 500) ** 3)
    gain = torch.linspace(0.2, 3, 24, dtype=torch.float64)
    as_read = {side: array * gain for side, array in vectors.items()}
    values = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5]).repeat(3, 1)
    through_gain = varimax_vectors(vectors, as_read, values, ReadoutMatrix(unembed), 1)
    folded = varimax_vectors(vectors, vectors, values, ReadoutMatrix(unembed * gain[:, None]), 1)
    for side in vectors:
        torch.testing.assert_close(through_gain[side], folded[side], rtol=0, atol=1e-4)
        torch.testing.assert_close(through_gain[side].mT @ through_gain[side], vectors[side].mT @ vectors[side])


@pytest.mark.parametrize("scale", [1e-36, 1e36])
def test_the_rotation_does_not_depend_on_the_size_of_scores(scale: float) -> None:
    scores = torch.from_numpy(heavy_tailed(500, 4, 3)).float()
    found = varimax_rotation(scores * scale)
    torch.testing.assert_close(found, varimax_rotation(scores), rtol=0, atol=1e-3)
    assert not torch.equal(found, torch.eye(4, dtype=torch.float64))


def test_null_space_is_not_rotated_and_stays_last() -> None:
    vectors, unembed = vectors_of(0), torch.from_numpy(normal(7, 24, 500) ** 3)
    rows = [[3.0, 2.0, 0, 0, 0], [3e-60, 2e-60, 1e-60, 1e-60, 1e-67], [0, 0, 0, 0, 0]]
    values = torch.tensor(rows, dtype=torch.float64)
    rotated = varimax_vectors(vectors, vectors, values, ReadoutMatrix(unembed), 2)
    for side, stored in vectors.items():
        for number, live in enumerate((2, 4, 0)):
            found = rotated[side][number]
            inside = found[:live] @ stored[number, :live].T
            torch.testing.assert_close(inside @ inside.T, torch.eye(live, dtype=torch.float64), rtol=0, atol=1e-9)
            torch.testing.assert_close((found[live:] @ stored[number, live:].T).abs(), torch.eye(5 - live).double())
            strengths = torch.linalg.vector_norm(values[number, :live, None] * inside.T, dim=0)
            assert (strengths.diff() <= 0).all()
