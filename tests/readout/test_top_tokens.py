"""A token's rank is its float64 score, ties go to the lowest id, and no route, tile or thread changes a byte."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

from shared_data import shared
from svdlens.errors import SvdlensError
from svdlens.readout import top_tokens as readout
from svdlens.readout.score_errors import error_bound, upper_norms
from svdlens.readout.top_tokens import (
    PRECISIONS,
    ROUTES,
    ReadoutMatrix,
    TopTokens,
    top_tokens,
)

seeds = st.integers(0, 2**32 - 1)
routes = st.sampled_from(list(ROUTES))


def read(directions: np.ndarray, matrix: np.ndarray, k: int, route: str = "float32") -> dict[int, TopTokens]:
    return top_tokens(torch.from_numpy(directions), ReadoutMatrix(torch.from_numpy(matrix)), k, precision=route)


def as_bytes(top: dict[int, TopTokens]) -> dict[int, tuple[bytes, bytes]]:
    return {sign: (tokens.ids.tobytes(), tokens.scores.tobytes()) for sign, tokens in top.items()}


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Ids by falling score, ties by rising id."""
    return np.stack([np.lexsort((np.arange(scores.shape[1]), -row))[:k] for row in scores])


# --- what the lists are


@settings(max_examples=100)
@given(
    data=st.data(), route=routes, n=st.integers(1, 4), d_model=st.integers(1, 6), vocabulary=st.integers(1, 30),
    k=st.integers(1, 40),
)  # fmt: skip
def test_lists_are_an_argsort_with_ties_by_lowest_id(data, route, n, d_model, vocabulary, k):
    """Small whole numbers: scores are exact, and ties, zero columns and zero directions are frequent."""
    small = st.integers(-2, 2)
    directions = data.draw(hnp.arrays(np.float64, (n, d_model), elements=small))
    W_U = data.draw(hnp.arrays(np.float64, (d_model, vocabulary), elements=small))
    top = read(directions, W_U, k, route)
    assert list(top) == [+1, -1]
    for sign, tokens in top.items():
        scores = sign * (directions @ W_U)
        expected = best(scores, k)
        assert tokens.ids.shape == (n, min(k, vocabulary))
        np.testing.assert_array_equal(tokens.ids, expected)
        np.testing.assert_array_equal(tokens.scores, np.take_along_axis(scores, expected, axis=1))
        assert tokens.scores.dtype == np.float32


@settings(max_examples=60)
@given(
    route=routes,
    n=st.integers(1, 8),
    d_model=st.integers(1, 40),
    k=st.integers(1, 30),
    scale=st.integers(-30, 30),
    seed=seeds,
)
def test_whole_vocabularies_against_float64(route, n, d_model, k, scale, seed):
    """Larger than the number of candidates, so that the bound has to decide; with numbers of any size."""
    generator = np.random.default_rng(seed)
    directions = generator.standard_normal((n, d_model)) * 10.0**scale
    W_U = generator.standard_normal((d_model, 400)).astype(np.float32)
    top = read(directions, W_U, k, route)
    scores = np.array([[np.dot(row, column) for column in W_U.T.astype(np.float64)] for row in directions])
    for sign, tokens in top.items():
        chosen = np.take_along_axis(sign * scores, tokens.ids, axis=1)
        # As sets and in order, but for scores that differ in their last bits alone.
        expected = -np.sort(-sign * scores, axis=1)[:, :k]
        np.testing.assert_allclose(chosen, expected, rtol=1e-12, atol=1e-14 * np.abs(scores).max())
        np.testing.assert_allclose(tokens.scores, chosen, rtol=1e-6, atol=1e-40)


@settings(max_examples=60)
@given(n=st.integers(1, 6), d_model=st.integers(1, 30), k=st.integers(1, 12), spread=st.floats(0, 7), seed=seeds)
def test_every_route_gives_the_same_bytes(n, d_model, k, spread, seed):
    """Columns and coordinates of very different size, cancelling terms, and columns that differ in a few bits."""
    generator = np.random.default_rng(seed)
    directions = generator.standard_normal((n, d_model)) * np.exp(spread * generator.standard_normal((n, d_model)))
    W_U = generator.standard_normal((d_model, 150)) * np.exp(spread * generator.standard_normal((d_model, 150)))
    directions[:, -1] = -(directions[:, :-1] * W_U[:-1, :1].T).sum(axis=1) / W_U[-1, 0]  # the first score is about 0
    W_U = np.repeat(W_U, 3, axis=1) * (1 + 1e-7 * generator.integers(-1, 2, size=450))
    expected = as_bytes(read(directions, W_U, k, "float64"))
    for route in ROUTES:
        assert as_bytes(read(directions, W_U, k, route)) == expected, route


@pytest.fixture(scope="module")
def crowded() -> tuple[torch.Tensor, ReadoutMatrix]:
    """Directions [37, 96] and a matrix [96, 1200] in which every column stands four times, in scattered places."""
    generator = np.random.default_rng(0)
    columns = generator.standard_normal((96, 300))
    order = generator.permutation(np.tile(np.arange(300), 4))
    matrix = torch.from_numpy(columns[:, order])
    return torch.from_numpy(generator.standard_normal((37, 96))), ReadoutMatrix(matrix)


