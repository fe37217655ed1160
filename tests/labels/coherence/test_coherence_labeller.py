"""The labeller coherence on a made-up vocabulary: what it finds, what it says of it, and what must not matter."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, hypergeom

from svdlens.labels.coherence.enrichment import EXTRA, FEWEST_SHARED, population_of
from svdlens.labels.coherence.labeller import (
    FORM_WEIGHT,
    LISTS_AT_ONCE,
    Coherence,
    evidence_of_null,
    find_evidence,
    labeller_from_files,
)
from svdlens.labels.coherence.nulls import NULL_LISTS, shuffled_lists
from svdlens.labels.labeller import SINGULAR, TokenLists
from svdlens.vocabulary.list_similarity import FEWEST_TOKENS, LIST_LENGTH, first_distinct
from svdlens.vocabulary.token_features import KnownVocabulary, load_vocabulary
from svdlens.vocabulary.word_forms import ALL_FUNCTION_WORDS
from tiny_vocabulary import (
    CLUSTERS,
    N_TOKENS,
    NO_WORDS,
    PER_CLUSTER,
    clustered_lists,
    features_of,
    random_lists,
    tiny_vocabulary,
    tokens_of,
    write_vocabulary,
)

VOCABULARY = tiny_vocabulary()
LEVEL = 0.05
WITH_CONCEPT, WITHOUT = range(0, 36, 2), range(1, 36, 2)  # clusters
EMPTY = np.empty((0, 20), int)


def label(
    vocabulary: KnownVocabulary = VOCABULARY, level: float = LEVEL, seed: int = 0, **lists: np.ndarray
) -> dict[str, dict[str, Any]]:
    return Coherence(vocabulary, level, seed).label_ids(lists)


def rows_of(columns: Mapping[str, Any]) -> list[str]:
    """Each row as text, where NaN is NaN."""
    return [str(row) for row in zip(*(list(values) for values in columns.values()), strict=True)]


def among_others(*planted: list[int] | np.ndarray, times: int = 20, n: int = 200) -> np.ndarray:
    """Lists that begin with the planted tokens, `times` of each, and n random lists after them.

    One list alone would not pass among so many: the smallest p-value is 1 / (1 + NULL_LISTS).
    """
    planted = [tokens for tokens in planted for _ in range(times)]
    lists = random_lists(len(planted) + n, seed=1, length=2 * LIST_LENGTH)
    for row, tokens in zip(lists, planted, strict=False):
        row[:] = np.append(tokens, np.setdiff1d(row, tokens, assume_unique=True)[: len(row) - len(tokens)])
    return lists[:, :LIST_LENGTH]


# --- what is found


@pytest.mark.parametrize("clusters", [WITH_CONCEPT, WITHOUT], ids=["with a concept", "by embeddings alone"])
@pytest.mark.parametrize("members,recall", [(8, 0.95), (11, 0.99)])
def test_planted_lists_are_found_and_false_discoveries_are_few(members, recall, clusters):
    tokens = np.concatenate([clustered_lists(200, members, 3, clusters), random_lists(800, seed=4)])
    rows = label(singular=tokens, random_unit=random_lists(500, seed=5))[SINGULAR]
    interpretable = np.array(rows["interpretable"], dtype=bool)
    assert interpretable[:200].mean() >= recall
    assert interpretable[200:].sum() / interpretable.sum() <= LEVEL + 0.03
    # And better than random directions, which here are all incoherent.
    assert np.mean(rows["q_direction"][:200] < LEVEL) >= recall


@pytest.mark.parametrize("form", ["form 3", "form 4"])
def test_lists_of_one_form_are_found(form):
    kind = VOCABULARY.classes.kinds[VOCABULARY.classes.names.index(form)]
    form_tokens = tokens_of(VOCABULARY, form)
    rng = np.random.default_rng(0)
    planted = [rng.permutation(form_tokens)[:14] for _ in range(30)]
    rows = label(singular=among_others(*planted, times=1, n=1000))[SINGULAR]
    interpretable_rows = [row for row in range(30) if rows["interpretable"][row]]
    assert len(interpretable_rows) >= 28
    assert {(rows["label"][row], rows["kind"][row]) for row in interpretable_rows} == {(form, kind)}


def test_lists_without_structure_have_no_label():
    rows = label(singular=random_lists(1000, seed=0), random_unit=random_lists(300, seed=1))[SINGULAR]
    assert np.mean(rows["interpretable"]) < 0.01
    for row in range(1000):
        if not rows["labelled"][row] and rows["kind"][row] == "none":
            assert (rows["label"][row], rows["evidence"][row], rows["n_concepts"][row]) == (None, [], 0)
    assert rows["verified"] == [None] * 1000


# --- what is said


def test_a_concept_names_a_list_and_the_evidence_is_of_it():
    tokens = np.concatenate([clustered_lists(40, 11, 7, WITH_CONCEPT), random_lists(200, seed=8)])
    rows = label(singular=tokens)[SINGULAR]
    for row in range(40):
        name = f"concept {tokens[row, 0] // PER_CLUSTER}"
        concept_texts = {VOCABULARY.texts[id] for id in tokens_of(VOCABULARY, name)}
        in_list = [VOCABULARY.texts[id] for id in tokens[row, :LIST_LENGTH]]
        assert (rows["label"][row], rows["kind"][row], rows["n_concepts"][row]) == (name, "semantic", 1)
        assert rows["evidence"][row] == [text for text in in_list if text in concept_texts]
        assert len(rows["evidence"][row]) >= 11


def test_without_a_class_three_tokens_name_a_list():
    tokens = np.concatenate([clustered_lists(40, 11, 7, WITHOUT), random_lists(200, seed=8)])
    rows = label(singular=tokens)[SINGULAR]
    named_by_tokens = [row for row in range(40) if " / " in rows["label"][row]]
    assert len(named_by_tokens) >= 36  # forms may name a few by chance
    for row in named_by_tokens:
        start = tokens[row, 0] // PER_CLUSTER * PER_CLUSTER
        cluster = set(VOCABULARY.texts[start : start + PER_CLUSTER])
        assert set(rows["evidence"][row]) <= cluster and len(rows["evidence"][row]) >= 8
        names = rows["label"][row].split(" / ")
        assert len(set(names)) == 3 and {f" {name}" for name in names} <= cluster
        assert (rows["kind"][row], rows["n_concepts"][row]) == ("semantic", 1)


@pytest.mark.parametrize("function_words,kind", [(30, "grammatical"), (0, "semantic")])
def test_what_alike_function_words_share_is_grammar(function_words, kind):
    cluster = WITHOUT[2]
    texts = list(VOCABULARY.texts)
    for number, word in enumerate(sorted(ALL_FUNCTION_WORDS)[:function_words]):
        texts[cluster * PER_CLUSTER + number] = f" {word.title()}"
    tokens = np.concatenate([clustered_lists(20, 13, 7, range(cluster, cluster + 1)), random_lists(200, seed=8)])
    rows = label(VOCABULARY._replace(texts=texts), singular=tokens)[SINGULAR]
    interpretable_rows = [row for row in range(20) if rows["interpretable"][row] and " / " in rows["label"][row]]
    assert len(interpretable_rows) >= 15
    assert {rows["kind"][row] for row in interpretable_rows} == {kind}


def test_what_alike_tokens_that_are_no_words_share_is_their_spelling():
    without_concept = [cluster for cluster in NO_WORDS if cluster % 2]
    tokens = np.concatenate([clustered_lists(20, 13, 7, without_concept), random_lists(200, seed=8)])
    rows = label(singular=tokens)[SINGULAR]
    interpretable_rows = [row for row in range(20) if rows["interpretable"][row] and " / " in rows["label"][row]]
    assert len(interpretable_rows) >= 15
    assert {rows["kind"][row] for row in interpretable_rows} == {"orthographic"}


@pytest.mark.parametrize("concepts", [[2], [2, 4], [2, 4, 6]], ids=len)
def test_concepts_that_each_explain_a_third_are_counted(concepts):
    each = LIST_LENGTH // len(concepts)
    planted = [cluster * PER_CLUSTER + member for cluster in concepts for member in range(each)]
    rows = label(singular=among_others(planted))[SINGULAR]
    assert rows["interpretable"][0]
    assert rows["n_concepts"][0] == len(concepts)
    assert rows["label"][0] in [f"concept {cluster}" for cluster in concepts]
    label_texts = {VOCABULARY.texts[id] for id in tokens_of(VOCABULARY, rows["label"][0])}
    assert set(rows["evidence"][0]) <= label_texts and len(rows["evidence"][0]) >= each


@pytest.mark.parametrize(
    "name,kind", [("frequent tokens", "frequency"), ("rare tokens", "frequency"), ("glitches", "glitch")]
)
def test_lists_of_frequent_rare_or_glitch_tokens_are_kinds_of_their_own(name, kind):
    class_tokens = tokens_of(VOCABULARY, name)
    planted = [np.random.default_rng(seed).permutation(class_tokens)[:n] for n in (11, 15) for seed in range(5)]
    # Beside clustered lists, so that some of the planted ones hang together and others do not.
    tokens = np.concatenate([among_others(*planted, times=1), clustered_lists(200, 11, 1)[:, :LIST_LENGTH]])
    columns = label(singular=tokens, random_unit=tokens[:50])
    for rows in columns.values():
        for row in range(10):
            assert (rows["label"][row], rows["kind"][row]) == (name, kind)
            assert set(rows["evidence"][row]) <= {VOCABULARY.texts[id] for id in class_tokens}
            assert len(rows["evidence"][row]) >= 11
        assert not any(
            interpretable
            for kind_of_row, interpretable in zip(rows["kind"], rows["interpretable"], strict=True)
            if kind_of_row in ("frequency", "glitch")
        )


def test_frequent_tokens_that_share_something_rarer_are_that():
    # Two concepts are all of the frequent tokens.
    members = VOCABULARY.classes.membership.toarray()
    frequent = VOCABULARY.classes.names.index("frequent tokens")
    members[:, frequent] = 0
    members[tokens_of(VOCABULARY, "concept 2"), frequent] = members[tokens_of(VOCABULARY, "concept 4"), frequent] = 1
    classes = VOCABULARY.classes._replace(membership=type(VOCABULARY.classes.membership)(members))
    vocabulary = VOCABULARY._replace(classes=classes)
    two, four = tokens_of(vocabulary, "concept 2"), tokens_of(vocabulary, "concept 4")
    rows = label(vocabulary, singular=among_others(two[:13], [*two[:7], *four[:7]]))[SINGULAR]
    assert (rows["label"][0], rows["kind"][0], rows["interpretable"][0]) == ("concept 2", "semantic", True)
    assert (rows["kind"][20], rows["interpretable"][20]) == ("frequency", False)


# --- calibration


def of_chance(in_class: int, size: int, drawn: int, shared: int) -> float:
    """-log10 of the probability of `shared` tokens or more, none for fewer than FEWEST_SHARED."""
    if shared < FEWEST_SHARED:
        return 0.0
    return float(-hypergeom.logsf(shared - 1, size + EXTRA, in_class + 1, drawn) / np.log(10))


def evidence_by_loops(lists: np.ndarray, population: np.ndarray) -> np.ndarray:
    """[n, 3]: similarity, the strongest concept, the strongest form, of lists of distinct tokens."""
    classes, vectors = VOCABULARY.classes, VOCABULARY.vectors.astype(float)
    members = classes.membership.toarray() > 0
    in_class = members[population.ravel()].sum(axis=0)
    evidence = np.zeros((len(lists), 3))
    for row, ids in enumerate(lists):
        cosines = np.maximum(vectors[ids] @ vectors[ids].T, 0) ** 2
        evidence[row, 0] = (cosines.sum() - np.trace(cosines)) / (len(ids) * (len(ids) - 1))
        for kind, shared, total in zip(classes.kinds, members[ids].sum(axis=0), in_class, strict=True):
            if kind in ("semantic", "grammatical", "orthographic"):
                column = 1 if kind == "semantic" else 2
                strength = of_chance(int(total), population.size, len(ids), int(shared))
                evidence[row, column] = max(evidence[row, column], strength)
    return evidence


def test_scores_are_sums_of_three_kinds_of_evidence_in_standard_deviations_of_the_null():
    tokens = np.vstack([clustered_lists(5, 9, 1), random_lists(15, 2)])[:, :LIST_LENGTH]
    groups = VOCABULARY.classes.groups
    shuffled = shuffled_lists(first_distinct(tokens, groups), groups, NULL_LISTS, seed=5)
    assert shuffled.used.all()
    null = evidence_by_loops(shuffled.ids, tokens)
    rows = label(singular=tokens, seed=5)[SINGULAR]
    deviations = (evidence_by_loops(tokens, tokens) - null.mean(axis=0)) / null.std(axis=0)
    assert rows["score"] == pytest.approx(deviations @ [1.0, 1.0, FORM_WEIGHT], rel=1e-4, abs=1e-4)


def test_evidence_of_null_lists_does_not_depend_on_how_many_are_looked_at_together():
    lists = first_distinct(random_lists(2 * LISTS_AT_ONCE + 7, seed=0), VOCABULARY.classes.groups)
    population = population_of(lists, VOCABULARY.classes.membership)
    together, _ = find_evidence(lists, VOCABULARY, population)
    for one, other in zip(evidence_of_null(lists, VOCABULARY, population), together, strict=True):
        assert np.array_equal(one, other)


def test_p_values_count_null_lists_and_random_directions_at_least_as_high():
    tokens = np.vstack([clustered_lists(30, 7, 1), random_lists(50, 2)])
    groups = VOCABULARY.classes.groups
    # The shuffled lists once more, as a control, so that their scores are told.
    shuffled = shuffled_lists(first_distinct(tokens, groups), groups, NULL_LISTS, seed=3)
    assert shuffled.used.all()
    columns = label(singular=tokens, random_unit=clustered_lists(70, 5, 4), shuffled=shuffled.ids, seed=3)
    rows = columns[SINGULAR]
    for null_name, name, q in (("shuffled", "p_value", "q_value"), ("random_unit", "p_direction", "q_direction")):
        null = columns[null_name]["score"]
        for rows_of_table in columns.values():
            for score, p in zip(rows_of_table["score"][:100], rows_of_table[name][:100], strict=True):
                assert p == (1 + np.sum(null >= score)) / (1 + len(null))
        assert rows[q] == pytest.approx(false_discovery_control(rows[name]))
        # A control passes where a row of the same p-value would.
        for rows_of_table in columns.values():
            for p, q_of_row in zip(rows_of_table[name], rows_of_table[q], strict=True):
                assert q_of_row == pytest.approx(min(rows[q][rows[name] >= p], default=1.0))
    for rows_of_table in columns.values():
        assert rows_of_table["labelled"] == [bool(one < LEVEL) for one in rows_of_table["q_value"]]


def test_the_level_is_a_limit_of_q():
    lists = {SINGULAR: np.vstack([clustered_lists(60, 6, 1), random_lists(100, 2)]), "random_unit": random_lists(9, 3)}
    strict, lenient = (label(level=level, **lists) for level in (0.01, 0.3))
    for name in lists:
        assert np.array_equal(strict[name]["q_value"], lenient[name]["q_value"])
        for columns, level in ((strict, 0.01), (lenient, 0.3)):
            assert columns[name]["labelled"] == (columns[name]["q_value"] < level).tolist()
    assert sum(strict[SINGULAR]["labelled"]) < sum(lenient[SINGULAR]["labelled"])


def test_a_further_control_is_labelled_as_the_first_and_changes_no_label():
    """Both nulls come from the rows and from random_unit, so a list gets the same label under any control's name."""
    tokens, random, same = clustered_lists(100, 8, 1), random_lists(60, 2), clustered_lists(40, 6, 3)
    alone = label(singular=tokens, random_unit=random)
    more = label(singular=tokens, random_unit=random, rotated=same, gaussian=random)
    assert list(more) == [SINGULAR, "random_unit", "rotated", "gaussian"]
    for one, other in ((SINGULAR, SINGULAR), ("random_unit", "random_unit"), ("random_unit", "gaussian")):
        assert rows_of(alone[one]) == rows_of(more[other])
    assert np.mean(more["rotated"]["interpretable"]) > np.mean(more["gaussian"]["interpretable"])


