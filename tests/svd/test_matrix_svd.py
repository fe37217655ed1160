"""Singular values and vectors of single matrices against numpy's dense float64 SVD and planted matrices."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from random_weights import check_svd, normal, orthonormal
from svdlens.svd.matrix_svd import (
    UNIT_ROUNDOFF,
    VALUE_TOLERANCE,
    Decomposition,
    decompose_by_gram,
    decompose_dense,
    decompose_product,
    fix_signs,
    orthonormal_basis,
)

# The side whose largest coordinate is positive: the residual stream's, and of two the one that writes or asks.
DECIDING = {"ov": "right", "qk": "left", "mlp_in": "left", "mlp_gate": "left", "mlp_out": "right"}

seeds = st.integers(0, 2**32 - 1)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


# --- values, vectors, reconstruction


@settings(max_examples=40)
@given(
    d_in=st.integers(1, 12),
    inner=st.integers(1, 14),
    d_out=st.integers(1, 12),
    scale=st.integers(-100, 100),
    seed=seeds,
)
def test_products_of_any_shape_and_scale(d_in, inner, d_out, scale, seed):
    first, second = normal(seed, d_in, inner) * 10.0**scale, normal(seed + 1, inner, d_out)
    decomposition = decompose_product(tensor(first), tensor(second), None)
    check_svd(decomposition, first @ second, min(d_in, inner, d_out), relative=2 * VALUE_TOLERANCE)


@settings(max_examples=40)
@given(d_in=st.integers(1, 24), d_out=st.integers(1, 24), scale=st.integers(-100, 100), seed=seeds)
def test_dense_matrices_of_any_shape_and_scale(d_in, d_out, scale, seed):
    dense = normal(seed, d_in, d_out) * 10.0**scale
    check_svd(decompose_dense(tensor(dense), None), dense, min(d_in, d_out), relative=2 * VALUE_TOLERANCE)


@settings(max_examples=25)
@given(batch=st.integers(1, 4), d_in=st.integers(2, 12), inner=st.integers(1, 14), d_out=st.integers(2, 12), seed=seeds)
def test_a_batch_of_products_is_its_matrices(batch, d_in, inner, d_out, seed):
    """Also where some of the batch need Householder's QR: the last matrix has two equal columns."""
    first, second = normal(seed, batch, d_in, inner), normal(seed + 1, batch, inner, d_out)
    first[-1, :, -1] = first[-1, :, 0]
    decomposition = decompose_product(tensor(first), tensor(second), None)
    for matrix in range(batch):
        one = Decomposition(*(part[matrix] for part in decomposition))
        check_svd(one, first[matrix] @ second[matrix], min(d_in, inner, d_out), relative=2 * VALUE_TOLERANCE)


@pytest.mark.parametrize("directions", [1, 3, 8])
def test_fewer_directions_are_the_first_of_all_and_every_value_stays(directions: int) -> None:
    first, second = tensor(normal(1, 20, 8)), tensor(normal(2, 8, 20))
    for route in (
        lambda k: decompose_product(first, second, k),
        lambda k: decompose_dense(first @ second, k),
        lambda k: decompose_dense(first, k),
        lambda k: decompose_dense(second, k),
    ):
        every, some = route(None), route(directions)
        assert torch.equal(some.values, every.values)
        for name in ("left", "right"):
            assert getattr(some, name).shape == (directions, getattr(every, name).shape[1])
            torch.testing.assert_close(getattr(some, name), getattr(every, name)[:directions], rtol=0, atol=1e-12)


def test_more_directions_than_the_rank_are_all_there_are() -> None:
    first, second = tensor(normal(1, 20, 5)), tensor(normal(2, 5, 30))
    check_svd(decompose_product(first, second, 64), (first @ second).numpy(), 5)
    check_svd(decompose_dense(first, 64), first.numpy(), 5, relative=2 * VALUE_TOLERANCE)


