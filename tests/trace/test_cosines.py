"""Cosines of queries with directions, beside those of random queries."""

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control

from random_weights import normal as numbers
from svdlens.trace.cosines import (
    benjamini_hochberg,
    frequency_bands,
    null_group,
    null_queries,
    query_vector,
    trace,
    within,
)

N = 60


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(numbers(seed, *shape))


@pytest.fixture(scope="module")
def given() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, random queries and directions with a part in common, in number more than one tile."""
    shared = normal(4, 1, 24)
    return tuple(normal(seed, n, 24) + shared for seed, n in enumerate((7, N, 9000)))


def test_cosines_and_standard_scores_are_those_of_numpy(given) -> None:
    queries, random, directions = (rows.numpy().astype(np.float64) for rows in given)
    found = trace(*given, threads=2)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, random, directions)]
    cosine, by_chance = unit[0] @ unit[2].T, unit[1] @ unit[2].T
    np.testing.assert_allclose(found.cosine, cosine, atol=1e-6)
    expected = (cosine - by_chance.mean(0)) / by_chance.std(0, ddof=1)
    np.testing.assert_allclose(found.standard_score, expected, atol=1e-4)


def test_p_values_are_shares_of_random_queries_that_are_left_out_of_what_they_are_held_against(given) -> None:
    queries, random, directions = given
    found = trace(queries, random, directions[:200], threads=1)
    by_chance = torch.nn.functional.normalize(random, dim=1) @ torch.nn.functional.normalize(directions[:200], dim=1).T
    left_out = []
    for number in range(N):
        others = by_chance[[other for other in range(N) if other != number]]
        left_out.append((by_chance[number] - others.mean(0)) / others.std(0))
    scores = torch.stack(left_out).abs().numpy()
    at_least = [(scores >= abs(score)).sum() for score in found.standard_score.flat]
    expected = (1 + np.array(at_least)) / (1 + scores.size)
    np.testing.assert_allclose(found.p_value.ravel(), expected, atol=6 / scores.size)


def test_a_standard_score_among_all_is_that_of_the_others_turned() -> None:
    given = normal(3, 50)
    given[7] = 9.0
    for number in (0, 7, 20):
        others = given[torch.arange(50) != number]
        score = (given[number] - others.mean()) / others.std()
        expected = (given[number] - given.mean()) / given.std()
        assert float(within(score, 50)) == pytest.approx(float(expected), abs=1e-9)


def test_random_queries_have_uniform_p_values(given) -> None:
    """Of further random queries a share of .05 has p values up to .05, also with directions that all tokens share."""
    _, random, directions = given
    further = normal(9, 400, 24) + normal(4, 1, 24)
    p_value = trace(further, random, directions[:2000], threads=2).p_value
    for level in (0.01, 0.05, 0.5):
        assert 0.6 * level <= (p_value <= level).mean() <= 1.4 * level


def test_no_number_of_threads_changes_a_bit(given) -> None:
    one, three = (trace(*given, threads=threads) for threads in (1, 3))
    for name in one._fields:
        assert getattr(one, name).tobytes() == getattr(three, name).tobytes()


def test_lengths_and_signs_of_directions_and_queries_change_nothing_else(given) -> None:
    queries, random, directions = given
    before, after = trace(*given, threads=1), trace(3 * queries, 2 * random, 5 * directions, threads=1)
    np.testing.assert_allclose(after.cosine, before.cosine, atol=1e-6)
    flipped = trace(queries, random, -directions, threads=1)
    np.testing.assert_allclose(flipped.cosine, -before.cosine, atol=1e-6)
    np.testing.assert_allclose(flipped.p_value, before.p_value, rtol=1e-3, atol=1e-5)


def test_a_direction_of_zeros_is_along_nothing(given) -> None:
    queries, random, directions = given
    found = trace(queries, random, torch.cat([torch.zeros(1, 24), directions[:10]]), threads=1)
    assert (
        (found.cosine[:, 0] == 0).all() and (found.standard_score[:, 0] == 0).all() and (found.p_value[:, 0] == 1).all()
    )


def test_random_queries_are_as_frequent_and_as_many_as_the_words() -> None:
    ranks = np.random.default_rng(0).permutation(2000) + 1
    bands = frequency_bands(np.log(ranks))
    assert (bands == np.where(ranks <= 1000, 3, 4)).all()
    rare, frequent = int(np.argmax(ranks)), int(np.argmin(ranks))
    assert null_group([[rare], [frequent], [rare]], bands) == (3, 4)
    assert null_group([[frequent, rare]], bands) == (1, 4), "a word of pieces is as rare as the rarest"
    # A vector that says which token it is.
    drawn = null_queries(torch.eye(2000), bands, (3, 4), 40, seed=1)
    assert drawn.sum(1).tolist() == [3.0] * 40
    assert set(drawn.nonzero()[:, 1].tolist()) <= set(np.flatnonzero(bands == 4))


def test_q_values_are_those_of_scipy(given) -> None:
    found = trace(*given, threads=1)
    for p_value, q_value in zip(found.p_value, found.q_value, strict=True):
        np.testing.assert_allclose(q_value, false_discovery_control(p_value), rtol=1e-12)
    # Bins that no direction is in, and one with several.
    p_of_bin, bins = torch.tensor([1.0, 0.5, 0.03, 0.02, 0.001]).double(), torch.tensor([0, 3, 3, 1, 0, 4])
    expected = false_discovery_control(p_of_bin[bins].numpy())
    np.testing.assert_allclose(benjamini_hochberg(p_of_bin, bins)[bins].numpy(), expected, rtol=1e-12)


def test_a_word_of_several_pieces_counts_as_one() -> None:
    vectors = normal(2, 10, 4)
    expected = vectors[3] + (vectors[1] + vectors[2]) / 2
    torch.testing.assert_close(query_vector(vectors, [[3], [1, 2]]), expected)
