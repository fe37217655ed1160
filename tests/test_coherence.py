"""The coherence labeller: calibration against planted lists and shuffles, and what its labels say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, kstest

from svdlens.coherence import (
    FEWEST_TOKENS,
    LIST_LENGTH,
    centred,
    coherence,
    first_distinct,
    membership,
    p_values,
    q_values,
    q_values_of_controls,
    shuffled_lists,
    surface_kind,
    token_groups,
)
from svdlens.labels import label_by_coherence

CLUSTERS, PER_CLUSTER, WIDTH = 40, 30, 64


def planted_vocabulary(seed: int = 0):
    """Tokens in clusters: embeddings of one cluster point roughly the same way."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((CLUSTERS, WIDTH))
    spread = rng.standard_normal((CLUSTERS, PER_CLUSTER, WIDTH))
    embeddings = (centres[:, None] + 0.7 * spread).reshape(-1, WIDTH)
    texts = [f" word{number}" for number in range(len(embeddings))]
    return texts, embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def random_lists(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(CLUSTERS * PER_CLUSTER)[:50] for _ in range(n)])


def planted_lists(n: int, members: int, seed: int) -> np.ndarray:
    """Lists of which the first 15 hold `members` tokens of one cluster."""
    rng = np.random.default_rng(seed)
    lists = random_lists(n, seed)
    for row in lists:
        cluster = rng.integers(CLUSTERS)
        row[:members] = cluster * PER_CLUSTER + rng.permutation(PER_CLUSTER)[:members]
    return lists


def labelled(tokens: np.ndarray, random_unit: np.ndarray, level: float, seed: int, **controls: np.ndarray):
    texts, embeddings = planted_vocabulary()
    ids = {"tokens": tokens, "random_unit": random_unit, **controls}
    return label_by_coherence(ids, texts, embeddings, level, seed)


@given(st.lists(st.lists(st.integers(0, 30), min_size=20, max_size=20), min_size=1, max_size=8))
def test_first_distinct_is_what_a_loop_finds(lists):
    groups = np.arange(31) // 2  # each token has a variant
    found = first_distinct(np.array(lists), groups)
    for row, tokens in enumerate(lists):
        expected: list[int] = []
        for token in tokens:
            if all(token // 2 != other // 2 for other in expected):
                expected.append(token)
        expected = expected[:LIST_LENGTH]
        assert found.ids[row][found.used[row]].tolist() == expected


def test_variants_of_case_and_space_are_one_token():
    assert token_groups([" Fire", "fire", "FIRE ", " ice"]).tolist() == [0, 0, 0, 1]


@given(st.integers(0, 2**32 - 1))
def test_coherence_is_the_mean_over_all_pairs(seed):
    texts, embeddings = planted_vocabulary(seed)
    lists = first_distinct(random_lists(3, seed), token_groups(texts))
    for row, ids in enumerate(lists.ids):
        cosines = embeddings[ids] @ embeddings[ids].T
        assert coherence(lists, embeddings)[row] == pytest.approx(cosines[np.triu_indices(LIST_LENGTH, 1)].mean())
        others = (cosines.sum(1) - 1) / (LIST_LENGTH - 1)
        assert membership(lists, embeddings)[row] == pytest.approx(others)


def test_centred_takes_out_what_all_tokens_share():
    embeddings = planted_vocabulary()[1] + 3.0
    assert np.abs(centred(embeddings + 5.0) - centred(embeddings)).max() < 1e-6
    # A token exactly in the middle has no direction, and none is invented.
    assert not centred(np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]))[2].any()


def test_p_values_count_null_values_at_least_as_high():
    p = p_values(np.array([0.5, 2.0, -1.0, np.nan]), np.array([0.0, 0.5, 1.0, np.nan]))
    assert p[:3].tolist() == [3 / 4, 1 / 4, 1.0]
    assert np.isnan(p[3])


def test_list_null_is_calibrated():
    """Lists without any structure: p-values are uniform, and almost none is called interpretable."""
    texts, embeddings = planted_vocabulary()
    groups = token_groups(texts)
    lists = first_distinct(random_lists(1000, seed=1), groups)
    null = coherence(shuffled_lists(lists, groups, 1000, seed=2), centred(embeddings))
    p = p_values(coherence(lists, centred(embeddings)), null)
    assert 0.03 <= (p <= 0.05).mean() <= 0.07
    assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("members,recall", [(8, 0.95), (11, 0.99)])
def test_planted_lists_are_found_and_false_discoveries_are_few(members, recall):
    tokens = np.concatenate([planted_lists(200, members, seed=3), random_lists(800, seed=4)])
    rows = labelled(tokens, random_lists(500, seed=5), level=0.05, seed=6)["tokens"]
    found = np.array(rows["interpretable"], dtype=bool)
    assert found[:200].mean() >= recall
    assert found[200:].sum() / found.sum() <= 0.05 + 0.03