@settings(max_examples=25)
@given(data=st.data(), d_model=st.integers(2, 20), d_head=st.integers(1, 20), seed=seeds)
def test_a_planted_rank_is_found(data, d_model, d_head, seed):
    rank = data.draw(st.integers(1, min(d_model, d_head)))
    first = orthonormal(seed, d_model, rank).T @ normal(seed + 1, rank, d_head)
    second = normal(seed + 2, d_head, d_model)
    dense = first @ second
    for decomposition, exact in (
        (decompose_product(tensor(first), tensor(second), None), min(d_model, d_head)),
        (decompose_dense(tensor(dense), None), d_model),
    ):
        check_svd(decomposition, dense, exact, relative=2 * VALUE_TOLERANCE)
        # Of a random product the last value may be small; rounding errors are much smaller.
        assert (decomposition.values[rank:] <= 1e-13 * decomposition.values[0] * max(d_model, d_head)).all()
        assert decomposition.values[rank - 1] > 0


def test_a_planted_spectrum_is_found() -> None:
    """Values over nine orders of magnitude, and vectors up to one sign for both sides."""
    left, right = orthonormal(1, 30, 6), orthonormal(2, 30, 6)
    values = np.array([1e3, 50.0, 3.0, 1.0, 1e-2, 1e-6])
    mixing = orthonormal(3, 6, 6)
    first, second = left.T * values @ mixing, mixing.T @ right
    for decomposition in (
        decompose_product(tensor(first), tensor(second), None),
        decompose_dense(tensor(first @ second), 6),
    ):
        np.testing.assert_allclose(decomposition.values[:6], values, rtol=0, atol=1e-12 * values[0])
        for row in range(5):
            agreement = [decomposition.left[row].numpy() @ left[row], decomposition.right[row].numpy() @ right[row]]
            np.testing.assert_allclose(np.abs(agreement), 1, atol=1e-8)
            assert agreement[0] * agreement[1] > 0


def test_rank_one() -> None:
    column, row = normal(1, 7, 1), normal(2, 1, 9)
    decomposition = fix_signs(decompose_product(tensor(column), tensor(row), None), "ov")
    check_svd(decomposition, column @ row, 1)
    np.testing.assert_allclose(decomposition.values[0], np.linalg.norm(column) * np.linalg.norm(row), rtol=1e-14)
    sign = np.sign(row[0, np.abs(row[0]).argmax()])
    np.testing.assert_allclose(decomposition.right[0], sign * row[0] / np.linalg.norm(row), atol=1e-14)
    np.testing.assert_allclose(decomposition.left[0], sign * column[:, 0] / np.linalg.norm(column), atol=1e-14)
    check_svd(decompose_dense(tensor(column @ row), None), column @ row, 7)


def test_the_zero_matrix_has_zero_values_and_orthonormal_vectors() -> None:
    zeros = torch.zeros(6, 4, dtype=torch.float64)
    for decomposition in (decompose_product(zeros, zeros.mT, None), decompose_dense(zeros, None)):
        for matrix in DECIDING:
            check_svd(fix_signs(decomposition, matrix), np.zeros((6, decomposition.right.shape[1])), 4)


def test_repeated_values_have_the_planted_subspaces() -> None:
    """The vectors of a cluster are arbitrary, the space that they span is not."""
    left, right = orthonormal(1, 16, 6), orthonormal(2, 24, 6)
    values = np.array([4.0, 4.0, 4.0, 2.0, 1.0, 1.0])
    dense = left.T * values @ right
    first, second = tensor(left.T * values), tensor(right)
    for decomposition in (decompose_product(first, second, None), decompose_dense(tensor(dense), 6)):
        np.testing.assert_allclose(decomposition.values[:6], values, atol=1e-13)
        for cluster in (slice(0, 3), slice(3, 4), slice(4, 6)):
            for vectors, planted in ((decomposition.left.numpy(), left), (decomposition.right.numpy(), right)):
                projector = vectors[cluster].T @ vectors[cluster]
                np.testing.assert_allclose(projector, planted[cluster].T @ planted[cluster], atol=1e-12)


