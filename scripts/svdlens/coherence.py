"""The coherence labeller: does a list of tokens hang together in a sentence-embedding space?

Score of a list: mean cosine between the embeddings (all-MiniLM-L6-v2, mean over the vocabulary taken out) of its
first 15 distinct tokens, where case and surrounding spaces do not make tokens distinct. Two nulls, two questions
(docs/design.md):

    list null       lists shuffled from the tokens of the same model, matrix and read-out: does the list hang
                    together at all? `interpretable` rests on it: q_value below the level.
    direction null  random unit directions through the same read-out: is this direction better than a random one?
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

LIST_LENGTH = 15
FEWEST_TOKENS = 5
"""A list with fewer distinct tokens gets no label: status abstained."""
NULL_LISTS = 1000


class DistinctLists(NamedTuple):
    """ids [n, 15] of the first distinct tokens of each list, `used` where there is one."""

    ids: Int[np.ndarray, "n 15"]
    used: Bool[np.ndarray, "n 15"]


def centred(embeddings: Float[np.ndarray, "d_vocab d"]) -> Float[np.ndarray, "d_vocab d"]:
    """Embeddings with the mean taken out, normalised: any two token texts share much that means nothing."""
    moved = embeddings - embeddings.mean(axis=0)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > 1e-6)


def token_groups(texts: list[str]) -> Int[np.ndarray, " d_vocab"]:
    """A number for each token id; tokens that differ in case or surrounding spaces share it."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text.strip().lower(), len(numbers)) for text in texts])


def first_distinct(ids: Int[np.ndarray, "n k"], groups: Int[np.ndarray, " d_vocab"]) -> DistinctLists:
    """The first LIST_LENGTH tokens of each list of which no variant came before."""
    chosen = np.zeros((len(ids), LIST_LENGTH), dtype=ids.dtype)
    used = np.zeros((len(ids), LIST_LENGTH), dtype=bool)
    for start in range(0, len(ids), 4096):
        part = ids[start : start + 4096]
        of = groups[part]
        seen_before = np.tril(of[:, :, None] == of[:, None, :], k=-1).any(axis=2)
        place = np.cumsum(~seen_before, axis=1) - 1
        keep = ~seen_before & (place < LIST_LENGTH)
        row, column = np.nonzero(keep)
        chosen[start + row, place[row, column]] = part[row, column]
        used[start + row, place[row, column]] = True
    return DistinctLists(chosen, used)


def membership(lists: DistinctLists, embeddings: Float[np.ndarray, "d_vocab d"]) -> Float[np.ndarray, "n 15"]:
    """Mean cosine of each token with the others of its list; NaN where there is no token."""
    result = np.full(lists.ids.shape, np.nan)
    for start in range(0, len(lists.ids), 4096):
        rows = slice(start, start + 4096)
        vectors = embeddings[lists.ids[rows]] * lists.used[rows, :, None]
        with_all = np.einsum("nkd,nd->nk", vectors, vectors.sum(axis=1))
        with_itself = np.einsum("nkd,nkd->nk", vectors, vectors)
        others = np.maximum(lists.used[rows].sum(axis=1, keepdims=True) - 1, 1)
        result[rows] = np.where(lists.used[rows], (with_all - with_itself) / others, np.nan)
    return result


def coherence(lists: DistinctLists, embeddings: Float[np.ndarray, "d_vocab d"]) -> Float[np.ndarray, " n"]:
    """Mean cosine over all pairs of a list; NaN for lists with fewer than FEWEST_TOKENS distinct tokens."""
    of_tokens = membership(lists, embeddings)
    n_tokens = lists.used.sum(axis=1)
    means = np.nansum(of_tokens, axis=1) / np.maximum(n_tokens, 1)
    return np.where(n_tokens >= FEWEST_TOKENS, means, np.nan)


def shuffled_lists(lists: DistinctLists, groups: Int[np.ndarray, " d_vocab"], n: int, seed: int) -> DistinctLists:
    """The list null: n lists of tokens drawn from all lists together, as often as they occur there."""
    pool = lists.ids[lists.used]
    # Twice the length, so that almost every list still has LIST_LENGTH distinct tokens.
    drawn = np.random.default_rng(seed).choice(pool, size=(n, 2 * LIST_LENGTH))
    return first_distinct(drawn, groups)


def p_values(scores: Float[np.ndarray, " n"], null: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """(1 + null values at least as high) / (1 + null values); NaN for NaN."""
    null = np.sort(null[~np.isnan(null)])
    at_least = len(null) - np.searchsorted(null, scores, side="left")
    return np.where(np.isnan(scores), np.nan, (1 + at_least) / (1 + len(null)))


def q_values(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Benjamini & Hochberg 1995 over all rows that have a p-value; NaN for NaN.

    As scipy.stats.false_discovery_control, which is the oracle in the tests and takes longer to import than a
    table of a small model takes to label.
    """
    (known,) = np.nonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    raised = p[order] * len(order) / np.arange(1, len(order) + 1)
    q = np.full(len(p), np.nan)
    # The smallest of what a row and all rows with a larger p-value have.
    q[order] = np.minimum.accumulate(raised[::-1])[::-1]
    return q


def q_values_of_controls(
    p_controls: Float[np.ndarray, " m"], p: Float[np.ndarray, " n"], q: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """The q-value that a row with the control's p-value would have.

    So controls pass at just the same p-value as rows do; a correction of their own would be stricter the fewer
    of them are coherent, and flatter the rows.
    """
    known = ~np.isnan(p)
    order = np.argsort(p[known])
    sorted_p = np.append(p[known][order], np.inf)
    sorted_q = np.append(q[known][order], 1.0)
    place = np.searchsorted(sorted_p, np.nan_to_num(p_controls, nan=2.0), side="left")
    return np.where(np.isnan(p_controls), np.nan, sorted_q[place])


def surface_kind(tokens: list[str]) -> str:
    """ "orthographic" if two thirds of the tokens share a form that needs no meaning, else "semantic".

    Forms: numbers, punctuation, one or two characters, all capitals, the same first or last three letters.
    """
    words = [token.strip() for token in tokens]
    forms = [
        [any(character.isdigit() for character in word) for word in words],
        [not any(character.isalnum() for character in word) for word in words],
        [len(word) <= 2 for word in words],
        [len(word) > 1 and word.isupper() for word in words],
    ]
    for ending in ({word[-3:].lower() for word in words}, {word[:3].lower() for word in words}):
        for letters in ending:
            if len(letters) == 3:
                forms.append([word.lower().endswith(letters) or word.lower().startswith(letters) for word in words])
    most = max((sum(form) for form in forms), default=0)
    return "orthographic" if most >= 2 * len(words) / 3 else "semantic"
