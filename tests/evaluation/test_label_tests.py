"""Labels against tokens: right labels far above chance, wrong ones at chance, and no token votes for itself."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from statsmodels.stats.proportion import proportion_confint

from svdlens.errors import SvdlensError
from svdlens.evaluation import label_tests
from svdlens.evaluation.label_tests import (
    INTRUDER_LENGTH,
    false_positives,
    hard_negatives,
    held_out,
    intrusion,
    matched_tokens,
    retrieval,
    row_areas,
    score_labels,
    surfaces_of,
)
from svdlens.evaluation.scored_lists import (
    LabelledLists,
    Vocabulary,
    lists_of_tables,
    prepare,
    shuffled_labels,
    with_fewer_labels,
)
from svdlens.evaluation.token_label_fit import EmbeddingJudge, named_in
from svdlens.vocabulary.word_forms import text_key

CLUSTERS, PER_CLUSTER, WIDTH, LAYERS = 30, 60, 32, 6
N_TOKENS = CLUSTERS * PER_CLUSTER


def word(number: int) -> str:
    """A text for a token: some with a leading space, some capitalised, some with digits, of different lengths."""
    letters = "".join("abcdefghij"[int(digit)] for digit in str(number + 10))
    start = (" ", "", " ")[number % 3]
    return start + (letters, letters.capitalize(), letters + "x" * (number % 5), f"{letters}7")[number // 3 % 4]


def planted_vocabulary(seed: int = 0):
    """Tokens in clusters of meaning that tell nothing of their frequency or their form."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((CLUSTERS, WIDTH))
    embeddings = (centres[:, None] + 0.7 * rng.standard_normal((CLUSTERS, PER_CLUSTER, WIDTH))).reshape(-1, WIDTH)
    embeddings, centres = (of / np.linalg.norm(of, axis=1, keepdims=True) for of in (embeddings, centres))
    texts = [word(number) for number in range(N_TOKENS)]
    groups = np.unique([text_key(text) for text in texts], return_inverse=True)[1]
    log_ranks = np.log(1 + rng.permutation(N_TOKENS))
    return Vocabulary(texts, groups, log_ranks), embeddings.astype(np.float32), centres.astype(np.float32)


VOCABULARY, EMBEDDINGS, CENTRES = planted_vocabulary()
LABELS = {f"meaning number {cluster}": centre for cluster, centre in enumerate(CENTRES)}
JUDGE = EmbeddingJudge(EMBEDDINGS, LABELS, VOCABULARY.texts)


def planted_lists(seed: int = 0, share: float = 0.8) -> LabelledLists:
    """One list for each cluster and layer, most of its tokens from the cluster, with a label that is right."""
    rng = np.random.default_rng(seed)
    ids, labels, evidence = [], [], []
    for row in range(LAYERS * CLUSTERS):
        cluster = row % CLUSTERS
        own = cluster * PER_CLUSTER + rng.permutation(PER_CLUSTER)[:50]
        ids.append(np.where(rng.random(50) < share, own, rng.permutation(N_TOKENS)[:50]))
        labels.append(f"meaning number {cluster}")
        evidence.append([VOCABULARY.texts[id] for id in ids[-1][:15] if id // PER_CLUSTER == cluster])
    layers = np.repeat(np.arange(LAYERS), CLUSTERS)
    return LabelledLists(np.array(ids), labels, evidence, layers, np.arange(len(ids)))


def incoherent_lists(seed: int = 0, n: int = 240) -> LabelledLists:
    """Lists of any tokens, named after three of them."""
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.permutation(N_TOKENS)[:50] for _ in range(n)])
    labels = [" / ".join(VOCABULARY.texts[id].strip() for id in row[:3]) for row in ids]
    evidence = [[VOCABULARY.texts[id] for id in row[:8]] for row in ids]
    return LabelledLists(ids, labels, evidence, np.arange(n) % LAYERS, np.arange(n))


def reordered(lists: LabelledLists, order: np.ndarray) -> LabelledLists:
    labels, evidence = [lists.labels[row] for row in order], [lists.evidence[row] for row in order]
    return LabelledLists(lists.ids[order], labels, evidence, lists.layers[order], lists.directions[order])


def with_wrong_labels(lists: LabelledLists) -> LabelledLists:
    """Each list gets the label and the evidence of the next one, which is of another cluster."""
    return lists._replace(
        labels=[*lists.labels[1:], lists.labels[0]], evidence=[*lists.evidence[1:], lists.evidence[0]]
    )