# --- the routes, and what decides between them


@settings(max_examples=60)
@given(
    n=st.integers(1, 30),
    inner=st.integers(1, 30),
    condition=st.floats(0, 20),
    scale=st.integers(-250, 250),
    seed=seeds,
)
def test_a_basis_is_orthonormal_whatever_the_condition(n, inner, condition, scale, seed):
    """Cholesky-QR loses all orthogonality at a condition of 1e8. Scales at which squares overflow are included."""
    rank = min(n, inner)
    values = np.logspace(0, -condition, rank) * 10.0**scale
    matrix = orthonormal(seed, n, rank).T * values @ orthonormal(seed + 1, inner, rank)
    decomposition, core = orthonormal_basis(tensor(matrix))
    basis = decomposition.combine(torch.eye(core.shape[0], dtype=core.dtype)).numpy()
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), rtol=0, atol=VALUE_TOLERANCE)
    np.testing.assert_allclose(basis @ core.numpy(), matrix, rtol=0, atol=1e-13 * values[0])


@settings(max_examples=80)
@given(
    data=st.data(),
    n=st.integers(2, 24),
    condition=st.floats(0, 8),
    scale=st.integers(-200, 200),
    centred=st.booleans(),
    seed=seeds,
)
def test_the_gram_route_is_exact_or_says_no(data, n, condition, scale, centred, seed):
    """Every value to its relative tolerance, at any condition; and it does not say no to what is well conditioned."""
    m = n + data.draw(st.integers(0, 20))
    directions = data.draw(st.none() | st.integers(1, n - 1))
    values = np.logspace(0, -condition, n) * 10.0**scale
    dense = orthonormal(seed, n, n).T * values @ orthonormal(seed + 1, m, n)
    if centred:
        dense = dense - dense.mean(axis=0)
    decomposition = decompose_by_gram(tensor(dense), directions)
    if decomposition is None:
        # No promise at a condition above 1e3.
        assert condition > 3 or abs(scale) > 140
        return
    expected = np.linalg.svd(dense, compute_uv=False)
    rank = n - centred
    np.testing.assert_allclose(decomposition.values[:rank], expected[:rank], rtol=VALUE_TOLERANCE)
    assert not centred or decomposition.values[-1] == 0
    kept = n if directions is None else directions
    left, right, kept_values = (
        decomposition.left.numpy(),
        decomposition.right.numpy(),
        decomposition.values[:kept, None],
    )
    np.testing.assert_allclose(left @ left.T, np.eye(kept), rtol=0, atol=1e-13)
    np.testing.assert_allclose(right @ right.T, np.eye(kept), rtol=0, atol=2 * VALUE_TOLERANCE)
    # The defining property of singular vectors, on either side.
    np.testing.assert_allclose(left @ dense, kept_values * right, rtol=0, atol=1e-13 * expected[0] * n)
    np.testing.assert_allclose(right @ dense.T, kept_values * left, rtol=0, atol=VALUE_TOLERANCE * expected[0])


def test_the_bound_of_the_gram_route_holds_for_its_errors() -> None:
    """Cancelling terms of very different sizes, for which the product is as inexact as it gets."""
    generator = np.random.default_rng(0)
    for n, m in ((2, 40), (8, 400), (30, 2000)):
        weight = generator.standard_normal((n, m)) * np.exp(4 * generator.standard_normal((n, m)))
        exact = np.linalg.svd(weight, compute_uv=False)
        gram = tensor(weight) @ tensor(weight).mT
        decomposition = np.sqrt(np.maximum(np.linalg.eigvalsh(gram.numpy())[::-1], 0))
        bound = UNIT_ROUNDOFF * (m * (weight**2).sum() + n * exact[0] ** 2) / (2 * exact)
        assert (np.abs(decomposition - exact) <= bound).all()


