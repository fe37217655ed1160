"""The table of a trace: the directions of a model that a query lies along, the nearest first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from svdlens.readout.projection import Vectors
from svdlens.trace.cosines import Cosines, unit_rows

KEYS = ["matrix", "layer", "head", "index", "side"]
LABEL_COLUMNS = ["label", "kind", "interpretable"]
AT_LEAST = 50
"""So many directions of a query are in the table, whether they are found or not."""


def direction_keys(
    vectors: Mapping[str, Vectors], matrices: Mapping[str, tuple[Sequence[int], Sequence[int | None]]]
) -> pd.DataFrame:
    """KEYS of the rows of all_directions, one after the other. `matrices` are the layer and head of each of a kind
    (layers_and_heads)."""
    parts = []
    for matrix, sides in vectors.items():
        layers, heads = matrices[matrix]
        for side, directions in sides.items():
            n_matrices, k, _ = directions.shape
            parts.append(
                pd.DataFrame(
                    {
                        "matrix": matrix,
                        "layer": np.repeat(layers, k),
                        "head": pd.array(np.repeat(np.array(heads, object), k), "Int32"),
                        "index": np.tile(np.arange(k), n_matrices),
                        "side": side,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def all_directions(vectors: Mapping[str, Vectors]) -> Float[Tensor, "directions d_model"]:
    """The vectors of all kinds of matrices, sides and matrices, one below the other."""
    return torch.cat([directions.flatten(0, 1) for sides in vectors.values() for directions in sides.values()])


def trace_rows(keys: pd.DataFrame, cosines: Cosines, number: int, level: float, least_cosine: float) -> pd.DataFrame:
    """A row for each direction that query `number` of `cosines` finds, and for the nearest AT_LEAST in any case, the
    largest |standard_score| first.

    Columns: direction (its row of `keys`), KEYS, sign (of the cosine: the direction times its sign is what the query
    lies along), cosine (not negative), standard_score (of the direction at that sign), p_value, q_value, found (q_value
    at most `level`), above_cosine (cosine at least `least_cosine`).
    """
    cosine, score, _, q_value = one = [array[number] for array in cosines]
    far = np.abs(score)
    nearest = far >= np.partition(far, -AT_LEAST)[-AT_LEAST] if len(far) > AT_LEAST else np.ones(len(far), bool)
    chosen = np.flatnonzero((q_value <= level) | (np.abs(cosine) >= least_cosine) | nearest)
    chosen = chosen[np.argsort(-far[chosen], kind="stable")]
    cosine, score, p_value, q_value = (array[chosen].astype(float) for array in one)
    sign = np.where(cosine < 0, -1, 1)
    return (
        keys.iloc[chosen]
        .assign(
            direction=chosen,
            sign=sign,
            cosine=np.abs(cosine),
            standard_score=score * sign,
            p_value=p_value,
            q_value=q_value,
            found=q_value <= level,
            above_cosine=np.abs(cosine) >= least_cosine,
        )
        .reset_index(drop=True)
    )


def matrix_starts(keys: pd.DataFrame) -> Int[np.ndarray, " matrices"]:
    """The first row of each matrix and side in keys of direction_keys, some of which may have been left out."""
    numbers = keys.groupby(["matrix", "side", "layer", "head"], sort=False, dropna=False).ngroup().to_numpy()
    return np.flatnonzero(np.diff(numbers, prepend=-1))


def best_of_matrices(
    keys: pd.DataFrame, starts: Int[np.ndarray, " matrices"], cosines: Cosines, number: int, level: float
) -> pd.DataFrame:
    """The direction with the largest |standard_score| of each matrix and side, for query `number` of `cosines`.

    `starts`: matrix_starts. Columns: KEYS and sign, cosine, standard_score, q_value of that direction, as trace_rows
    has them; n, the number of directions of the matrix, and n_found, those with a q_value up to `level`.
    """
    cosine, score, _, q_value = (array[number].astype(float) for array in cosines)
    far, sizes = np.abs(score), np.diff(starts, append=len(keys))
    are_largest = np.flatnonzero(far == np.repeat(np.maximum.reduceat(far, starts), sizes))
    best = are_largest[np.searchsorted(are_largest, starts)]  # the first where several are
    sign = np.where(cosine[best] < 0, -1, 1)
    return (
        keys.iloc[best]
        .assign(
            sign=sign,
            cosine=np.abs(cosine[best]),
            standard_score=score[best] * sign,
            q_value=q_value[best],
            n=sizes,
            n_found=np.add.reduceat(q_value <= level, starts, dtype=int),
        )
        .reset_index(drop=True)
    )


def with_lists(rows: pd.DataFrame, lists: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """`rows` with the tokens of each direction at its sign, those of the other sign as antipode_tokens, and the same of
    the label, kind and interpretable of a table of labels, which may have no rows."""
    for name in ("tokens", *LABEL_COLUMNS):
        known = (lists if name == "tokens" else labels)[[*KEYS, "sign", name]]
        rows = rows.merge(known, on=[*KEYS, "sign"], how="left", validate="many_to_one")
        other = known.assign(sign=-known["sign"]).rename(columns={name: f"antipode_{name}"})
        rows = rows.merge(other, on=[*KEYS, "sign"], how="left", validate="many_to_one")
    return rows


def round_trip(
    directions: Float[Tensor, "directions d_model"],
    numbers: Sequence[int],
    vectors: Float[Tensor, "d_vocab d_model"],
    token_ids: Sequence[Sequence[int]],
    signs: Sequence[int],
) -> dict[str, Any]:
    """Are directions found by their own tokens? Each of those with the `numbers`, at its sign, against the sum of the
    vectors of its best tokens. Returned are the median cosine with it (round_trip_cosine; the post has about 0.5 for
    reading a direction and embedding what was read), the share for which no other direction is nearer (recall), and n.
    """
    queries = torch.stack([vectors[list(ids)].sum(0) for ids in token_ids])
    cosines = unit_rows(queries) @ unit_rows(directions).T
    own = cosines[range(len(numbers)), list(numbers)] * torch.as_tensor(signs)
    found = own >= cosines.abs().max(1).values
    return {"round_trip_cosine": float(own.median()), "recall": float(found.double().mean()), "n": len(numbers)}