def three_tests(lists: LabelledLists, judge, seed: int = 0):
    prepared = prepare(lists, VOCABULARY)
    return (
        intrusion(prepared, VOCABULARY, judge, seed),
        retrieval(prepared, judge, hard_negatives(prepared, VOCABULARY, EMBEDDINGS)),
        held_out(prepared, VOCABULARY, judge, seed),
    )


class Constant:
    """Says the same of every token."""

    def __init__(self, value: float) -> None:
        self.value = value

    def fit(self, labels, evidence, ids):
        return np.full(ids.shape, self.value)


class Membership:
    """Knows which cluster a label means, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, set[int]] = {}

    def fit(self, labels, evidence, ids):
        for label, row in zip(labels, ids, strict=True):
            self.asked.setdefault(label, set()).update(row.tolist())
        label_clusters = np.array([int(label.split()[-1]) for label in labels])
        return (ids // PER_CLUSTER == label_clusters[:, None]).astype(float)


def test_right_labels_are_far_above_chance():
    for judge in (JUDGE, Membership()):
        for score, least in zip(three_tests(planted_lists(), judge), (0.65, 0.9, 0.85), strict=True):
            assert (score.n, score.n_left_out) == (LAYERS * CLUSTERS, 0)
            assert score.value > least and score.chance < score.low <= score.value <= score.high, score


def test_wrong_labels_are_at_chance():
    for seed in range(3):
        intrusion, retrieval, held_out = three_tests(with_wrong_labels(planted_lists(seed)), JUDGE, seed)
        assert intrusion.low <= intrusion.chance <= intrusion.high
        assert held_out.low <= held_out.chance <= held_out.high
        assert retrieval.low <= retrieval.chance  # and not above: its negatives were chosen to be hard


def test_better_lists_score_higher():
    scores = [three_tests(planted_lists(1, share), JUDGE) for share in (0.2, 0.5, 0.9)]
    for of_test in zip(*scores, strict=True):
        assert of_test[0].value < of_test[1].value < of_test[2].value


def test_shuffled_labels_stay_in_their_layer():
    lists = planted_lists()
    shuffled = shuffled_labels(lists, 3)
    for layer in range(LAYERS):
        dealt = [(shuffled.labels[row], shuffled.evidence[row]) for row in np.flatnonzero(shuffled.layers == layer)]
        given = [(lists.labels[row], lists.evidence[row]) for row in np.flatnonzero(lists.layers == layer)]
        assert sorted(dealt) == sorted(given)
    scores = score_labels(lists, VOCABULARY, JUDGE, EMBEDDINGS, seed=0)
    assert [score._replace(shuffled=None) for score in scores] == list(three_tests(lists, JUDGE))
    assert all(score.shuffled < score.low for score in scores)


@given(st.integers(0, 40), st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_of_many_labels_so_many_are_scored_whatever_the_order_of_the_rows(most, random):
    lists = planted_lists()
    order = list(range(len(lists.ids)))
    random.shuffle(order)
    fewer, again = (with_fewer_labels(one, most, 0) for one in (lists, reordered(lists, np.array(order))))
    kept = [row for row, label in enumerate(fewer.labels) if label is not None]
    assert len(kept) == min(most, LAYERS * CLUSTERS)
    assert np.array_equal(np.unique(fewer.ids, axis=0), np.unique(lists.ids, axis=0))
    given_labels = {tuple(ids): lists.labels[row] for row, ids in enumerate(lists.ids.tolist())}
    assert all(given_labels[tuple(fewer.ids[row])] == fewer.labels[row] for row in kept)
    assert (fewer.labels, fewer.evidence) == (again.labels, again.evidence)
    assert not any(evidence for label, evidence in zip(fewer.labels, fewer.evidence, strict=True) if label is None)


def test_no_more_labels_are_scored_than_are_to_be(monkeypatch):
    monkeypatch.setattr(label_tests, "MOST_LABELS", 10)
    assert [score.n for score in score_labels(planted_lists(), VOCABULARY, JUDGE, EMBEDDINGS, seed=0)] == [10] * 3


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_fit_is_that_of_a_loop_and_no_token_votes_for_itself(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 60, (4, 7))
    texts = VOCABULARY.texts
    evidence = [[texts[id] for id in rng.integers(0, 60, rng.integers(0, 9))] for _ in ids]
    # Variants of the evidence are the same evidence, and what is no token is none.
    written = [[*row, *(f" {text.upper()} " for text in row[:2]), "no such token"] for row in evidence]
    labels = ["meaning number 3", f"{texts[ids[1, 0]].strip()} / {texts[5].upper()}", "meaning number 1", "x, y"]
    vectors = {label: EMBEDDINGS[number] for number, label in enumerate(labels)}
    found = EmbeddingJudge(EMBEDDINGS, vectors, texts).fit(labels, written, ids)
    id_of = {text_key(text): id for id, text in reversed(list(enumerate(texts)))}
    for row in range(4):
        for column, id in enumerate(ids[row]):
            others = {id_of[text_key(text)] for text in evidence[row]} - {id_of[text_key(texts[id])]}
            votes = [EMBEDDINGS[id] @ EMBEDDINGS[other] for other in others]
            parts = [np.mean(votes)] if votes else []
            if text_key(texts[id]) not in named_in(labels[row]):
                parts.append(EMBEDDINGS[id] @ vectors[labels[row]])
            if parts:
                assert found[row, column] == pytest.approx(max(parts), abs=1e-5)
            else:
                assert np.isnan(found[row, column])


def test_lists_named_after_their_own_tokens_are_at_chance():
    intrusion, retrieval, held_out = three_tests(incoherent_lists(), EmbeddingJudge(EMBEDDINGS, named(), TEXTS))
    assert intrusion.low <= intrusion.chance <= intrusion.high
    assert retrieval.low <= retrieval.chance
    assert held_out.low <= held_out.chance <= held_out.high


TEXTS = VOCABULARY.texts


def named():
    """For each label of three tokens the mean of their embeddings, as an embedding network would have it."""
    id_of = {text.strip(): id for id, text in enumerate(TEXTS)}
    labels = incoherent_lists().labels
    return {label: EMBEDDINGS[[id_of[part] for part in label.split(" / ")]].mean(axis=0) for label in labels}


@pytest.mark.parametrize("label", ["fire / flame", " Fire", "words such as fire", "fire, flame", "fire"])
def test_a_label_that_names_the_token(label):
    assert text_key(" FIRE") in named_in(label)
    assert "ire" not in named_in(label)


@given(st.randoms(use_true_random=False))
@settings(max_examples=5)
def test_the_order_of_the_rows_does_not_matter(random):
    lists = planted_lists(2, 0.5)
    order = list(range(len(lists.ids)))
    random.shuffle(order)
    assert three_tests(reordered(lists, np.array(order)), JUDGE) == three_tests(lists, JUDGE)


def test_the_seed_decides():
    lists = planted_lists(2, 0.4)
    assert three_tests(lists, JUDGE, 1) == three_tests(lists, JUDGE, 1)
    for one, other in zip(three_tests(lists, JUDGE, 1)[::2], three_tests(lists, JUDGE, 2)[::2], strict=True):
        assert one.value != other.value and one.chance < other.low < other.high


def test_ties_count_in_parts():
    values = [score.value for score in three_tests(planted_lists(), Constant(0.3))]
    assert values == pytest.approx([0.2, 0.1, 0.5])


def test_without_an_opinion_nothing_is_scored():
    for score in three_tests(planted_lists(), Constant(np.nan)):
        assert (score.n, score.n_left_out) == (0, LAYERS * CLUSTERS)
        assert (score.value, score.low, score.high) == (None, None, None)


def test_intervals_are_wilsons():
    score = intrusion(prepare(planted_lists(), VOCABULARY), VOCABULARY, JUDGE, 0)
    expected = proportion_confint(score.value * score.n, score.n, method="wilson")
    assert (score.low, score.high) == pytest.approx(expected)


def test_held_out_asks_for_no_token_that_the_labeller_saw():
    judge = Membership()
    lists = planted_lists()
    lists = lists._replace(
        ids=lists.ids[:CLUSTERS], layers=lists.layers[:CLUSTERS], directions=lists.directions[:CLUSTERS]
    )
    # Evidence from beyond the first 15, and a variant of the first token after them.
    evidence = [[TEXTS[row[20]], TEXTS[row[30]].upper()] for row in lists.ids]
    variants = VOCABULARY._replace(texts=[*TEXTS, TEXTS[lists.ids[0, 0]].upper() + " "])
    variants = variants._replace(
        groups=np.append(VOCABULARY.groups, VOCABULARY.groups[lists.ids[0, 0]]), log_ranks=np.zeros(N_TOKENS + 1)
    )
    ids = lists.ids.copy()
    ids[0, 40] = N_TOKENS
    lists = lists._replace(ids=ids, labels=lists.labels[:CLUSTERS], evidence=evidence)
    assert held_out(prepare(lists, variants), variants, judge, 0).n == CLUSTERS
    for row, label in zip(lists.ids, lists.labels, strict=True):
        unseen = judge.asked[label] - {0}  # 0 stands where there is no token
        groups = set(variants.groups[list(unseen)])
        assert not groups & set(variants.groups[row[:15]])
        assert not groups & {variants.groups[row[20]], variants.groups[row[30]]}
        later = set(row[15:]) - {row[20], row[30], N_TOKENS}
        assert len(unseen & later) > 25  # and for what is left of the list it does


def test_intruders_are_like_the_tokens_whose_place_they_take():
    lists = planted_lists()
    prepared = prepare(lists, VOCABULARY)
    targets, surfaces = prepared.first[prepared.rows], surfaces_of(TEXTS)
    found = matched_tokens(targets, prepared, prepared.first, VOCABULARY, surfaces, np.random.default_rng(0))
    assert (found >= 0).mean() > 0.95
    nearer = []
    for row, at in enumerate(prepared.rows):
        for target, intruder in zip(targets[row], found[row], strict=True):
            if intruder < 0:
                continue
            one, other = TEXTS[target], TEXTS[intruder]
            assert one.startswith(" ") == other.startswith(" ")
            assert one.strip()[0].isupper() == other.strip()[0].isupper()
            assert one.strip().isalpha() == other.strip().isalpha()
            assert abs(len(one.strip()) - len(other.strip())) <= INTRUDER_LENGTH
            assert VOCABULARY.groups[intruder] not in VOCABULARY.groups[prepared.lists.ids[at]]
            assert text_key(other) not in map(text_key, prepared.evidence[row])
            layer_ids = prepared.first[prepared.lists.layers == prepared.lists.layers[at]]
            assert intruder in layer_ids
            distances = np.abs(VOCABULARY.log_ranks[layer_ids] - VOCABULARY.log_ranks[target])
            nearer.append((distances < abs(VOCABULARY.log_ranks[intruder] - VOCABULARY.log_ranks[target])).mean())
    assert np.mean(nearer) < 0.1  # of tokens drawn at random it would be half


@pytest.mark.parametrize(
    "one,other,same",
    [
        (" fire", " bread", True),
        (" fire", "bread", False),
        (" fire", " Bread", False),
        (" Fire", " BREAD", False),
        (" fire", " f1re", False),
        ("##ing", "##ed", True),
        ("##ing", "ing", False),
        ("--", "##", True),
        ("", "\n", True),
    ],
)
def test_forms(one, other, same):
    first, second = surfaces_of([one, other])[:, 0]
    assert (first == second) == same


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_hard_negatives_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    n = 40
    ids = rng.permuted(np.tile(np.arange(45), (n, 1)), axis=1)[:, :20]  # few tokens, so that many lists share half
    for length in (3, 6):  # too few tokens, and an even number, of which just half may be shared
        ids[rng.random(n) < 0.2, length:] = -1
    labels = [None if rng.random() < 0.3 else "label" for _ in range(n)]
    lists = LabelledLists(ids, labels, [[]] * n, rng.integers(0, 2, n), rng.integers(0, 25, n))
    prepared = prepare(lists, VOCABULARY)
    found = hard_negatives(prepared, VOCABULARY, EMBEDDINGS)
    tokens = [row[row >= 0] for row in prepared.first]
    means = np.array([EMBEDDINGS[row].astype(float).mean(axis=0) for row in tokens])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    for row, negatives in zip(prepared.rows, found, strict=True):
        similarities = means @ means[row]
        allowed = [
            other
            for other in np.argsort(-similarities)
            if prepared.lists.layers[other] == prepared.lists.layers[row]
            and prepared.lists.directions[other] != prepared.lists.directions[row]
            and min(len(tokens[row]), len(tokens[other])) >= 5
            and len(set(tokens[row]) & set(tokens[other])) <= min(len(tokens[row]), len(tokens[other])) / 2
        ]
        negatives = negatives[negatives >= 0]
        assert len(set(negatives)) == min(len(allowed), 9) and set(negatives) <= set(allowed)
        assert similarities[negatives] == pytest.approx(similarities[allowed[:9]], abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_areas_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 4, (2, 5, 6)).astype(float)  # few values, so that ties are frequent
    used = rng.random((5, 6)) < 0.7
    used[:, 0] = True
    for row, area in enumerate(row_areas(one, other, used)):
        n = used[row].sum()
        statistic = mannwhitneyu(one[row][used[row]], other[row][used[row]]).statistic
        assert area == pytest.approx(statistic / n**2)


def test_what_cannot_be_scored_is_counted():
    lists = planted_lists()
    n = len(lists.ids)
    alone = lists._replace(layers=np.arange(n))  # nothing to hold a list against
    for score in three_tests(alone, JUDGE):
        assert (score.n, score.n_left_out) == (0, n)
    few = lists.ids.copy()
    few[:20, 4:] = -1
    for score in three_tests(lists._replace(ids=few), JUDGE):
        assert (score.n, score.n_left_out) == (n - 20, 20)
    short = lists._replace(ids=lists.ids[:, :15])
    assert [score.n for score in three_tests(short, JUDGE)] == [n, n, 0]
    unlabelled = lists._replace(labels=[None if row % 3 else label for row, label in enumerate(lists.labels)])
    for score in three_tests(unlabelled, JUDGE):
        assert (score.n, score.n_left_out) == (n // 3, 0)


@pytest.mark.parametrize("k", [0, 15, 50])
def test_without_labels_or_lists_there_is_nothing(k):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (0, 3):
            nothing = LabelledLists(np.zeros((n, k), dtype=int), [None] * n, [[]] * n, np.zeros(n, int), np.arange(n))
            for score in score_labels(nothing, VOCABULARY, JUDGE, EMBEDDINGS, 0):
                assert (score.n, score.n_left_out, score.value, score.shuffled) == (0, 0, None, None)


def test_bad_input_is_named():
    lists = planted_lists()
    with pytest.raises(SvdlensError, match=r"token id 1800, but the vocabulary ends at 1799"):
        prepare(lists._replace(ids=np.full_like(lists.ids, N_TOKENS)), VOCABULARY)
    with pytest.raises(SvdlensError, match=r"columns of different lengths .*'labels': 1"):
        prepare(lists._replace(labels=["one"]), VOCABULARY)
    with pytest.raises(SvdlensError, match=r"label 'unheard of' has no embedding \(1 of 1 labels have none\)"):
        JUDGE.fit(["unheard of"], [[]], np.zeros((1, 2), dtype=int))


def test_lists_of_tables():
    tokens = pd.DataFrame({"token_ids": [np.array([1, 2, 3]), np.array([4]), np.array([5, 6])]})
    keys = {"layer": pd.array([0, None, 0], "Int16"), "head": [None] * 3, "index": [0, 0, 0], "side": ["read"] * 3}
    labels = pd.DataFrame({**keys, "label": ["fire", None, "ice"], "evidence": [np.array(["a"]), None, []]})
    lists = lists_of_tables(tokens, labels)
    assert lists.ids.tolist() == [[1, 2, 3], [4, -1, -1], [5, 6, -1]]
    assert lists.labels == ["fire", None, "ice"] and lists.evidence == [["a"], [], []]
    assert lists.layers.tolist() == [0, -1, 0]
    assert lists.directions[0] == lists.directions[2] != lists.directions[1]  # two signs of one direction
    assert lists_of_tables(tokens.iloc[:0], labels.iloc[:0]).ids.shape == (0, 0)


@pytest.mark.parametrize("interpretable", [[True, False, True, None, True], [None] * 5, [False] * 5])
def test_false_positives_are_the_interpretable_share(interpretable):
    rows = pd.DataFrame({"interpretable": pd.Series(interpretable, dtype=object)})
    rows["kind"] = ["semantic", "none", "frequency", "none", "orthographic"]
    rows["status"] = ["ok", "ok", "ok", "abstained", "ok"]
    score = false_positives(rows, 0.05)
    k = sum(interpretable[row] is True for row in (0, 4))  # a list of frequent tokens is not interpretable
    assert (score.n, score.n_left_out, score.value, score.chance) == (4, 1, k / 4, 0.05)
    assert (score.low, score.high) == pytest.approx(proportion_confint(k, 4, method="wilson"), abs=1e-12)
    assert false_positives(rows.astype({"interpretable": "boolean"}), 0.05) == score
    assert false_positives(rows.iloc[:0], 0.05).value is None
