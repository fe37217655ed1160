"""Do labels fit the tokens that they were given to? Tests without activations, whoever gave the labels.

    intrusion         is the token recognised that does not belong (Chang et al. 2009)?
    retrieval         is the list recognised that a label was given to, among lists of its layer that are most like it?
    held out          does a label made from the first tokens of a list say which others come after them?
    false positives   how often does the labeller call lists of a control interpretable?

A judge says how well tokens fit a label, and lets no token vote for itself. Still, intrusion and retrieval ask about
tokens that the labeller has seen, among which it may have chosen its evidence; only the held-out test does not. Results
depend neither on the order of the rows nor on anything random but the seed. Intervals (95 %) take lists as independent.
Shuffled labels still say what the labelled lists of a layer have in common, and can be above chance for that.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from svdlens.evaluation.intervals import CONFIDENCE, wilson_interval
from svdlens.evaluation.scored_lists import (
    LabelledLists,
    Prepared,
    Vocabulary,
    prepare,
    shuffled_labels,
    with_fewer_labels,
)
from svdlens.evaluation.token_label_fit import Judge
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.vocabulary.list_similarity import FEWEST_TOKENS

INTRUSION_MEMBERS = 4
INTRUDER_LENGTH = 2
"""Characters by which an intruder may be longer or shorter than the token whose place it takes."""
NEGATIVES = 9
CANDIDATES = 64
"""Tokens among which the one nearest in frequency is taken."""
RESAMPLES = 1000
MOST_LABELS = 4000
"""Of one read-out and side: intervals are within 0.016 then, and a large model has ten times as many."""
LISTS_AT_ONCE = 256
TARGETS_AT_ONCE = 512
"""So many times CANDIDATES stay in the processor's cache."""


class Score(NamedTuple):
    """Result of a test over n lists: a share or an area between 0 and 1, None with its interval where n is 0.

    low and high: 95 % interval. chance: what a judge without an opinion would have. n_left_out: lists not tested.
    `shuffled` is the value for labels dealt out anew among the labelled lists of each layer; score_labels adds it.
    """

    test: str
    n: int
    n_left_out: int
    value: float | None
    low: float | None
    high: float | None
    chance: float
    shuffled: float | None = None


def score_labels(
    lists: LabelledLists,
    vocabulary: Vocabulary,
    judge: Judge,
    embeddings: Float[np.ndarray, "d_vocab d"],
    seed: int,
) -> list[Score]:
    """Intrusion, retrieval and held-out, each beside its value for shuffled labels. `embeddings` are unit vectors.

    Of more than MOST_LABELS labels so many are scored, drawn at random.

    Raises SvdlensError as scored_lists.prepare and the judge do.
    """
    lists = with_fewer_labels(lists, MOST_LABELS, seed)
    prepared = prepare(lists, vocabulary)
    # Those of shuffled labels, too, which only change places among the labelled lists of a layer.
    negatives = hard_negatives(prepared, vocabulary, embeddings)
    scores, shuffled_scores = (
        [
            intrusion(labelled, vocabulary, judge, seed),
            retrieval(labelled, judge, negatives),
            held_out(labelled, vocabulary, judge, seed),
        ]
        for labelled in (prepared, prepare(shuffled_labels(lists, seed), vocabulary))
    )
    return [score._replace(shuffled=other.value) for score, other in zip(scores, shuffled_scores, strict=True)]


def intrusion(prepared: Prepared, vocabulary: Vocabulary, judge: Judge, seed: int) -> Score:
    """Of four of the first 15 tokens and an intruder, does the intruder fit the label least? Ties count in parts.

    It comes from the first 15 tokens of other lists of the layer, and is like a fifth token of the list in frequency
    (the nearest of CANDIDATES), leading space, capitals, letters or not, and length. Lists are left out that have
    fewer than five tokens on which the judge has an opinion, or no such intruder.
    """
    generator = np.random.default_rng(seed)
    members = prepared.first[prepared.rows]
    fits = known_fit(judge, prepared, members)
    chosen = np.argsort(np.where(np.isnan(fits), np.inf, generator.random(members.shape)), axis=1)
    chosen = chosen[:, : INTRUSION_MEMBERS + 1]
    fits = np.take_along_axis(fits, chosen, axis=1)
    surfaces = surfaces_of(vocabulary.texts)
    drawn = np.where(np.isnan(fits), -1, np.take_along_axis(members, chosen, axis=1))
    intruders = matched_tokens(drawn, prepared, prepared.first, vocabulary, surfaces, generator)
    intruder_fits = known_fit(judge, prepared, intruders)
    # The first of the five that has a counterpart is replaced by it.
    replaced = np.argmax(~np.isnan(intruder_fits), axis=1)[:, None]
    intruder_fit = np.take_along_axis(intruder_fits, replaced, axis=1)
    np.put_along_axis(fits, replaced, intruder_fit, axis=1)
    scored = ~np.isnan(fits).any(axis=1)
    lowest = (fits <= fits.min(axis=1, keepdims=True))[scored]
    hits = np.where((intruder_fit[scored] <= fits[scored]).all(axis=1), 1 / np.maximum(lowest.sum(axis=1), 1), 0.0)
    return proportion("intrusion", hits, len(members) - len(hits), 1 / (INTRUSION_MEMBERS + 1))


