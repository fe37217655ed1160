"""Enrichment of lists in classes: against scipy's hypergeometric distribution and loops."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from svdlens.labels.coherence.enrichment import (
    EXTRA,
    FEWEST_SHARED,
    Population,
    count_tokens,
    enrichment,
    log_tails,
    population_of,
    strongest,
)
from svdlens.readout.token_table import DistinctLists
from svdlens.vocabulary.list_similarity import LIST_LENGTH, first_distinct

N_TOKENS = 25
ROWS = st.lists(st.lists(st.integers(0, N_TOKENS - 1), max_size=LIST_LENGTH, unique=True), min_size=1, max_size=6)
SEEDS = st.integers(0, 1000)


def lists_of(rows: list[list[int]]) -> DistinctLists:
    """Distinct ids as lists; what is unused holds a token like any other."""
    ids = np.full((len(rows), LIST_LENGTH), N_TOKENS - 1)
    used = np.zeros(ids.shape, bool)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)], used[row, : len(tokens)] = tokens, True
    return DistinctLists(ids, used)


def random_classes(seed: int) -> scipy.sparse.csr_matrix:
    """Seven classes, of which one has every token and one has none."""
    rng = np.random.default_rng(seed)
    members = rng.random((N_TOKENS, 7)) < [0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 0.0]
    return scipy.sparse.csr_matrix(members.astype(np.float32))


def of_chance(size: int, in_class: int, drawn: int, shared: int) -> float:
    """-log10 of P(at least `shared` of `drawn` tokens are in a class), with what is added to the population."""
    return -np.log10(hypergeom.sf(shared - 1, size + EXTRA, max(in_class, shared) + 1, drawn))


# --- against scipy


@given(ROWS, SEEDS)
def test_strengths_are_those_of_scipy(rows, seed):
    classes, lists = random_classes(seed), lists_of(rows)
    population = population_of(lists, classes)
    strengths = enrichment(lists, classes, population).strengths.toarray()
    members = classes.toarray() > 0
    size = sum(map(len, rows))
    assert population.size == size
    assert population.in_class.tolist() == [
        sum(members[token, one] for row in rows for token in row) for one in range(7)
    ]
    for row, tokens in enumerate(rows):
        for one in range(7):
            shared = int(members[tokens, one].sum())
            if shared < FEWEST_SHARED:
                assert strengths[row, one] == 0
            else:
                expected = of_chance(size, population.in_class[one], len(tokens), shared)
                assert strengths[row, one] == pytest.approx(expected, rel=1e-8, abs=1e-9)


@given(ROWS, ROWS, SEEDS)
def test_strengths_in_another_population_are_finite(rows, others, seed):
    """As for the lists of controls, which may have tokens that no list of the population has."""
    classes, lists = random_classes(seed), lists_of(rows)
    population = population_of(lists_of(others), classes)
    strengths = enrichment(lists, classes, population).strengths.toarray()
    members = classes.toarray() > 0
    assert np.isfinite(strengths).all() and (strengths >= 0).all()
    for row, tokens in enumerate(rows):
        for one in range(7):
            shared = int(members[tokens, one].sum())
            if shared >= FEWEST_SHARED and len(tokens) <= population.size + EXTRA:
                expected = of_chance(population.size, population.in_class[one], len(tokens), shared)
                assert strengths[row, one] == pytest.approx(expected, rel=1e-8, abs=1e-9)


@given(
    st.integers(0, 2000).flatmap(
        lambda size: st.tuples(st.just(size), st.integers(0, size), st.integers(0, LIST_LENGTH))
    )
)
def test_tails_are_those_of_scipy(drawn_from):
    size, in_class, drawn = drawn_from
    tails = log_tails(size, np.array([in_class]), drawn)[0]
    expected = hypergeom.logsf(np.arange(drawn + 1) - 1, size + EXTRA, in_class + 1, drawn) / np.log(10)
    assert tails[0] == pytest.approx(0, abs=1e-9)
    assert (np.diff(tails[np.isfinite(tails)]) <= 0).all()
    known = np.arange(drawn + 1) <= in_class + 1
    assert tails[known] == pytest.approx(expected[known], rel=1e-7, abs=1e-9)
    assert (tails[~known] == -np.inf).all()


def test_tails_stay_exact_where_probabilities_are_tiny():
    # Fifteen of fifteen tokens from a class of 20 among a million: 10^-70, where 1 - (sum of the others) is 0.
    tails = log_tails(10**6, np.array([20]), 15)[0]
    exact = hypergeom.logpmf(15, 10**6 + EXTRA, 21, 15) / np.log(10)
    assert tails[15] == pytest.approx(exact, rel=1e-6) and exact < -60


# --- what it should say


def test_more_tokens_in_a_class_are_stronger_and_so_is_a_rarer_class():
    classes = np.zeros((N_TOKENS, 3), np.float32)
    classes[:5, 0] = classes[:10, 1] = classes[:, 2] = 1
    classes = scipy.sparse.csr_matrix(classes)
    population = Population(10**6, np.array([5000, 10_000, 10**6]))
    by_number = [
        enrichment(lists_of([[*range(k), *range(10, 20 - k)]]), classes, population).strengths.toarray()[0]
        for k in range(6)
    ]
    for fewer, more in pairwise(by_number[2:]):
        assert more[0] > fewer[0] and more[1] > fewer[1]
        assert more[0] > more[1] > more[2]
    # Nothing follows from a class that every token is in.
    assert max(strengths[2] for strengths in by_number) < 0.01


@pytest.mark.parametrize("n_used", range(LIST_LENGTH + 1))
def test_short_lists_are_drawn_as_long_as_they_are(n_used):
    classes = random_classes(0)
    lists = lists_of([list(range(n_used)), list(range(LIST_LENGTH))])
    population = Population(1000, np.arange(100, 800, 100))
    both = enrichment(lists, classes, population).strengths.toarray()
    alone = enrichment(lists_of([list(range(n_used))]), classes, population).strengths.toarray()
    assert np.array_equal(both[0], alone[0])
    shared = (classes.toarray()[:n_used] > 0).sum(axis=0)
    for one in np.flatnonzero(shared >= FEWEST_SHARED):
        assert both[0, one] == pytest.approx(of_chance(1000, population.in_class[one], n_used, int(shared[one])))


def test_counts_are_those_of_a_dense_product():
    rng = np.random.default_rng(0)
    lists = first_distinct(rng.integers(0, N_TOKENS, (50, 20)), np.arange(N_TOKENS) // 2)
    classes = random_classes(1)
    dense = np.zeros((50, N_TOKENS))
    for row, (ids, used) in enumerate(zip(lists.ids, lists.used, strict=True)):
        dense[row, ids[used]] = 1
    assert np.array_equal(count_tokens(lists, classes).toarray(), dense @ classes.toarray())


# --- the strongest class of a list


@given(st.integers(0, 6), st.integers(1, 6), SEEDS)
def test_the_strongest_is_that_of_a_dense_loop(n, n_classes, seed):
    rng = np.random.default_rng(seed)
    dense = rng.random((n, n_classes)) * (rng.random((n, n_classes)) < 0.4)  # rows without an entry are frequent
    wanted = rng.random(n_classes) < 0.6
    strengths = strongest(scipy.sparse.csr_matrix(dense), wanted)
    expected = [max((dense[row, one] for one in range(n_classes) if wanted[one]), default=0.0) for row in range(n)]
    assert strengths.tolist() == expected


@pytest.mark.parametrize("n", [0, 3])
def test_without_classes_nothing_is_strong(n):
    classes = scipy.sparse.csr_matrix((N_TOKENS, 0), dtype=np.float32)
    lists = lists_of([list(range(10))] * n)
    counts, strengths = enrichment(lists, classes, population_of(lists, classes))
    assert counts.shape == (n, 0)
    assert strengths.shape == (n, 0)
    assert strongest(strengths, np.zeros(0, bool)).tolist() == [0.0] * n
