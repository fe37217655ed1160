"""Names for token lists: the class that explains a list, or the tokens that stand for it."""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int

from svdlens.labels.coherence.enrichment import Shared, count_tokens, strongest
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.readout.token_table import DistinctLists
from svdlens.vocabulary.list_similarity import FEWEST_TOKENS, LIST_LENGTH, ROWS_AT_ONCE, closeness
from svdlens.vocabulary.token_classes import TokenClasses
from svdlens.vocabulary.token_features import KnownVocabulary
from svdlens.vocabulary.word_forms import ALL_FUNCTION_WORDS

EXPLAINS = 1 / 3
"""Share of the tokens of a list that a class must hold to explain it."""
FREQUENCY_SHARE = 2 / 3
MEANINGFUL = ("semantic", "grammatical", "orthographic")
NAME_TOKENS = 3
MOST_CONCEPTS = 3
MOST_NAMES = 8
NEARLY = 0.7
"""Of the strongest class: concepts with so much are as good an explanation, and the one of the best name is taken."""


class Description(NamedTuple):
    """What a list is about: a label, its kind (as in the labels table), the texts of the tokens that show it, and how
    many classes it takes to explain the list."""

    label: str
    kind: str
    evidence: list[str]
    n_concepts: int


def describe(lists: DistinctLists, shared: Shared, vocabulary: KnownVocabulary, least: float) -> list[Description]:
    """What the tokens of each list have in common: the class that explains it, else its three tokens closest to the
    others.

    A class explains a list if it holds EXPLAINS of the tokens with a strength above `least`. n_concepts: so many
    classes explain a list, one after the other, each by tokens that none before it has. `shared` is that of the lists.
    """
    classes, sizes = vocabulary.classes, lists.used.sum(axis=1)
    fewest = sizes * EXPLAINS
    is_meaningful = is_kind(classes, *MEANINGFUL)
    strongest_class = best_class(shared, is_meaningful, fewest, least, classes)
    naming_class = best_name(lists, shared, strongest_class, fewest, vocabulary)
    members = has_class(lists, naming_class, classes)
    n_concepts = np.ones(len(naming_class), np.int64)
    unexplained = lists.used & ~members
    (rows,) = np.nonzero(naming_class >= 0)  # lists of which another class may explain the rest
    for _ in range(MOST_CONCEPTS - 1):
        rest = DistinctLists(lists.ids[rows], unexplained[rows])
        shared_by_rest = shared_by(rest, shared.strengths[rows], classes)
        next_class = best_class(shared_by_rest, is_meaningful, fewest[rows], least, classes)
        unexplained[rows] &= ~has_class(rest, next_class, classes)
        rows = rows[next_class >= 0]
        n_concepts[rows] += 1
    (unnamed,) = np.nonzero(naming_class < 0)
    unnamed_lists = DistinctLists(lists.ids[unnamed], lists.used[unnamed])
    closeness_of_row = dict(zip(unnamed.tolist(), closeness(unnamed_lists, vocabulary.vectors), strict=True))
    descriptions = []
    for row, number in enumerate(naming_class):
        ids = lists.ids[row, : sizes[row]]
        if number >= 0:
            label, kind, is_evidence = classes.names[number], classes.kinds[number], members[row, : sizes[row]]
        else:
            close = closeness_of_row[row][: sizes[row]]
            closest = np.argsort(-close, kind="stable")[:NAME_TOKENS]
            label = " / ".join(vocabulary.texts[id].strip() for id in ids[closest])
            is_evidence = close >= min(close.mean(), close.max())  # at least one, where all are equal
            kind = kind_of_tokens(ids[is_evidence], vocabulary)
        evidence = [vocabulary.texts[id] for id in ids[is_evidence]]
        descriptions.append(Description(label, kind, evidence, int(n_concepts[row])))
    return descriptions


def kind_of_tokens(ids: Int[np.ndarray, " n"], vocabulary: KnownVocabulary) -> str:
    """The kind of tokens that are alike though no class explains it, by what at least half of them are.

    What fragments of words have in common is at best their spelling; what "of", "and" and "or" have is grammar.
    """
    if vocabulary.classes.is_word[ids].mean() < 0.5:
        return "orthographic"
    function_words = [vocabulary.texts[id].strip().lower() in ALL_FUNCTION_WORDS for id in ids]
    return "grammatical" if np.mean(function_words) >= 0.5 else "semantic"


def common_tokens(lists: DistinctLists, shared: Shared, vocabulary: KnownVocabulary) -> dict[int, Description]:
    """Rows of which most tokens are among the most or least frequent, or glitches, and what they are.

    Unless something else that they share is rarer still: prepositions are frequent too.
    """
    classes, sizes = vocabulary.classes, lists.used.sum(axis=1)
    strongest_class = best_class(shared, is_kind(classes, *NOT_INTERPRETABLE), sizes * FREQUENCY_SHARE, 0.0, classes)
    strengths = entries(shared.strengths, np.arange(len(sizes)), strongest_class)
    chosen = np.where(strengths >= strongest(shared.strengths, is_kind(classes, *MEANINGFUL)), strongest_class, -1)
    members = has_class(lists, chosen, classes)
    return {
        row: Description(
            classes.names[chosen[row]],
            classes.kinds[chosen[row]],
            [vocabulary.texts[id] for id in lists.ids[row, members[row]]],
            1,
        )
        for row in np.nonzero(chosen >= 0)[0].tolist()
    }