def retrieval(prepared: Prepared, judge: Judge, negatives: Int[np.ndarray, "labelled 9"]) -> Score:
    """Does a label fit the first 15 tokens of its own list better, on average, than those of nine lists like it?

    These are its hard_negatives: the lists of the layer whose mean embeddings have the highest cosine with its own,
    without lists of the same direction and those that share more than half of its tokens. Ties count in parts. Labels
    are left out where a list has fewer than FEWEST_TOKENS tokens or the layer fewer than nine such lists, or where the
    judge has no opinion. The nine were chosen for being like its tokens, so that a label that says nothing finds its
    list less often than by chance; shuffled labels show how much less.
    """
    rows = prepared.rows
    (complete,) = np.nonzero((negatives >= 0).all(axis=1))
    compared = np.concatenate([rows[complete, None], negatives[complete]], axis=1)
    ids = prepared.first[compared]
    fits = known_fit(judge, prepared, ids.reshape(len(ids), ids.shape[1] * ids.shape[2]), complete).reshape(ids.shape)
    n_known = (~np.isnan(fits)).sum(axis=2)
    means = np.where(n_known > 0, np.nansum(fits, axis=2) / np.maximum(n_known, 1), np.nan)
    means = means[~np.isnan(means).any(axis=1)]
    best = (means >= means.max(axis=1, keepdims=True)) if len(means) else means.astype(bool)
    hits = np.where(best[:, 0], 1 / np.maximum(best.sum(axis=1), 1), 0.0)
    return proportion("retrieval", hits, len(rows) - len(hits), 1 / (NEGATIVES + 1))


def held_out(prepared: Prepared, vocabulary: Vocabulary, judge: Judge, seed: int) -> Score:
    """Area under the ROC curve with which fit tells later tokens of a list from later tokens of others of the layer.

    Later are tokens after the first 15 distinct ones, without the evidence; for each stands one of another list, near
    to it in frequency. Mean over lists, percentile bootstrap over lists. Lists are left out that have fewer than
    FEWEST_TOKENS such pairs on which the judge has an opinion.
    """
    generator = np.random.default_rng(seed)
    positives = prepared.later[prepared.rows]
    any_surface = np.zeros((len(vocabulary.texts), 2), dtype=np.int64)
    negatives = matched_tokens(positives, prepared, prepared.later, vocabulary, any_surface, generator)
    both = known_fit(judge, prepared, np.concatenate([positives, negatives], axis=1))
    fits, negative_fits = np.split(both, 2, axis=1)
    paired = ~np.isnan(fits) & ~np.isnan(negative_fits)
    scored = paired.sum(axis=1) >= FEWEST_TOKENS
    areas = row_areas(fits[scored], negative_fits[scored], paired[scored])
    resamples = np.random.default_rng([seed, 1])
    means = [resamples.choice(areas, len(areas)).mean() for _ in range(RESAMPLES)] if len(areas) else []
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail]).tolist() if means else (None, None)
    value = float(areas.mean()) if len(areas) else None
    return Score("held_out", len(areas), len(scored) - len(areas), value, low, high, 0.5)


def false_positives(control_labels: pd.DataFrame, cut_p: float) -> Score:
    """The interpretable share of the rows of a control with status ok, beside the p-value up to which lists of
    the same table are labelled (fractions.cut_p): the share that passes of lists that are no more coherent than
    shuffled ones.

    Read-outs have clusters of their own: lists of random directions can be interpretable with good reason, and then
    the share is above `cut_p` without a fault of the labeller (docs/labels.md).
    """
    rows = control_labels[control_labels["status"] == "ok"]
    hits = (rows["interpretable"].eq(True).fillna(False) & ~rows["kind"].isin(NOT_INTERPRETABLE)).to_numpy(dtype=float)
    return proportion("false_positives", hits, len(control_labels) - len(rows), cut_p)


