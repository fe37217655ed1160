"""Queries traced, in one round or in several: what is found extends the query, until nothing new is found."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from svdlens.trace.cosines import frequency_bands
from svdlens.trace.queries import QueryTokens, too_frequent
from svdlens.trace.trace_model import Directions, compare
from svdlens.trace.trace_table import KEYS, best_of_matrices, matrix_starts, trace_rows

MOST_ROUNDS = 5
DIRECTIONS_OF_ROUND = 3
"""So many of the directions that a round is the first to find extend the query, the nearest,"""
TOKENS_OF_DIRECTION = 3
"""each by so many of its best tokens."""


class Traced(NamedTuple):
    """rows: of each query, as trace_rows has them, with query, rank and round. matrices: as best_of_matrices has them,
    with query. rounds: for each query and round the words that it adds, and how many directions it is the first to
    find."""

    rows: pd.DataFrame
    matrices: pd.DataFrame
    rounds: dict[str, list[dict[str, Any]]]


def trace_queries(
    queries: Mapping[str, QueryTokens],
    vectors: Float[Tensor, "d_vocab d_model"],
    log_ranks: Float[ndarray, " d_vocab"],
    directions: Directions,
    lists: pd.DataFrame,
    *,
    iterative: bool,
    level: float,
    least_cosine: float,
    **null: int,
) -> Traced:
    """Trace each query. `log_ranks`: natural logarithm of the frequency rank of each token; `null`: what compare asks.

    With `iterative`, the best tokens, by `lists`, of the directions that a round is the first to find, and that are
    above `least_cosine`, are added to the query for another round, at most MOST_ROUNDS; not those that are refused as
    words because they are too frequent.

    A direction has the numbers of the round that is the first to find it; one that none finds, those of the first.
    """
    bands, frequent, starts = frequency_bands(log_ranks), too_frequent(log_ranks), matrix_starts(directions.keys)

    def one_round(asked: Mapping[str, QueryTokens]) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
        return {
            name: (
                trace_rows(directions.keys, cosines, number, level, least_cosine),
                best_of_matrices(directions.keys, starts, cosines, number, level),
            )
            for names, cosines in compare(asked, vectors, bands, directions, **null)
            for number, name in enumerate(names)
        }

    first = one_round(queries)
    rows = {name: first[name][0].assign(round=1) for name in queries}
    new = {name: found[found["found"]] for name, found in rows.items()}
    rounds = {name: [{"words": tokens.words, "found": len(new[name])}] for name, tokens in queries.items()}
    asked = dict(queries)
    for round in range(2, MOST_ROUNDS + 1 if iterative else 2):
        before = asked
        longer = {name: extended(tokens, new[name], lists, frequent) for name, tokens in before.items()}
        asked = {name: tokens for name, tokens in longer.items() if len(tokens.words) > len(before[name].words)}
        for name, (later, _) in one_round(asked).items():
            new[name] = first_found(later, rows[name]).assign(round=round)
            rows[name] = joined(rows[name], new[name])
            words = asked[name].words[len(before[name].words) :]
            rounds[name].append({"words": words, "found": len(new[name])})
    ranked = [rows[name].assign(query=name, rank=range(1, len(rows[name]) + 1)) for name in queries]
    matrices = [first[name][1].assign(query=name) for name in queries]
    return Traced(pd.concat(ranked, ignore_index=True), pd.concat(matrices, ignore_index=True), rounds)


def extended(
    tokens: QueryTokens, found: pd.DataFrame, lists: pd.DataFrame, frequent: Bool[ndarray, " d_vocab"]
) -> QueryTokens:
    """A query with the best tokens, but for `frequent` ones, of the nearest directions that were `found`, each once."""
    nearest = found[found["above_cosine"]].head(DIRECTIONS_OF_ROUND).merge(lists, on=[*KEYS, "sign"], how="left")
    words, ids = list(tokens.words), list(tokens.ids)
    for texts, best in zip(nearest["tokens"], nearest["token_ids"], strict=True):
        for text, id in zip(texts[:TOKENS_OF_DIRECTION], best[:TOKENS_OF_DIRECTION], strict=True):
            if not frequent[id] and [int(id)] not in ids:
                words.append(text)
                ids.append([int(id)])
    return QueryTokens(words, ids)


def first_found(rows: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """The `rows` that are found and were not `before`."""
    return rows[rows["found"] & ~rows["direction"].isin(before.loc[before["found"], "direction"])]


def joined(before: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """What was found `before`, then the `new`, then what still is not found."""
    still = before[~before["found"] & ~before["direction"].isin(new["direction"])]
    return pd.concat([before[before["found"]], new, still], ignore_index=True)
