"""The labeller `coherence`, which needs no network.

The score of a list is the sum of three kinds of evidence that its first 15 distinct tokens belong together:

    similarity   of their sentence embeddings (vocabulary/list_similarity.py)
    concepts     the strongest enrichment in a concept of WordNet (enrichment.py, vocabulary/wordnet.py)
    forms        the strongest enrichment in a grammatical or orthographic class (vocabulary/word_forms.py);
                 counts half

each in standard deviations from its mean over shuffled lists. Nothing in it is fitted to anyone's labels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from svdlens.labels.coherence.enrichment import Population, Shared, enrichment, population_of, strongest
from svdlens.labels.coherence.naming import Description, common_tokens, describe, is_kind
from svdlens.labels.coherence.nulls import NULL_LISTS, p_values, q_values, q_values_of_controls, shuffled_lists
from svdlens.labels.coherence.tails import fit_tail
from svdlens.labels.labeller import NOT_INTERPRETABLE, SINGULAR, Columns, Labelled, TokenLists
from svdlens.models.token_table import read_token_texts
from svdlens.readout.token_table import DistinctLists
from svdlens.spec.controls import RANDOM_UNIT
from svdlens.vocabulary.list_similarity import FEWEST_TOKENS, first_distinct, similarity
from svdlens.vocabulary.token_features import KnownVocabulary, load_features, load_vocabulary

FORM_WEIGHT = 0.5
"""A spelling that is shared stands out by tens of standard deviations; at this weight it still does, and forms that
happen to be frequent in a table outweigh meaning less."""


def labeller_from_files(files: Mapping[str, Path], parameters: Mapping[str, Any], seed: int) -> "Coherence":
    """The labeller with the vocabulary in `files` (labels/registry.py) and the level in `parameters`."""
    return Coherence(vocabulary_from_files(files), parameters["level"], seed)


def vocabulary_from_files(files: Mapping[str, Path]) -> KnownVocabulary:
    """What is known of the vocabulary whose tokens, features, classes and embeddings are in these files."""
    features = load_features(files["features"], files["classes"])
    return load_vocabulary(files["embeddings"], features, read_token_texts(files["tokens"]))


LISTS_AT_ONCE = 2048
"""Of null lists, whose entries in all classes nobody needs afterwards."""


class Evidence(NamedTuple):
    """similarity, concepts, forms [n]."""

    similarity: Float[np.ndarray, " n"]
    concepts: Float[np.ndarray, " n"]
    forms: Float[np.ndarray, " n"]


def find_evidence(lists: DistinctLists, vocabulary: KnownVocabulary, population: Population) -> tuple[Evidence, Shared]:
    """The evidence of each list, and what the lists have in all classes."""
    classes = vocabulary.classes
    shared = enrichment(lists, classes.membership, population)
    evidence = Evidence(
        similarity(lists, vocabulary.vectors),
        strongest(shared.strengths, is_kind(classes, "semantic")),
        strongest(shared.strengths, is_kind(classes, "grammatical", "orthographic")),
    )
    return evidence, shared


def evidence_of_null(lists: DistinctLists, vocabulary: KnownVocabulary, population: Population) -> Evidence:
    """The evidence of null lists, LISTS_AT_ONCE at a time: memory does not grow with their number."""
    parts = [
        find_evidence(DistinctLists(*(one[start : start + LISTS_AT_ONCE] for one in lists)), vocabulary, population)[0]
        for start in range(0, len(lists.ids), LISTS_AT_ONCE)
    ]
    return Evidence(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def score_of(evidence: Evidence, null: Evidence, lists: DistinctLists) -> Float[np.ndarray, " n"]:
    """The three kinds of evidence in standard deviations of the null, added; NaN for lists of too few tokens."""
    total = np.zeros(len(evidence.similarity))
    for name, weight in (("similarity", 1.0), ("concepts", 1.0), ("forms", FORM_WEIGHT)):
        null_values = getattr(null, name)
        # Where the null is constant, so is what tokens can show.
        total += weight * (getattr(evidence, name) - null_values.mean()) / max(float(null_values.std()), 1e-12)
    return np.where(lists.used.sum(axis=1) >= FEWEST_TOKENS, total, np.nan)


class Coherence:
    """The labeller `coherence`: deterministic, calibrated, offline."""

    def __init__(self, vocabulary: KnownVocabulary, level: float, seed: int) -> None:
        self.vocabulary, self.level, self.seed = vocabulary, level, seed
        self.facts: Mapping[str, object] = vocabulary.facts

    def label(self, lists: Mapping[str, TokenLists]) -> Labelled:
        """See labels.labeller.Labeller. The facts: null_lists, their number, and direction_tail, the fit of the tail of
        the direction null (tails.Tail.facts), None where there is none."""
        return self.label_and_calibrate({name: token_lists.ids for name, token_lists in lists.items()})

    def label_ids(
        self, lists: Mapping[str, Int[np.ndarray, "n k"]], null_lists: DistinctLists | None = None
    ) -> dict[str, Columns]:
        """The columns of `label` from token ids alone, with other `null_lists` in place of shuffled ones."""
        return self.label_and_calibrate(lists, null_lists).columns

    def label_and_calibrate(
        self, lists: Mapping[str, Int[np.ndarray, "n k"]], null_lists: DistinctLists | None = None
    ) -> Labelled:
        """What `label` returns. `lists` may lack the control random_unit: then p_direction is null throughout.

        Lists of singular directions are calibrated by shuffling them (list null), or by `null_lists`, and by
        random_unit (direction null), and every control by the same two.
        """
        classes = self.vocabulary.classes
        distinct = {name: first_distinct(ids, classes.groups) for name, ids in lists.items()}
        if not distinct[SINGULAR].used.any():
            nothing = {name: abstained(len(one.ids)) for name, one in distinct.items()}
            return Labelled(nothing, {"null_lists": 0, "direction_tail": None})
        shuffled = null_lists or shuffled_lists(distinct[SINGULAR], classes.groups, NULL_LISTS, self.seed)
        population = population_of(null_lists or distinct[SINGULAR], classes.membership)
        null_evidence = evidence_of_null(shuffled, self.vocabulary, population)
        null_scores = score_of(null_evidence, null_evidence, shuffled)
        found = {name: find_evidence(one, self.vocabulary, population) for name, one in distinct.items()}
        scores = {name: score_of(found[name][0], null_evidence, distinct[name]) for name in distinct}
        # A random_unit control meets itself among the others, which costs nothing but 1/m.
        random_scores = scores.get(RANDOM_UNIT, np.empty(0))
        tail = fit_tail(random_scores)
        nulls = (null_scores, None), (random_scores, tail)
        singular_p = [p_values(scores[SINGULAR], *null) for null in nulls]
        singular_q = [q_values(p) for p in singular_p]
        # A class that names a list is stronger than the strongest one of 95 % of shuffled lists.
        least = float(np.quantile(np.maximum(null_evidence.concepts, null_evidence.forms), 0.95))
        columns = {}
        for name, token_lists in distinct.items():
            calibration = []
            for null, p_rows, q_rows in zip(nulls, singular_p, singular_q, strict=True):
                p = p_values(scores[name], *null)
                calibration += [p, q_rows if name == SINGULAR else q_values_of_controls(p, p_rows, q_rows)]
            (rows,) = np.nonzero(calibration[1] < self.level)
            part, shared = DistinctLists(token_lists.ids[rows], token_lists.used[rows]), found[name][1]
            shared_by_part = Shared(shared.counts[rows], shared.strengths[rows])
            described = dict(zip(rows.tolist(), describe(part, shared_by_part, self.vocabulary, least), strict=True))
            # Known as such, whether or not they hang together.
            described |= common_tokens(token_lists, shared, self.vocabulary)
            columns[name] = label_columns(scores[name], calibration, described, self.level)
        return Labelled(columns, {"null_lists": len(null_scores), "direction_tail": tail and tail.facts()})


def label_columns(
    scores: Float[np.ndarray, " n"],
    calibration: list[Float[np.ndarray, " n"]],
    described: Mapping[int, Description],
    level: float,
) -> Columns:
    """The columns of Labeller.label (labels/labeller.py); `calibration` is p and q of the list null, then p and q of
    the direction null."""
    p, q, p_direction, q_direction = calibration
    nothing = Description("", "none", [], 0)
    # Without enough tokens, in the list or in all lists to shuffle, there is nothing to say.
    labelled = [None if np.isnan(value) else bool(value < level) for value in q]
    descriptions = [nothing if passed is None else described.get(row, nothing) for row, passed in enumerate(labelled)]
    return {
        "label": [description.label or None for description in descriptions],
        "kind": [description.kind for description in descriptions],
        "labelled": labelled,
        "verified": [None] * len(scores),
        "interpretable": [
            None if passed is None else passed and description.kind not in NOT_INTERPRETABLE
            for passed, description in zip(labelled, descriptions, strict=True)
        ],
        "score": scores,
        "p_value": p,
        "q_value": q,
        "p_direction": p_direction,
        "q_direction": q_direction,
        "evidence": [description.evidence for description in descriptions],
        "n_concepts": [
            None if passed is None else description.n_concepts
            for passed, description in zip(labelled, descriptions, strict=True)
        ],
        "status": ["abstained" if passed is None else "ok" for passed in labelled],
    }


def abstained(n: int) -> Columns:
    """Columns for n lists that nothing can be said of."""
    unknown = np.full(n, np.nan)
    return label_columns(unknown, [unknown] * 4, {}, 0.0)
