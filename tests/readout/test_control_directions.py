"""Controls: uniform where they should be, in the subspace where they should be, and other ones for every seed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from random_weights import normal, orthonormal
from svdlens.readout.control_directions import (
    Rotated,
    gaussian_directions,
    random_unit_directions,
    rotated_directions,
    seeded,
)

seeds = st.integers(0, 2**32 - 1)


def check_uniform(directions: np.ndarray) -> None:
    """Unit vectors with mean 0 and covariance 1/d, within six standard errors."""
    n, d = directions.shape
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=0, atol=1e-12)
    assert np.abs(directions.mean(axis=0)).max() < 6 / np.sqrt(n * d)
    covariance = directions.T @ directions / n
    assert np.abs(covariance - np.eye(d) / d).max() < 6 * np.sqrt(2 / n) / d


def subspaces(sides: int, matrices: int, k: int, d_model: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Orthonormal rows [matrices, k, d_model] for each side."""
    bases = [orthonormal(seed + number, d_model, k) for number in range(sides * matrices)]
    both = torch.from_numpy(np.stack(bases).reshape(sides, matrices, k, d_model))
    return {side: both[number] for number, side in enumerate(("read", "write")[:sides])}


def rotations(sides: int, matrices: int, k: int, d_model: int, n: int, seed: int = 0) -> tuple[dict, Rotated]:
    vectors = subspaces(sides, matrices, k, d_model, seed)
    return vectors, rotated_directions(vectors, [k] * matrices, n, seeded(seed, "ov", "rotated"))


MAKERS = {
    "random_unit": lambda generator: random_unit_directions(40, 12, generator),
    "gaussian": lambda generator: gaussian_directions(40, 12, generator),
    "rotated": lambda generator: rotated_directions(subspaces(2, 3, 4, 12), [4] * 3, 40, generator).directions,
}


@pytest.mark.parametrize("control", MAKERS)
def test_directions_differ_by_seed_matrix_and_control_and_are_the_same_for_the_same(control: str) -> None:
    names = [(0, "ov", "gaussian"), (1, "ov", "gaussian"), (0, "mlp_in", "gaussian"), (0, "ov", "rotated"), (0,)]
    names += [(0, "gaussian", "ov"), (0, "ovgaussian")]
    made = [MAKERS[control](seeded(seed, *rest)) for seed, *rest in names]
    again = [MAKERS[control](seeded(seed, *rest)) for seed, *rest in names]
    assert [one.numpy().tobytes() for one in made] == [one.numpy().tobytes() for one in again]
    assert len({one.numpy().tobytes() for one in made}) == len(names)
    for one in made:
        assert (one.dtype, one.shape) == (torch.float64, (40, 12))
        assert len(np.unique(one.numpy(), axis=0)) == 40


# --- random_unit


def test_random_directions_are_uniform_on_the_sphere() -> None:
    check_uniform(random_unit_directions(4000, 24, seeded(0)).numpy())


# --- gaussian


@pytest.mark.parametrize("n", [1, 7, 12, 13, 30])
def test_gaussian_directions_are_singular_vectors_of_the_matrices_that_the_seed_draws(n: int) -> None:
    """Of the first its leading ones, and of a further matrix where there are more directions than d_model."""
    d_model = 12
    directions = gaussian_directions(n, d_model, seeded(3, "ov")).numpy()
    assert directions.shape == (n, d_model)
    generator = seeded(3, "ov")
    for start in range(0, n, d_model):
        block = directions[start : start + d_model]
        np.testing.assert_allclose(block @ block.T, np.eye(len(block)), rtol=0, atol=1e-12)
        matrix = generator.standard_normal((d_model, d_model))
        values = np.linalg.svd(matrix, compute_uv=False)[: len(block)]
        np.testing.assert_allclose(np.linalg.norm(matrix @ block.T, axis=0), values, rtol=1e-10)
        np.testing.assert_allclose(block @ matrix.T @ matrix, values[:, None] ** 2 * block, rtol=0, atol=1e-9)


# --- rotated