def test_evidence_and_name_come_from_the_planted_cluster():
    texts, _ = planted_vocabulary()
    tokens = np.concatenate([planted_lists(20, 11, seed=7), random_lists(200, seed=8)])
    rows = labelled(tokens, random_lists(100, seed=9), level=0.05, seed=6)["tokens"]
    evidence = rows["evidence"].to_pylist()
    for row in range(20):
        start = tokens[row, 0] // PER_CLUSTER * PER_CLUSTER
        cluster = set(texts[start : start + PER_CLUSTER])
        assert set(evidence[row]) <= cluster and len(evidence[row]) >= 8
        assert set(rows["label"][row].split(" / ")) <= {text.strip() for text in cluster}
    unfound = [row for row in range(220) if not rows["interpretable"][row]]
    assert all(rows["label"][row] is None and rows["kind"][row] == "none" and not evidence[row] for row in unfound)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(0, 5))
def test_q_values_are_those_of_scipy(counts, missing):
    # Few distinct values, so that ties are frequent; rows without a p-value do not count.
    p = np.array([*counts, *[np.nan] * missing]) / 50
    p = np.random.default_rng(len(counts)).permutation(p)
    q = q_values(p)
    assert np.array_equal(np.isnan(q), np.isnan(p))
    assert q[~np.isnan(p)] == pytest.approx(false_discovery_control(p[~np.isnan(p)]))


def test_without_any_p_value_there_is_no_q_value():
    assert np.isnan(q_values(np.array([np.nan, np.nan]))).all()


def test_controls_pass_at_the_same_p_value_as_rows():
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(0, 0.01, 50), rng.uniform(size=450)])
    q = q_values(p)
    # A control with a row's p-value gets that row's q-value, and the order of p is the order of q.
    assert q_values_of_controls(p, p, q) == pytest.approx(q)
    between = np.sort(rng.uniform(size=200))
    assert (np.diff(q_values_of_controls(between, p, q)) >= 0).all()
    largest_passing = p[q < 0.05].max()
    just_above = np.nextafter(p[p > largest_passing].min(), 1)
    assert q_values_of_controls(np.array([largest_passing]), p, q)[0] < 0.05
    assert q_values_of_controls(np.array([just_above]), p, q)[0] >= 0.05


def test_controls_labelled_like_rows_of_the_same_kind_have_no_excess():
    columns = labelled(planted_lists(600, 6, seed=10), planted_lists(600, 6, seed=11), level=0.05, seed=12)
    share, control_share = (np.mean(columns[name]["interpretable"]) for name in ("tokens", "random_unit"))
    assert share > 0.1
    assert abs(share - control_share) < 0.1


def test_a_further_control_is_labelled_as_the_first_and_changes_no_label():
    """Both nulls come from the rows and from random_unit, so a list gets the same label under any control's name."""
    tokens, random, same = planted_lists(100, 8, 1), random_lists(60, 2), planted_lists(40, 6, 3)
    alone = labelled(tokens, random, level=0.05, seed=0)
    more = labelled(tokens, random, level=0.05, seed=0, rotated=same, gaussian=random)
    assert list(more) == ["tokens", "random_unit", "rotated", "gaussian"]
    for one, other in (("tokens", "tokens"), ("random_unit", "random_unit"), ("random_unit", "gaussian")):
        for column, values in alone[one].items():
            assert str(list(values)) == str(list(more[other][column])), (other, column)
    assert np.mean(more["rotated"]["interpretable"]) > np.mean(more["gaussian"]["interpretable"])


def test_lists_of_too_few_tokens_abstain():
    few = np.tile(np.arange(FEWEST_TOKENS - 1), 50)[None, :50]
    rows = labelled(np.concatenate([few, random_lists(20, 1)]), random_lists(20, 2), level=0.05, seed=0)["tokens"]
    assert rows["status"][0] == "abstained" and rows["interpretable"][0] is None
    assert rows["status"][1] == "ok" and rows["interpretable"][1] is not None


def test_same_seed_same_labels():
    lists = planted_lists(50, 9, 1), random_lists(50, 2)
    first, second = (labelled(*lists, level=0.05, seed=3)["tokens"] for _ in range(2))
    assert np.array_equal(first["p_value"], second["p_value"]) and first["label"] == second["label"]


@pytest.mark.parametrize(
    "tokens,kind",
    [
        ([" walking", " running", " singing", " eating"], "orthographic"),
        (["12", " 1945", "7th", " apple"], "orthographic"),
        (["!", "?!", " ...", "--"], "orthographic"),
        ([" NASA", " USA", "FBI", " BBC"], "orthographic"),
        ([" preheat", " preview", "Prepay", " prefix"], "orthographic"),
        ([" fire", " flame", " burn", " smoke"], "semantic"),
        ([" fire", "'", " burn", " smoke"], "semantic"),
    ],
)
def test_surface_kind(tokens, kind):
    assert surface_kind(tokens) == kind
