"""p-values against null lists and q-values: against loops and scipy, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, kstest

from svdlens.labels.coherence.nulls import NULL_LISTS, p_values, q_values, q_values_of_controls, shuffled_lists
from svdlens.vocabulary.list_similarity import LIST_LENGTH, first_distinct
from tiny_vocabulary import N_TOKENS, random_lists

NAN = float("nan")
# Few distinct values, so that ties are frequent; some are missing, and some as large as can be.
scores = st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0, float("inf"), NAN]), max_size=40).map(np.array)


# --- p-values


@given(scores, scores)
def test_p_values_are_those_of_a_loop(values, null):
    p = p_values(values, null)
    known = [one for one in null.tolist() if not np.isnan(one)]
    assert len(p) == len(values)
    for p_of_value, value in zip(p, values.tolist(), strict=True):
        if np.isnan(value) or not known:
            assert np.isnan(p_of_value)
        else:
            assert p_of_value == (1 + sum(one >= value for one in known)) / (1 + len(known))


@given(scores)
def test_a_higher_score_never_has_a_higher_p_value(values):
    order = np.argsort(values[~np.isnan(values)])
    p = p_values(values[~np.isnan(values)], np.array([-1.0, 0.0, 0.25, 2.0]))
    assert (np.diff(p[order]) <= 0).all()
    assert ((p > 0) & (p <= 1)).all()


# --- the list null


def test_shuffled_lists_are_of_the_tokens_of_all_lists_and_have_no_token_twice():
    groups = np.arange(N_TOKENS) // 2
    lists = first_distinct(random_lists(50, seed=0, length=20), groups)
    shuffled = shuffled_lists(lists, groups, 300, seed=1)
    assert shuffled.ids.shape == (300, LIST_LENGTH)
    assert set(shuffled.ids[shuffled.used].tolist()) <= set(lists.ids[lists.used].tolist())
    for ids, used in zip(shuffled.ids, shuffled.used, strict=True):
        assert len(set(groups[ids[used]].tolist())) == used.sum() == LIST_LENGTH


def test_tokens_are_shuffled_as_often_as_they_occur():
    # One token is in every list, the others in one each.
    lists = first_distinct(np.array([[0, *range(1 + 14 * row, 15 + 14 * row)] for row in range(50)]), np.arange(701))
    shuffled = shuffled_lists(lists, np.arange(701), 2000, seed=0)
    assert lists.ids.shape == (50, LIST_LENGTH) and lists.used.all()
    # Of thirty drawn tokens of which each fifteenth is that one, at least one of the first 15 distinct.
    with_it = (shuffled.ids == 0).any(axis=1).mean()
    assert with_it == pytest.approx(1 - (14 / 15) ** 15, abs=0.05)


def test_shuffles_depend_on_the_seed_alone_and_not_on_the_order_of_rows():
    groups = np.arange(N_TOKENS)
    lists = random_lists(40, seed=0)
    first = shuffled_lists(first_distinct(lists, groups), groups, 100, seed=1)
    again = shuffled_lists(first_distinct(lists[::-1], groups), groups, 100, seed=1)
    other = shuffled_lists(first_distinct(lists, groups), groups, 100, seed=2)
    assert np.array_equal(first.ids, again.ids)
    assert not np.array_equal(first.ids, other.ids)


def test_scores_of_lists_without_structure_have_uniform_p_values():
    """The score of a list is any function of it: here the sum of numbers that its tokens have."""
    groups, values = np.arange(N_TOKENS), np.random.default_rng(3).exponential(size=N_TOKENS)
    lists = first_distinct(random_lists(1000, seed=1), groups)
    null = shuffled_lists(lists, groups, NULL_LISTS, seed=2)
    p = p_values(values[lists.ids].sum(axis=1), values[null.ids].sum(axis=1))
    assert 0.03 <= (p <= 0.05).mean() <= 0.07
    # p is k / 1001; half a step lower its distribution is as uniform as one of 1,001 values can be.
    assert kstest(p - 0.5 / (1 + NULL_LISTS), "uniform").pvalue > 0.01


# --- q-values


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(0, 5), st.randoms())
def test_q_values_are_those_of_scipy(counts, missing, random):
    # Few distinct values, so that ties are frequent; rows without a p-value do not count.
    p = [one / 50 for one in counts] + [NAN] * missing
    random.shuffle(p)
    p = np.array(p)
    q = q_values(p)
    assert np.array_equal(np.isnan(q), np.isnan(p))
    assert q[~np.isnan(p)] == pytest.approx(false_discovery_control(p[~np.isnan(p)]))


@given(st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.3, 1.0, NAN]), max_size=30), st.randoms())
def test_q_values_do_not_depend_on_the_order_of_rows(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    assert np.array_equal(q_values(np.array(p)[order]), q_values(np.array(p))[order], equal_nan=True)


def test_without_any_p_value_there_is_no_q_value():
    assert np.isnan(q_values(np.array([NAN, NAN]))).all()
    assert len(q_values(np.array([]))) == 0
    # And none to give to a control; one that has a p-value passes at no level.
    nothing = np.array([NAN, NAN])
    assert np.array_equal(q_values_of_controls(np.array([0.01, NAN]), nothing, nothing), [1.0, NAN], equal_nan=True)


def test_controls_pass_at_the_same_p_value_as_rows():
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(0, 0.01, 50), rng.uniform(size=450), [NAN] * 10])
    q = q_values(p)
    # A control with a row's p-value gets that row's q-value, and the order of p is the order of q.
    assert q_values_of_controls(p, p, q) == pytest.approx(q, nan_ok=True)
    between = np.sort(rng.uniform(size=200))
    assert (np.diff(q_values_of_controls(between, p, q)) >= 0).all()
    largest_passing = p[q < 0.05].max()
    just_above = np.nextafter(p[p > largest_passing].min(), 1)
    assert q_values_of_controls(np.array([largest_passing]), p, q)[0] < 0.05
    assert q_values_of_controls(np.array([just_above]), p, q)[0] >= 0.05


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=20),
    st.lists(st.one_of(st.integers(1, 20), st.none()), max_size=20),
)
def test_the_q_value_of_a_control_is_that_of_the_next_row(rows, controls):
    p = np.array(rows) / 20
    q = q_values(p)
    p_controls = np.array([NAN if one is None else one / 20 for one in controls], dtype=float)
    q_of_controls = q_values_of_controls(p_controls, p, q)
    for value, p_of_control in zip(q_of_controls, p_controls, strict=True):
        if np.isnan(p_of_control):
            assert np.isnan(value)
        else:
            assert value == min(q[p >= p_of_control], default=1.0)
