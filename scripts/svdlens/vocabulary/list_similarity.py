"""How alike the tokens of a list are, in a sentence-embedding space (all-MiniLM-L6-v2; sentence_embedding.py).

Coherence as the mean similarity of embeddings within a list: Fang et al. 2016, for topics. Similarities are cosines,
weighted by how much is known of a token.
"""

import numpy as np
from jaxtyping import Float, Int

from svdlens.readout.token_table import DistinctLists

LIST_LENGTH = 15
FEWEST_TOKENS = 5
"""A list with fewer distinct tokens gets no label: status abstained."""
UNKNOWN_WEIGHT = 0.5
"""Of tokens that no dictionary has, mostly fragments of words: of these an embedding knows the spelling at best."""
ROWS_AT_ONCE = 256
"""So many lists stay in the processor's cache."""


def token_vectors(
    embeddings: Float[np.ndarray, "n d"], mean: Float[np.ndarray, " d"], lengths: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n d"]:
    """Embeddings with the `mean` of a vocabulary taken out, at the given lengths. float32.

    Any two token texts share much that means nothing, which is the mean. What is left with nothing is zero.
    """
    centred = embeddings - mean
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    vectors: np.ndarray = np.divide(centred * lengths[:, None], norms, out=np.zeros_like(centred), where=norms > 1e-6)
    return vectors.astype(np.float32)


def first_distinct(ids: Int[np.ndarray, "n k"], groups: Int[np.ndarray, " d_vocab"]) -> DistinctLists:
    """The first LIST_LENGTH tokens of each list of which no variant came before.

    `groups` has one number for all variants of a word (TokenClasses).
    """
    chosen = np.zeros((len(ids), LIST_LENGTH), dtype=ids.dtype)
    used = np.zeros((len(ids), LIST_LENGTH), dtype=bool)
    earlier = np.tri(ids.shape[1], k=-1, dtype=bool)
    for start in range(0, len(ids), ROWS_AT_ONCE):
        part = ids[start : start + ROWS_AT_ONCE]
        group = groups[part]
        seen_before = ((group[:, :, None] == group[:, None, :]) & earlier).any(axis=2)
        rank = np.cumsum(~seen_before, axis=1) - 1  # among the distinct ones of the list
        row, column = np.nonzero(~seen_before & (rank < LIST_LENGTH))
        chosen[start + row, rank[row, column]] = part[row, column]
        used[start + row, rank[row, column]] = True
    return DistinctLists(chosen, used)


def closeness(lists: DistinctLists, vectors: Float[np.ndarray, "d_vocab d"]) -> Float[np.ndarray, "n 15"]:
    """Mean squared similarity of each token to the others of its list, opposites counting as 0; 0 where is no token.

    `vectors` as token_vectors has them. Between 0 and 1.
    Squares, because a few tokens that are much alike say more than many that are a little.
    """
    result = np.zeros(lists.ids.shape)
    for start in range(0, len(lists.ids), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        chosen, used = vectors[lists.ids[rows]], lists.used[rows]
        products = np.maximum(chosen @ chosen.transpose(0, 2, 1), 0.0)
        products *= used[:, :, None] & used[:, None, :] & ~np.eye(LIST_LENGTH, dtype=bool)
        others = np.maximum(lists.used[rows].sum(axis=1, keepdims=True) - 1, 1)
        result[rows] = np.square(products).sum(axis=2) / others
    return result


def similarity(lists: DistinctLists, vectors: Float[np.ndarray, "d_vocab d"]) -> Float[np.ndarray, " n"]:
    """Mean of closeness over the tokens of a list; 0 for a list without any."""
    return closeness(lists, vectors).sum(axis=1) / np.maximum(lists.used.sum(axis=1), 1)