@pytest.fixture(scope="module")
def delicate() -> tuple[torch.Tensor, ReadoutMatrix]:
    """Scores that differ in their last bits alone, so that ranks hang on the order in which products are summed.

    Directions are multiples of the ones vector, and four columns at a time have the same numbers in another order.
    """
    generator = np.random.default_rng(0)
    columns = np.repeat(generator.standard_normal((96, 300)), 4, axis=1)
    columns = generator.permuted(columns, axis=0)[:, generator.permutation(1200)]
    directions = torch.from_numpy(generator.standard_normal((37, 1)) * np.ones(96))
    return directions, ReadoutMatrix(torch.from_numpy(columns))


@pytest.mark.parametrize("route", ROUTES)
def test_equal_columns_tie_whatever_their_numbers(route: str, crowded: tuple[torch.Tensor, ReadoutMatrix]) -> None:
    """A matrix product may give equal columns scores that differ in the last bit; their ids must still count up."""
    directions, W_U = crowded[0].numpy(), crowded[1].columns.numpy().T
    kinds = np.unique(W_U, axis=1, return_inverse=True)[1].reshape(-1)
    one_of_each = np.array([np.flatnonzero(kinds == kind)[0] for kind in range(300)])
    for k in (30, 50):  # 50 cuts through the four of a kind
        for sign, tokens in top_tokens(*crowded, k, precision=route).items():
            scores = sign * (directions @ W_U[:, one_of_each])[:, kinds]
            np.testing.assert_array_equal(tokens.ids, best(scores, k))
            np.testing.assert_allclose(tokens.scores, np.take_along_axis(scores, tokens.ids, axis=1), rtol=1e-6)


@pytest.mark.parametrize("case", ["crowded", "delicate"])
def test_any_route_tile_and_threads_give_the_same_bytes(case: str, request, monkeypatch: pytest.MonkeyPatch) -> None:
    directions, matrix = request.getfixturevalue(case)
    before = torch.get_num_threads()
    row = 4 * matrix.d_vocab
    expected = as_bytes(top_tokens(directions, matrix, 50))
    try:
        for route in ROUTES:
            for threads in (1, 2):
                torch.set_num_threads(threads)
                for tile in (1, row, 7 * row, 36 * row, 1000 * row):
                    monkeypatch.setattr(readout, "TILE_BYTES", tile)
                    top = top_tokens(directions, matrix, 50, threads, route)
                    assert as_bytes(top) == expected, (route, threads, tile)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("case", ["crowded", "delicate"])
def test_a_direction_is_read_the_same_alone_and_among_others(case: str, route: str, request) -> None:
    directions, matrix = request.getfixturevalue(case)
    together = top_tokens(directions, matrix, 21, precision=route)
    for row in (0, 17, 36):
        alone = top_tokens(directions[row : row + 1], matrix, 21, precision=route)
        for sign in (+1, -1):
            assert alone[sign].ids[0].tobytes() == together[sign].ids[row].tobytes()
            assert alone[sign].scores[0].tobytes() == together[sign].scores[row].tobytes()


def test_the_other_sign_is_the_opposite_direction(crowded: tuple[torch.Tensor, ReadoutMatrix]) -> None:
    directions, matrix = crowded
    top, opposite = top_tokens(directions, matrix, 40), top_tokens(-directions, matrix, 40)
    for sign in (+1, -1):
        np.testing.assert_array_equal(top[sign].ids, opposite[-sign].ids)
        np.testing.assert_array_equal(top[sign].scores, opposite[-sign].scores)


def test_float32_inputs_are_scored_in_float64() -> None:
    """Two columns whose float32 scores would be equal: 2^24 + 1 is no float32."""
    direction = np.array([[2.0**24, 1.0]], dtype=np.float32)
    W_U = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, -1.0]], dtype=np.float32)
    top = read(direction, W_U, 3)
    assert top[+1].ids.tolist() == [[1, 0, 2]]
    assert top[-1].ids.tolist() == [[2, 0, 1]]


# --- the bound