def proportion(test: str, hits: Float[np.ndarray, " n"], n_left_out: int, chance: float) -> Score:
    """The mean of the hits, each between 0 and 1, with Wilson's interval."""
    n = len(hits)
    if n == 0:
        return Score(test, 0, n_left_out, None, None, None, chance)
    value = float(hits.mean())
    low, high = (float(bound.iloc[0]) for bound in wilson_interval(pd.Series([hits.sum()]), pd.Series([n])))
    # Rounding must not put the value outside of its interval.
    return Score(test, n, n_left_out, value, min(low, value), max(high, value), chance)


def known_fit(
    judge: Judge, prepared: Prepared, ids: Int[np.ndarray, "n m"], chosen: Int[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, "n m"]:
    """Fit of a row of tokens to each label (or to the `chosen` ones, by number); NaN where there is no token (-1)."""
    numbers = range(len(prepared.labels)) if chosen is None else chosen
    labels, evidence = [prepared.labels[i] for i in numbers], [prepared.evidence[i] for i in numbers]
    fits = judge.fit(labels, evidence, np.maximum(ids, 0))
    return np.where(ids >= 0, fits, np.nan)


def surfaces_of(texts: list[str]) -> Int[np.ndarray, "d_vocab 2"]:
    """Of each token a number for its form (beginning of a word or not, capitals, letters or not), and its length."""
    forms = []
    for text in texts:
        continues = text.startswith("##") and len(text) > 2  # as WordPiece writes it
        word = text[2:] if continues else text.strip()
        start = 2 if continues else int(text.startswith(" "))
        capitals = 2 if len(word) > 1 and word.isupper() else int(word[:1].isupper())
        forms.append((start * 6 + capitals * 2 + word.isalpha(), len(word)))
    return np.array(forms, dtype=np.int64).reshape(-1, 2)


def matched_tokens(
    targets: Int[np.ndarray, "labelled m"],
    prepared: Prepared,
    pool: Int[np.ndarray, "n _"],
    vocabulary: Vocabulary,
    surfaces: Int[np.ndarray, "d_vocab 2"],
    generator: np.random.Generator,
) -> Int[np.ndarray, "labelled m"]:
    """For each target, a token of a labelled list, one of the pool of its layer that its list does not hold, nor the
    evidence.

    Of CANDIDATES tokens of the same form (see surfaces_of), drawn as often as the lists of the layer have them in
    `pool`, it is the one nearest in log rank of those that are at most INTRUDER_LENGTH longer or shorter. -1 where
    there is none, and for the target -1.
    """
    matched = np.full(targets.shape, -1, dtype=np.int64)
    groups, log_ranks = vocabulary.groups, vocabulary.log_ranks
    layers = prepared.lists.layers
    for layer in np.unique(layers[prepared.rows]):
        layer_pool = pool[layers == layer]
        layer_pool = layer_pool[layer_pool >= 0]
        if not len(layer_pool):
            continue
        layer_pool = layer_pool[np.argsort(surfaces[layer_pool, 0], kind="stable")]
        forms, lengths = surfaces[layer_pool, 0], surfaces[layer_pool, 1]
        pool_groups, pool_log_ranks = groups[layer_pool], log_ranks[layer_pool]
        (mine,) = np.nonzero(layers[prepared.rows] == layer)
        at_once = max(1, TARGETS_AT_ONCE // max(targets.shape[1], 1))
        for start in range(0, len(mine), at_once):
            part = mine[start : start + at_once]
            target = targets[part][:, :, None]
            first = np.searchsorted(forms, surfaces[target, 0], side="left")
            n_same = np.searchsorted(forms, surfaces[target, 0], side="right") - first
            draws = first + (generator.random((*targets[part].shape, CANDIDATES)) * n_same).astype(np.int64)
            candidates = np.minimum(draws, len(layer_pool) - 1)
            row = np.arange(len(part))
            familiar = np.zeros((len(part), groups.max() + 2), dtype=bool)  # the last column is that of no group
            familiar[row[:, None], prepared.familiar[prepared.rows[part]]] = True
            allowed = ~familiar[row[:, None, None], pool_groups[candidates]] & (n_same > 0) & (target >= 0)
            allowed &= np.abs(lengths[candidates] - surfaces[target, 1]) <= INTRUDER_LENGTH
            distances = np.where(allowed, np.abs(pool_log_ranks[candidates] - log_ranks[target]), np.inf)
            nearest = np.argmin(distances, axis=2)[:, :, None]
            chosen = layer_pool[np.take_along_axis(candidates, nearest, 2)]
            matched[part] = np.where(np.take_along_axis(allowed, nearest, 2), chosen, -1)[:, :, 0]
    return matched


def hard_negatives(
    prepared: Prepared, vocabulary: Vocabulary, embeddings: Float[np.ndarray, "d_vocab d"]
) -> Int[np.ndarray, "labelled 9"]:
    """For each labelled list the nine lists that retrieval holds it against, the most similar first; -1 for none."""
    first, directions = prepared.first, prepared.lists.directions
    n_tokens = (first >= 0).sum(axis=1)
    groups = np.where(first >= 0, vocabulary.groups[first], -1)
    means = mean_embeddings(first, embeddings)
    negatives = np.full((len(prepared.rows), NEGATIVES), -1, dtype=np.int64)
    layers = prepared.lists.layers
    for layer in np.unique(layers[prepared.rows]):
        (others,) = np.nonzero((layers == layer) & (n_tokens >= FEWEST_TOKENS))
        (mine,) = np.nonzero((layers[prepared.rows] == layer) & (n_tokens[prepared.rows] >= FEWEST_TOKENS))
        for start in range(0, len(mine), LISTS_AT_ONCE):
            part = mine[start : start + LISTS_AT_ONCE]
            own = prepared.rows[part]
            similarities = means[own] @ means[others].T
            fewer = np.minimum(n_tokens[own][:, None], n_tokens[others])
            allowed = n_shared(groups[own], groups[others]) <= fewer / 2
            allowed &= directions[own][:, None] != directions[others]
            distances = np.where(allowed, 1 - similarities, np.inf)
            near = np.argpartition(distances, min(NEGATIVES, len(others)) - 1, axis=1)[:, :NEGATIVES]
            order = np.lexsort((near, np.take_along_axis(distances, near, axis=1)), axis=1)
            near = np.take_along_axis(near, order, axis=1)
            is_allowed = np.isfinite(np.take_along_axis(distances, near, axis=1))
            negatives[part, : near.shape[1]] = np.where(is_allowed, others[near], -1)
    return negatives


def mean_embeddings(
    first: Int[np.ndarray, "n 15"], embeddings: Float[np.ndarray, "d_vocab d"]
) -> Float[np.ndarray, "n d"]:
    """The mean embedding of each list, of length 1; in float64, so that no rounding decides which lists are nearest."""
    sums = np.zeros((len(first), embeddings.shape[1]))
    for start in range(0, len(first), LISTS_AT_ONCE):  # so many stay in the processor's cache
        for column in first[start : start + LISTS_AT_ONCE].T:
            sums[start : start + LISTS_AT_ONCE] += embeddings[column] * (column >= 0)[:, None]
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 1e-6)


def n_shared(own: Int[np.ndarray, "q 15"], others: Int[np.ndarray, "n 15"]) -> Int[np.ndarray, "q n"]:
    """How many groups each two lists share; within a list they are distinct, and -1 is none.

    Through the lists that have each group: of all pairs of lists hardly any share something.
    """
    order = np.argsort(others, axis=None, kind="stable")
    sorted_groups, list_of_group = others.ravel()[order], order // others.shape[1]
    first = np.searchsorted(sorted_groups, own, side="left")
    n_lists = np.where(own >= 0, np.searchsorted(sorted_groups, own, side="right") - first, 0).ravel()
    indices = np.repeat(first.ravel() - np.cumsum(n_lists) + n_lists, n_lists) + np.arange(n_lists.sum())
    rows = np.repeat(np.arange(own.size) // own.shape[1], n_lists)
    pairs = rows * len(others) + list_of_group[indices]
    return np.bincount(pairs, minlength=len(own) * len(others)).reshape(len(own), len(others))


def row_areas(
    positives: Float[np.ndarray, "n m"], negatives: Float[np.ndarray, "n m"], used: Bool[np.ndarray, "n m"]
) -> Float[np.ndarray, " n"]:
    """Area under the ROC curve of each row: the share of pairs in which the positive is higher, a tie counting half.

    The Mann-Whitney statistic (Hanley & McNeil 1982), over the used columns, of which there is at least one in a row.
    """
    areas = np.empty(len(used))
    for start in range(0, len(used), 1024):
        rows = slice(start, start + 1024)
        one, other = positives[rows, :, None], negatives[rows, None, :]
        higher = (one > other) + 0.5 * (one == other)
        pairs = used[rows, :, None] & used[rows, None, :]
        areas[rows] = (higher * pairs).sum(axis=(1, 2)) / pairs.sum(axis=(1, 2))
    return areas