@settings(max_examples=40)
@given(data=st.data(), n=st.integers(2, 20), matrix=st.sampled_from(list(DECIDING)), seed=seeds)
def test_routes_agree_on_vectors_and_signs(data, n, matrix, seed):
    """Product, Gram matrix and numpy, with gaps of 10 % between the values: up to rounding one answer."""
    m = n + data.draw(st.integers(0, 15))
    values = 1.1 ** -np.arange(n)
    left, right = orthonormal(seed, n, n), orthonormal(seed + 1, m, n)
    dense = left.T * values @ right
    sides = np.linalg.svd(dense, full_matrices=False)
    by_numpy = Decomposition(tensor(sides[0].T), tensor(sides[1]), tensor(sides[2]))
    by_product = decompose_product(tensor(left.T * values), tensor(right), None)
    by_gram = decompose_by_gram(tensor(dense), None)
    assert by_gram is not None
    expected = fix_signs(by_numpy, matrix)
    for route in (by_product, by_gram, decompose_dense(tensor(dense), None)):
        fixed = fix_signs(route, matrix)
        for part, other in zip(fixed, expected, strict=True):
            torch.testing.assert_close(part, other, rtol=0, atol=1e-9)


# --- signs


@settings(max_examples=40)
@given(
    data=st.data(),
    d_in=st.integers(1, 12),
    d_out=st.integers(1, 12),
    matrix=st.sampled_from(list(DECIDING)),
    seed=seeds,
)
def test_the_sign_rule(data, d_in, d_out, matrix, seed):
    rank = min(d_in, d_out)
    dense = normal(seed, d_in, d_out)
    decomposition = decompose_dense(tensor(dense), None)
    fixed = fix_signs(decomposition, matrix)

    # Which signs the SVD came with does not matter.
    signs = data.draw(st.lists(st.sampled_from([1.0, -1.0]), min_size=rank, max_size=rank))
    flips = torch.tensor(signs, dtype=torch.float64)[:, None]
    flipped = fix_signs(
        decomposition._replace(left=decomposition.left * flips, right=decomposition.right * flips), matrix
    )
    assert all(torch.equal(one, other) for one, other in zip(fixed, flipped, strict=True))

    # The deciding coordinate is positive; both sides are flipped together, and by nothing else than a sign.
    for row in getattr(fixed, DECIDING[matrix]).numpy():
        assert row[deciding_index(row)] > 0
    check_svd(fixed, dense, rank, relative=2 * VALUE_TOLERANCE)
    assert torch.equal(fixed.left.abs(), decomposition.left.abs())
    assert torch.equal(fixed.right.abs(), decomposition.right.abs())


def deciding_index(row: np.ndarray) -> int:
    largest = max(abs(value) for value in row)
    return next(index for index, value in enumerate(row) if abs(value) >= largest * (1 - 1e-6))


@pytest.mark.parametrize(
    ("row", "sign"),
    [
        ([0.5, -0.9, 0.1], -1),
        ([0.5, 0.9, -0.1], +1),
        ([-0.7, 0.7, 0.7], -1),  # exact tie: the lowest index
        ([0.7, -0.7, -0.7], +1),
        ([0.1, -0.7, 0.7 * (1 + 5e-7)], -1),  # within 1e-6: the lowest index, though another is larger
        ([0.1, 0.7, -0.7 * (1 + 5e-7)], +1),
        ([0.1, -0.7, 0.7 * (1 + 2e-6)], +1),  # beyond: the largest
        ([0.7 * (1 + 5e-7), 0.1, -0.7], +1),
        ([-0.0, 0.0, 0.0], +1),  # nothing decides; left as it is
    ],
)
@pytest.mark.parametrize("matrix", DECIDING)
def test_ties_within_one_millionth_go_to_the_lowest_index(matrix: str, row: list[float], sign: int) -> None:
    deciding = torch.tensor([row], dtype=torch.float64)
    other = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    sides = (deciding, other) if DECIDING[matrix] == "left" else (other, deciding)
    fixed = fix_signs(Decomposition(sides[0], torch.ones(1), sides[1]), matrix)
    assert torch.equal(fixed.left, sign * sides[0])
    assert torch.equal(fixed.right, sign * sides[1])
