"""p-values of scores against null lists, and q-values.

Two nulls, two questions (docs/labels.md):

    list null       lists shuffled from the tokens of the same model, matrix and read-out: does a list hang together at
                    all? `interpretable` rests on it: q_value below the level.
    direction null  random unit directions through the same read-out: is this direction better than a random one? Beyond
                    the highest of them, by a fit of their tail (tails.py).
"""

import numpy as np
from jaxtyping import Float, Int

from svdlens.labels.coherence.tails import FARTHEST, SUPPORT, Tail, exceedance_probabilities
from svdlens.readout.token_table import DistinctLists
from svdlens.vocabulary.list_similarity import LIST_LENGTH, first_distinct

NULL_LISTS = 20_000
"""Where Benjamini-Hochberg cuts a table (p of about .01 to .03), some hundreds of so many lists are above the cut: the
seed moves it by a few percent."""


def shuffled_lists(lists: DistinctLists, groups: Int[np.ndarray, " d_vocab"], n: int, seed: int) -> DistinctLists:
    """The list null: n lists of tokens drawn from all lists together, as often as they occur there.

    `groups` as first_distinct takes them. There must be at least one token.
    """
    # Sorted, so that the same lists in another order give the same null.
    pool = np.sort(lists.ids[lists.used])
    # Four times the length, so that lists have LIST_LENGTH distinct tokens even where all of them are of a few tokens.
    drawn = np.random.default_rng(seed).choice(pool, size=(n, 4 * LIST_LENGTH))
    return first_distinct(drawn, groups)


def p_values(
    scores: Float[np.ndarray, " n"], null: Float[np.ndarray, " m"], tail: Tail | None = None
) -> Float[np.ndarray, " n"]:
    """(1 + null values at least as high) / (1 + null values); NaN for NaN, and all NaN without null values.

    The ones keep a p-value from being 0 (Phipson & Smyth 2010). Scores that fewer than SUPPORT null values reach have
    that of the null's `tail`, where there is one: none larger than that of SUPPORT null values, so that a higher score
    has no larger p-value, and none smaller than what a sample can say (FARTHEST).
    """
    null = np.sort(null[~np.isnan(null)])
    if not len(null):
        return np.full(len(scores), np.nan)
    at_least = len(null) - np.searchsorted(null, scores, side="left")
    p = np.where(np.isnan(scores), np.nan, (1 + at_least) / (1 + len(null)))
    if tail is not None:
        far = (at_least < SUPPORT) & ~np.isnan(scores)
        least, most = 1 / (1 + len(null)) / FARTHEST, (1 + SUPPORT) / (1 + len(null))
        p[far] = np.clip(exceedance_probabilities(scores[far], tail), least, most)
    return p


def q_values(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Benjamini & Hochberg 1995 over all rows that have a p-value; NaN for NaN.

    As scipy.stats.false_discovery_control, which is the oracle in the tests and takes longer to import than a
    table of a small model takes to label.
    """
    (known,) = np.nonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    q = np.full(len(p), np.nan)
    # The smallest of what a row and all rows with a larger p-value have.
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return q


def q_values_of_controls(
    p_controls: Float[np.ndarray, " m"], p: Float[np.ndarray, " n"], q: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """The q-value that a row with the control's p-value would have; `q` are those of `p`. NaN for NaN.

    So controls pass at just the same p-value as rows do; a correction of their own would be stricter the fewer
    of them are coherent, and flatter the rows.
    """
    known = ~np.isnan(p)
    order = np.argsort(p[known])
    sorted_p = np.append(p[known][order], np.inf)
    sorted_q = np.append(q[known][order], 1.0)
    index = np.searchsorted(sorted_p, np.nan_to_num(p_controls, nan=2.0), side="left")
    return np.where(np.isnan(p_controls), np.nan, sorted_q[index])