@given(
    sides=st.integers(1, 2),
    matrices=st.integers(1, 5),
    k=st.integers(1, 6),
    spare=st.integers(0, 5),
    n=st.integers(1, 60),
    seed=seeds,
)
def test_rotations_stay_in_the_subspace_of_their_matrix_and_are_spread_evenly(sides, matrices, k, spare, n, seed):
    vectors, rotated = rotations(sides, matrices, k, k + spare, n, seed)
    assert rotated.directions.shape == (n, k + spare)
    subspace_of_rows = list(zip(rotated.sides, rotated.matrices, strict=True))
    assert len(subspace_of_rows) == n
    everywhere = [(side, matrix) for side in vectors for matrix in range(matrices)]
    # One subspace after the other, and none with more than one row more than another.
    assert subspace_of_rows == sorted(subspace_of_rows, key=everywhere.index)
    counts = [subspace_of_rows.count(subspace) for subspace in everywhere]
    assert max(counts) - min(counts) <= 1
    for subspace, count in zip(everywhere, counts, strict=True):
        rows = rotated.directions[[row for row, other in enumerate(subspace_of_rows) if other == subspace]].numpy()
        basis = vectors[subspace[0]][subspace[1]].numpy()
        np.testing.assert_allclose(rows @ basis.T @ basis, rows, rtol=0, atol=1e-12)
        # Row by row from one rotation, then from the next.
        for start in range(0, count, k):
            rotation = rows[start : start + k]
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(len(rotation)), rtol=0, atol=1e-12)


def test_where_there_are_more_matrices_than_rotations_some_are_drawn() -> None:
    _, few = rotations(2, 20, 3, 6, n=10)
    assert len(set(zip(few.sides, few.matrices, strict=True))) == 10
    _, others = rotations(2, 20, 3, 6, n=10, seed=1)
    assert (few.sides, few.matrices) != (others.sides, others.matrices)


def test_rotations_are_uniform_and_another_one_for_every_matrix() -> None:
    """In coordinates of the subspace: a first row is no more likely to be one vector than another."""
    k, n = 5, 5000
    vectors, rotated = rotations(1, 2, k, 8, n)
    inside = [
        rotated.directions[matrix * n // 2 : (matrix + 1) * n // 2].numpy() @ vectors["read"][matrix].numpy().T
        for matrix in range(2)
    ]
    for coordinates in inside:
        for row in range(k):
            check_uniform(coordinates[row::k])
    assert np.abs(inside[0][:k] - inside[1][:k]).max() > 0.1
    # Rotations and reflections: all orthogonal matrices.
    signs = [np.sign(np.linalg.det(inside[0][start : start + k])) for start in range(0, n // 2, k)]
    assert 0.4 < np.mean(np.array(signs) > 0) < 0.6


def test_vectors_of_any_length_are_combined_with_orthonormal_weights() -> None:
    """Through W_E the reading sides are multiplied by a gain, and are then neither unit vectors nor orthogonal."""
    vectors = {"read": torch.from_numpy(normal(0, 1, 4, 9))}
    rows = rotated_directions(vectors, [4], 4, seeded(0)).directions.numpy()
    weights = rows @ np.linalg.pinv(vectors["read"][0].numpy())
    np.testing.assert_allclose(weights @ weights.T, np.eye(4), rtol=0, atol=1e-12)
    np.testing.assert_allclose(weights @ vectors["read"][0].numpy(), rows, rtol=0, atol=1e-12)


def test_rotated_directions_stay_out_of_null_space() -> None:
    """In the span of the live vectors of their matrix, whichever it is; a matrix of zeros has none."""
    vectors, live = subspaces(2, 3, 5, 12), [2, 0, 5]
    rotated = rotated_directions(vectors, live, 40, seeded(0))
    assert len(rotated.directions) == 40 and set(rotated.matrices) == {0, 2}
    for direction, side, matrix in zip(*rotated, strict=True):
        inside = vectors[side][matrix, : live[matrix]] @ direction
        assert float(inside.norm()) == pytest.approx(1, abs=1e-12)
    nothing = rotated_directions(vectors, [0, 0, 0], 40, seeded(0))
    assert (nothing.directions.shape, nothing.sides, nothing.matrices) == ((0, 12), [], [])