@settings(max_examples=100)
@given(
    name=st.sampled_from(list(PRECISIONS)),
    n=st.integers(1, 6),
    d_model=st.integers(1, 300),
    spread=st.floats(0, 20),
    scale=st.integers(-25, 18),
    seed=seeds,
)
def test_the_bound_is_never_exceeded(name, n, d_model, spread, scale, seed):
    """Coordinates over many orders of magnitude, and terms that cancel: every score against exact arithmetic."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, d_model)) * np.exp(spread * generator.standard_normal((n, d_model)))
    w = generator.standard_normal((9, d_model)) * np.exp(spread * generator.standard_normal((9, d_model)))
    x *= 10.0**scale
    half = d_model // 2
    w[0, half : 2 * half], x[0, half : 2 * half] = -w[0, :half], x[0, :half]  # these cancel
    precision = PRECISIONS[name]
    x, w = torch.from_numpy(x), torch.from_numpy(w)
    low_x, low_w = x.to(precision.dtype), w.to(precision.dtype)
    approximate = (low_x @ low_w.T).double()
    if not approximate.isfinite().all():
        return  # such a direction is done in float64
    bound = error_bound(
        upper_norms(w),
        upper_norms(low_w.double()),
        upper_norms(w - low_w.double()),
        residual=upper_norms(x - low_x.double())[:, None],
        size=upper_norms(low_x.double())[:, None],
        d_model=d_model,
    )
    bound += precision.output_error * approximate.abs()
    exact = (x.numpy().astype(np.longdouble) @ w.numpy().astype(np.longdouble).T).astype(np.float64)
    assert (np.abs(approximate.numpy() - exact) <= bound.numpy()).all()


def test_a_bound_that_cannot_decide_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    """300 columns that agree to 7 digits: float32 cannot tell which are the best, and says so."""
    generator = np.random.default_rng(0)
    directions = generator.standard_normal((3, 64))
    W_U = np.repeat(generator.standard_normal((64, 1)), 300, axis=1) * (1 + 1e-9 * generator.permutation(300))
    with caplog.at_level("INFO"):
        top = read(directions, W_U, 5, "bfloat16")
    assert "3 of 3 directions were done in float64" in caplog.text
    for sign, tokens in top.items():
        np.testing.assert_array_equal(tokens.ids, best(sign * (directions @ W_U), 5))


# --- what cannot be read


@pytest.mark.parametrize("k", [5, 6, 1000])
@pytest.mark.parametrize("route", ROUTES)
def test_k_is_cut_to_the_vocabulary(k: int, route: str) -> None:
    generator = np.random.default_rng(0)
    top = read(generator.standard_normal((3, 4)), generator.standard_normal((4, 5)), k, route)
    for tokens in top.values():
        assert tokens.ids.shape == tokens.scores.shape == (3, 5)
        assert all(sorted(ids) == [0, 1, 2, 3, 4] for ids in tokens.ids.tolist())


@pytest.mark.parametrize("route", ROUTES)
def test_a_zero_direction_has_the_first_tokens(route: str) -> None:
    """Every score is 0, and ties go to the lowest id; beside it, others are read as ever."""
    generator = np.random.default_rng(0)
    directions, W_U = generator.standard_normal((3, 8)), generator.standard_normal((8, 900))
    directions[1] = 0
    top = read(directions, W_U, 20, route)
    for sign, tokens in top.items():
        assert tokens.ids[1].tolist() == list(range(20))
        assert (tokens.scores[1] == 0).all()
        np.testing.assert_array_equal(tokens.ids[[0, 2]], best(sign * (directions @ W_U), 20)[[0, 2]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["directions", "matrix"])
@pytest.mark.parametrize("route", ROUTES)
def test_numbers_that_are_not_finite_are_refused(where: str, value: float, route: str) -> None:
    generator = np.random.default_rng(0)
    parts = {"directions": generator.standard_normal((3, 4)), "matrix": generator.standard_normal((4, 9))}
    parts[where][1, 2] = value
    with pytest.raises(SvdlensError, match=r"NaN or infinite.*checkpoint"):
        read(parts["directions"], parts["matrix"], 2, route)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("scale", [1e30, 1e300])
def test_scores_beyond_float32_are_refused(scale: float, route: str) -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(SvdlensError, match=r"beyond float32.*checkpoint"):
        read(generator.standard_normal((3, 4)) * scale, generator.standard_normal((4, 9)) * scale, 2, route)


# --- real weights


@pytest.mark.slow
def test_real_attention_against_numpy() -> None:
    """OV of one head of layers 9 and 11 of gpt2-small, both sides, read through a random W_U of its size: lists
    equal to those of a plain float64 product and sort."""
    generator = np.random.default_rng(0)
    W_U = generator.standard_normal((768, 50257)).astype(np.float32)
    matrix = ReadoutMatrix(torch.from_numpy(W_U))
    for layer, head in ((9, 6), (11, 8)):
        raw = load_file(shared("gpt2-small-attention") / f"layer_{layer:02}.safetensors")
        columns = slice(64 * head, 64 * (head + 1))
        W_V = raw[f"transformer.h.{layer}.attn.c_attn.weight"][:, 2 * 768 :][:, columns].astype(np.float64)
        W_O = raw[f"transformer.h.{layer}.attn.c_proj.weight"][columns].astype(np.float64)
        left, _, right = np.linalg.svd(W_V @ W_O)
        directions = np.concatenate([left.T[:8], right[:8]]).astype(np.float32)
        scores = directions.astype(np.float64) @ W_U.astype(np.float64)
        for route in ("float32", "bfloat16"):
            top = top_tokens(torch.from_numpy(directions), matrix, 50, precision=route)
            for sign, tokens in top.items():
                np.testing.assert_array_equal(tokens.ids, best(sign * scores, 50))