def best_class(
    shared: Shared,
    wanted: Bool[np.ndarray, " n_classes"],
    fewest: Float[np.ndarray, " n"],
    least: float,
    classes: TokenClasses,
) -> Int[np.ndarray, " n"]:
    """The strongest wanted class of each list that holds at least `fewest` of its tokens; -1 where there is none."""
    row, column, strength = explaining(shared, wanted, fewest, least)
    # Of equally strong classes the smallest says most.
    size = np.bincount(classes.membership.indices, minlength=classes.membership.shape[1])
    first = first_of_rows(row, np.lexsort((column, size[column], -strength, row)))
    best = np.full(len(fewest), -1)
    best[row[first]] = column[first]
    return best


def best_name(
    lists: DistinctLists,
    shared: Shared,
    strongest_class: Int[np.ndarray, " n"],
    fewest: Float[np.ndarray, " n"],
    vocabulary: KnownVocabulary,
) -> Int[np.ndarray, " n"]:
    """Of all concepts that explain a list nearly as well as its strongest one, that whose name is most like the tokens.

    Closures of WordNet overlap: "covering" holds a few more clothes than "clothing" does. A list whose strongest class
    is no concept keeps that.
    """
    classes = vocabulary.classes
    is_concept = is_kind(classes, "semantic")
    row, column, strength = explaining(shared, is_concept, fewest, 0.0)
    most = entries(shared.strengths, np.arange(len(fewest)), strongest_class)
    as_good = (strongest_class[row] >= 0) & is_concept[strongest_class[row]] & (strength >= NEARLY * most[row])
    row, column, strength = row[as_good], column[as_good], strength[as_good]
    # The strongest of them suffice.
    order = np.lexsort((column, -strength, row))
    rank = np.arange(len(order)) - np.searchsorted(row[order], row[order])  # within the row
    order = order[rank < MOST_NAMES]
    row, column = row[order], column[order]
    centres = np.empty((len(fewest), vocabulary.vectors.shape[1]), np.float32)
    for start in range(0, len(fewest), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        used = lists.used[part, None, :].astype(np.float32)
        centres[part] = (used @ vocabulary.vectors[lists.ids[part]])[:, 0]
    likeness = np.empty(len(row))
    for start in range(0, len(row), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        likeness[part] = np.vecdot(centres[row[part]], vocabulary.name_vectors[column[part]])
    first = first_of_rows(row, np.lexsort((column, -likeness, row)))
    best = strongest_class.copy()
    best[row[first]] = column[first]
    return best


def explaining(
    shared: Shared, wanted: Bool[np.ndarray, " n_classes"], fewest: Float[np.ndarray, " n"], least: float
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Rows, wanted classes and strengths, wherever a class holds at least `fewest` tokens and is above `least`."""
    counts, strengths = shared.counts, shared.strengths.data
    (strong,) = np.nonzero(strengths > least)
    row = np.repeat(np.arange(len(fewest)), np.diff(counts.indptr))[strong]
    enough = wanted[counts.indices[strong]] & (counts.data[strong] >= fewest[row] - 1e-9)
    return row[enough], counts.indices[strong][enough], strengths[strong][enough]


def shared_by(rest: DistinctLists, strengths: scipy.sparse.csr_matrix, classes: TokenClasses) -> Shared:
    """Counts of the rests of some lists in classes, with the `strengths` [n, n_classes] that the whole lists have."""
    counts = count_tokens(rest, classes.membership)
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    values = np.zeros(len(row))
    # No list has fewer tokens than that which would do.
    (enough,) = np.nonzero(counts.data >= FEWEST_TOKENS * EXPLAINS)
    values[enough] = entries(strengths, row[enough], counts.indices[enough])
    return Shared(counts, scipy.sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape))


def first_of_rows(row: Int[np.ndarray, " m"], order: Int[np.ndarray, " m"]) -> Int[np.ndarray, " rows"]:
    """The first entry of each row in an order that goes row by row."""
    firsts: np.ndarray = order[np.unique(row[order], return_index=True)[1]]
    return firsts


def entries(
    matrix: scipy.sparse.csr_matrix, rows: Int[np.ndarray, " m"], columns: Int[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    """The entries at these places; 0 where the column is -1."""
    if not (len(rows) and matrix.shape[1]):  # no list, or a vocabulary without classes
        return np.zeros(len(rows))
    return np.where(columns >= 0, np.asarray(matrix[rows, np.maximum(columns, 0)]).ravel(), 0.0)


def has_class(lists: DistinctLists, numbers: Int[np.ndarray, " n"], classes: TokenClasses) -> Bool[np.ndarray, "n 15"]:
    """Which tokens of each list are in the class with the number given for it; none where that is -1."""
    is_member = entries(classes.membership, lists.ids.ravel(), np.repeat(numbers, LIST_LENGTH)) > 0
    used_members: np.ndarray = is_member.reshape(lists.ids.shape) & lists.used
    return used_members


def is_kind(classes: TokenClasses, *kinds: str) -> Bool[np.ndarray, " n_classes"]:
    """Whether each class is of one of the kinds."""
    return np.isin(np.array(classes.kinds), kinds)
