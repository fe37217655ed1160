"""The judge by classes: membership first, another judge's opinion only where membership says the same."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from svdlens.evaluation.label_tests import score_labels
from svdlens.evaluation.scored_lists import LabelledLists, Vocabulary
from svdlens.evaluation.token_label_fit import TIE_SHARE, ClassJudge, EmbeddingJudge
from svdlens.vocabulary.token_classes import TokenClasses
from svdlens.vocabulary.word_forms import text_key
from tiny_vocabulary import CLUSTERS, clustered_lists, tiny_vocabulary, tokens_of

N_TOKENS = 50


class Made:
    """Has the opinions that it is given, by token, and none of the last token."""

    def __init__(self, opinions: np.ndarray) -> None:
        self.opinions = np.append(opinions, np.nan)

    def fit(self, labels, evidence, ids):
        return self.opinions[ids]


def classes_of(members: list[tuple[str, list[int]]]) -> TokenClasses:
    membership = np.zeros((N_TOKENS, len(members)), np.float32)
    for column, (_, ids) in enumerate(members):
        membership[ids, column] = 1
    names, kinds = [name for name, _ in members], ["semantic"] * len(members)
    anything = np.arange(N_TOKENS)
    return TokenClasses(names, kinds, scipy.sparse.csr_matrix(membership), anything, anything > 0)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_the_fit_is_that_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    # Of five names for eight classes some are homonyms.
    members = [(f"class {rng.integers(5)}", rng.permutation(N_TOKENS)[:9].tolist()) for _ in range(8)]
    other = Made(rng.uniform(-1, 1, N_TOKENS - 1))
    judge = ClassJudge(classes_of(members), other)
    labels = [
        [f"class {rng.integers(5)}", " CLASS 3 ", "no class", "class 3 / class 4"][rng.integers(4)] for _ in "abcdef"
    ]
    ids = rng.integers(0, N_TOKENS, (6, 7))
    fits = judge.fit(labels, [[]] * 6, ids)
    for label, row, row_fits in zip(labels, ids, fits, strict=True):
        same = [ids for name, ids in members if name == text_key(label)]
        for id, fit in zip(row, row_fits, strict=True):
            opinion = other.opinions[id]
            if not same:
                assert fit == opinion or (np.isnan(fit) and np.isnan(opinion))
            else:
                inside = any(id in ids for ids in same)
                assert fit == pytest.approx(inside + TIE_SHARE * (0 if np.isnan(opinion) else opinion))


def test_no_opinion_outweighs_a_member():
    """Neither of one token nor of the mean of a list of fifteen, which retrieval compares."""
    judge = ClassJudge(classes_of([("here", [0, 1, 2])]), Made(np.append([-1, -1, -1], np.ones(N_TOKENS - 4))))
    fits = judge.fit(["here"], [[]], np.arange(N_TOKENS)[None])[0]
    assert fits[:3].min() > fits[3:].max()
    three, two = fits[:15].mean(), np.append(fits[1:3], fits[3:16]).mean()
    assert three > two


def test_without_labels_and_without_classes():
    other = Made(np.zeros(N_TOKENS - 1))
    assert ClassJudge(classes_of([]), other).fit(["here"], [[]], np.array([[1, 2]])).tolist() == [[0, 0]]
    assert ClassJudge(classes_of([("here", [1])]), other).fit([], [], np.empty((0, 3), int)).shape == (0, 3)


def test_classes_judge_better_than_embeddings_that_say_nothing():
    """Of lists with a concept, by labels of which an embedding knows nothing, and without evidence."""
    known = tiny_vocabulary()
    ids = clustered_lists(200, 12, seed=3, clusters=range(0, CLUSTERS, 2))
    names = [name for name in known.classes.names if name.startswith("concept")]
    inside = {name: set(tokens_of(known, name).tolist()) for name in names}
    labels = [max(names, key=lambda name: len(inside[name] & set(row[:15].tolist()))) for row in ids]
    lists = LabelledLists(ids, labels, [[]] * len(ids), np.arange(len(ids)) % 4, np.arange(len(ids)))
    vocabulary = Vocabulary(known.texts, known.classes.groups, known.log_ranks)
    noise = np.random.default_rng(0).standard_normal((len(names), known.vectors.shape[1]))
    embeddings = EmbeddingJudge(known.vectors, dict(zip(names, noise / 100, strict=True)), known.texts)
    alone = score_labels(lists, vocabulary, embeddings, known.vectors, seed=0)
    classes = score_labels(lists, vocabulary, ClassJudge(known.classes, embeddings), known.vectors, seed=0)
    for by_embeddings, by_classes in zip(alone[:2], classes[:2], strict=True):
        assert by_embeddings.value < by_classes.low
        assert max(by_classes.shuffled, by_classes.chance) < by_classes.low
