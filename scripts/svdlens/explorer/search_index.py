"""The explorer's vocabulary, and where each token occurs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from svdlens.errors import SvdlensError

MOST_TABLES = 31
"""Bits of an integer in JavaScript."""
PART = 50_000
"""Postings in a shard of the index; a token with more has a shard of its own."""


class Vocabulary(NamedTuple):
    """Tokens that occur, the most frequent first: `ids` [n] and texts; `number` [largest id + 1] are their numbers."""

    ids: Int[np.ndarray, " n"]
    texts: list[str]
    number: Int[np.ndarray, " m"]


class Postings(NamedTuple):
    """Where tokens occur, token by token and row by row.

    Those of token number t are `rows` and `tables` [starts[t] : starts[t + 1]]; bit i of `tables` says that the row has
    the token in the i-th of the different tables of its frame.
    """

    starts: Int[np.ndarray, " n+1"]
    rows: Int[np.ndarray, " p"]
    tables: Int[np.ndarray, " p"]


def vocabulary_of(lists: Iterable[Int[np.ndarray, "n k"]], texts: Mapping[int, str]) -> Vocabulary:
    """The tokens of `lists` and of `texts` by how often they are in the lists, ties by id."""
    counts = np.zeros(max(texts, default=-1) + 1, dtype=np.int64)
    for ids in lists:
        counts += np.bincount(ids.reshape(-1), minlength=len(counts))
    known = np.array(sorted(texts), dtype=np.int64)
    ids = known[np.argsort(-counts[known], kind="stable")]
    number = np.full(len(counts), -1, dtype=np.int64)
    number[ids] = np.arange(len(ids))
    return Vocabulary(ids, [texts[id] for id in ids.tolist()], number)


def postings_of(frames: Sequence[Sequence[Int[np.ndarray, "_ k"]]], n_tokens: int) -> Postings:
    """The postings of token numbers `frames[frame][table]` [rows, k], none where that is -1; rows are counted through
    all frames."""
    n_rows = sum(tables[0].shape[0] for tables in frames)
    n_tables = max(len(tables) for tables in frames)
    if n_tables > MOST_TABLES:
        raise SvdlensError(
            f"{n_tables} settings of one model have different lists, and the explorer takes {MOST_TABLES}. Sweep fewer "
            "at a time (sweep.settings)."
        )
    # One integer for each occurrence, which sorts by token, row and table.
    keys, offset = [], 0
    for tables in frames:
        n = tables[0].shape[0]
        rows = np.arange(offset, offset + n)[:, None]
        for table, numbers in enumerate(tables):
            keys.append(((numbers * n_rows + rows) * n_tables + table)[numbers >= 0])
        offset += n
    occurrences = np.concatenate(keys)
    keys.clear()
    occurrences.sort()
    bits = np.int64(1) << (occurrences % n_tables)
    occurrences //= n_tables
    first = np.flatnonzero(np.diff(occurrences, prepend=-1))
    tables_of = np.bitwise_or.reduceat(bits, first)
    occurring = occurrences[first]
    starts = np.searchsorted(occurring, np.arange(n_tokens + 1) * n_rows)
    return Postings(starts, occurring % n_rows, tables_of)


def reading_order(texts: Sequence[str]) -> list[int]:
    """Places of the texts as a dictionary has them, so that what is searched together lies together."""
    return sorted(range(len(texts)), key=lambda number: (texts[number].strip().casefold(), texts[number], number))


def parts_of(order: Sequence[int], sizes: Int[np.ndarray, " n"], largest: int = PART) -> list[list[int]]:
    """`order` cut into runs with at most `largest` postings each, or one token."""
    parts: list[list[int]] = []
    room = 0
    for token in order:
        if not parts or sizes[token] > room:
            parts.append([])
            room = largest
        parts[-1].append(token)
        room -= int(sizes[token])
    return parts