def test_controls_of_the_same_kind_as_the_rows_have_no_excess():
    columns = label(singular=clustered_lists(600, 6, 10), random_unit=clustered_lists(600, 6, 11))
    share, share_of_controls = (np.mean(columns[name]["interpretable"]) for name in (SINGULAR, "random_unit"))
    assert share > 0.1
    assert abs(share - share_of_controls) < 0.1
    assert 0.01 <= np.mean(columns[SINGULAR]["p_direction"] <= 0.05) <= 0.09


def test_controls_of_tokens_that_no_row_has_get_finite_scores():
    # Rows of the first clusters, controls of the others: classes that the population knows nothing of.
    rows, controls = random_lists(200, 0, N_TOKENS), random_lists(50, 1, N_TOKENS)
    half = N_TOKENS // 2
    rows = np.stack([row[row < half][:20] for row in rows])
    controls = np.stack([row[row >= half][:20] for row in controls])
    controls[:10, :12] = clustered_lists(10, 12, 2, range(CLUSTERS // 2, CLUSTERS, 2))[:, :12]
    columns = label(singular=rows, random_unit=controls)
    for rows_of_table in columns.values():
        assert np.isfinite(rows_of_table["score"]).all()
    assert (columns["random_unit"]["p_value"][:10] == 1 / (1 + NULL_LISTS)).all()
    assert np.median(columns["random_unit"]["p_value"][10:]) > 0.1


def test_other_null_lists_may_take_the_place_of_shuffles():
    groups = VOCABULARY.classes.groups
    null = first_distinct(random_lists(300, 9), groups)
    # Lists that are all alike: shuffles of them hang together as well as they do.
    tokens = clustered_lists(30, LIST_LENGTH, 1, range(2, 3))[:, :LIST_LENGTH]
    labeller = Coherence(VOCABULARY, LEVEL, 0)
    by_shuffles, by_others = labeller.label_ids({SINGULAR: tokens}), labeller.label_ids({SINGULAR: tokens}, null)
    assert not any(by_shuffles[SINGULAR]["interpretable"])
    assert all(by_others[SINGULAR]["interpretable"])
    assert set(by_others[SINGULAR]["label"]) == {"concept 2"}
    assert np.array_equal(by_others[SINGULAR]["p_value"], np.full(30, 1 / 301))


# --- what must not matter


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random):
    short = np.tile(np.arange(FEWEST_TOKENS - 1), 20)[None, :50]
    frequent = np.resize(tokens_of(VOCABULARY, "frequent tokens"), 50)[None]
    tokens = np.concatenate([clustered_lists(30, 8, 1), random_lists(300, 2), short, frequent])
    controls = random_lists(40, 3)
    orders = [list(range(len(lists))) for lists in (tokens, controls)]
    for order in orders:
        random.shuffle(order)
    before = label(singular=tokens, random_unit=controls)
    after = label(singular=tokens[orders[0]], random_unit=controls[orders[1]])
    for name, order in zip(before, orders, strict=True):
        rows = rows_of(before[name])
        assert rows_of(after[name]) == [rows[row] for row in order]


def test_the_same_seed_gives_the_same_labels_and_another_nearly_the_same():
    lists = {SINGULAR: np.vstack([clustered_lists(50, 9, 1), random_lists(50, 2)]), "random_unit": random_lists(50, 3)}
    first, second, other = (label(seed=seed, **lists) for seed in (3, 3, 4))
    for name in lists:
        assert rows_of(first[name]) == rows_of(second[name])
    assert not np.array_equal(first[SINGULAR]["p_value"], other[SINGULAR]["p_value"])
    assert np.mean(np.array(first[SINGULAR]["interpretable"]) == other[SINGULAR]["interpretable"]) > 0.95


def test_tokens_after_the_first_fifteen_distinct_ones_and_repetitions_do_not_matter():
    tokens = np.vstack([clustered_lists(20, 9, 1), random_lists(100, 2)])
    repeated = np.repeat(tokens[:, :LIST_LENGTH], 2, axis=1)
    assert rows_of(label(singular=tokens)[SINGULAR]) == rows_of(label(singular=repeated)[SINGULAR])
    longer = np.hstack([tokens[:, :LIST_LENGTH], random_lists(len(tokens), 5)])
    assert rows_of(label(singular=tokens)[SINGULAR]) == rows_of(label(singular=longer)[SINGULAR])


# --- lists of which little or nothing can be said


def is_abstained(rows: Mapping[str, Any], row: int) -> bool:
    known = (rows["label"][row], rows["kind"][row], rows["status"][row], rows["evidence"][row])
    unknown = [rows[name][row] for name in ("labelled", "verified", "interpretable", "n_concepts")]
    numbers = [rows[name][row] for name in ("score", "p_value", "q_value", "p_direction", "q_direction")]
    return known == (None, "none", "abstained", []) and unknown == [None] * 4 and bool(np.isnan(numbers).all())


def test_lists_of_too_few_tokens_abstain_and_count_for_nothing():
    few = [np.resize(np.arange(n) + 7, 50) for n in range(1, FEWEST_TOKENS)]
    # Also where these few are known as frequent tokens.
    few.append(np.resize(tokens_of(VOCABULARY, "frequent tokens")[: FEWEST_TOKENS - 1], 50))
    enough = np.resize(np.arange(FEWEST_TOKENS) + 7, 50)
    columns = label(singular=np.vstack([*few, enough, random_lists(20, 1)]), random_unit=np.vstack([*few, *few]))
    rows = columns[SINGULAR]
    assert [is_abstained(rows, row) for row in range(len(few))] == [True] * len(few)
    assert rows["status"][len(few) :] == ["ok"] * 21
    assert not np.isnan(rows["p_value"][len(few) :]).any()
    # Not among the rows whose discoveries are counted, and not among the random directions.
    known = rows["p_value"][len(few) :]
    assert rows["q_value"][len(few) :] == pytest.approx(false_discovery_control(known))
    assert all(is_abstained(columns["random_unit"], row) for row in range(2 * len(few)))
    assert np.isnan(rows["p_direction"]).all()


@pytest.mark.parametrize("controls", [EMPTY, random_lists(3, 0)], ids=["no controls", "controls"])
def test_a_table_without_rows_has_no_labels(controls):
    columns = label(singular=EMPTY, random_unit=controls)
    for name, n in ((SINGULAR, 0), ("random_unit", len(controls))):
        assert {len(values) for values in columns[name].values()} == {n}
        assert all(is_abstained(columns[name], row) for row in range(n))


def test_without_random_directions_there_is_no_direction_null():
    tokens = clustered_lists(30, 9, 1)
    for columns in (label(singular=tokens), label(singular=tokens, random_unit=EMPTY)):
        assert np.isnan(columns[SINGULAR]["p_direction"]).all() and np.isnan(columns[SINGULAR]["q_direction"]).all()
        assert not np.isnan(columns[SINGULAR]["q_value"]).any()


def test_a_table_of_lists_of_one_token_abstains():
    rows = label(singular=np.full((4, 20), 5), random_unit=random_lists(3, 0))[SINGULAR]
    assert all(is_abstained(rows, row) for row in range(4))


@pytest.mark.parametrize("n", [1, 2, 50])
def test_one_list_again_and_again_is_no_better_than_its_shuffles(n):
    for one in (clustered_lists(1, LIST_LENGTH, 1, range(2, 3)), random_lists(1, 2)):
        rows = label(singular=np.repeat(one[:, :LIST_LENGTH], n, axis=0), random_unit=random_lists(20, 3))[SINGULAR]
        assert rows["status"] == ["ok"] * n
        assert rows["interpretable"] == [False] * n
        assert np.isfinite(rows["score"]).all()


def test_a_vocabulary_without_classes_has_its_embeddings():
    vocabulary = tiny_vocabulary(no_classes=True)
    tokens = np.vstack([clustered_lists(50, 11, 1), random_lists(200, 2)])
    rows = label(vocabulary, singular=tokens, random_unit=random_lists(50, 3))[SINGULAR]
    assert np.mean(rows["interpretable"][:50]) > 0.95
    assert all(" / " in name for name, passed in zip(rows["label"], rows["interpretable"], strict=True) if passed)


def test_a_vocabulary_of_tokens_without_embeddings_has_its_classes():
    vocabulary = VOCABULARY._replace(vectors=np.zeros_like(VOCABULARY.vectors))
    tokens = np.vstack([clustered_lists(50, 13, 1, WITH_CONCEPT), random_lists(200, 2)])
    rows = label(vocabulary, singular=tokens, random_unit=random_lists(50, 3))[SINGULAR]
    assert np.mean(rows["interpretable"][:50]) > 0.95
    assert {name.split()[0] for name in rows["label"][:50] if name} == {"concept"}


def test_of_tokens_of_which_nothing_is_known_nothing_is_found():
    vocabulary = tiny_vocabulary(no_classes=True)
    vocabulary = vocabulary._replace(
        vectors=np.zeros_like(vocabulary.vectors),
        classes=vocabulary.classes._replace(is_word=np.zeros(N_TOKENS, bool)),
    )
    columns = label(vocabulary, singular=random_lists(50, 1), random_unit=random_lists(20, 2))
    for rows in columns.values():
        assert rows["status"] == ["ok"] * len(rows["status"])
        assert not any(rows["interpretable"]) and set(rows["kind"]) == {"none"}
        assert (rows["p_value"] == 1).all() and (rows["p_direction"] == 1).all()


# --- as a labeller of the sweep


def test_lists_with_texts_are_labelled_by_their_ids_alone():
    """The labeller knows the texts of its vocabulary, and looks at no others."""
    lists = {SINGULAR: clustered_lists(60, 9, 1), "random_unit": random_lists(50, 2), "gaussian": random_lists(30, 3)}
    anything = {
        name: TokenLists(ids, pa.array([["anything"] * ids.shape[1]] * len(ids), pa.list_(pa.string())))
        for name, ids in lists.items()
    }
    labeller = Coherence(VOCABULARY, LEVEL, 0)
    by_ids, (by_lists, _) = labeller.label_ids(lists), labeller.label(anything)
    assert list(by_lists) == list(lists)
    for name in lists:
        assert list(by_lists[name]) == list(by_ids[name])
        assert rows_of(by_lists[name]) == rows_of(by_ids[name])
    assert labeller.facts == VOCABULARY.facts


def test_a_labeller_of_files_is_one_of_the_vocabulary_in_them(tmp_path):
    embeddings, name_embeddings = VOCABULARY.vectors + np.float32(0.3), VOCABULARY.name_vectors
    files = write_vocabulary(tmp_path, VOCABULARY, embeddings, name_embeddings)
    vocabulary = load_vocabulary(files["embeddings"], features_of(VOCABULARY), VOCABULARY.texts)
    lists = {SINGULAR: np.vstack([clustered_lists(60, 9, 1), random_lists(100, 2)]), "random_unit": random_lists(40, 3)}
    for level, seed in ((0.01, 0), (0.3, 4)):
        labeller = labeller_from_files(files, {"level": level}, seed)
        expected = label(vocabulary, level, seed, **lists)
        assert labeller.facts == vocabulary.facts
        for name, columns in labeller.label_ids(lists).items():
            assert rows_of(columns) == rows_of(expected[name])


HOSTILE = ["<script>", "a,b", '"', "'", "\n", "\x00", "\\xff", "", " ", "שלום", "火", "😀", "\u202e", "{}", "%s"]


def test_hostile_tokens_are_evidence_as_they_are():
    start = WITHOUT[2] * PER_CLUSTER
    texts = list(VOCABULARY.texts)
    texts[start : start + LIST_LENGTH] = HOSTILE
    tokens = among_others(np.arange(start, start + LIST_LENGTH))
    rows = label(VOCABULARY._replace(texts=texts), singular=tokens)[SINGULAR]
    assert rows["interpretable"][0]
    assert set(rows["evidence"][0]) <= set(HOSTILE)
    assert set(rows["label"][0].split(" / ")) <= {text.strip() for text in HOSTILE}
