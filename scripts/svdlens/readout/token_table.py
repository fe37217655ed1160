"""Columns of the tokens tables."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from svdlens.artefacts.table_schemas import CONTROLS
from svdlens.spec.readouts import READOUTS


class TopTokens(NamedTuple):
    """ids [n, k] and scores [n, k], best first, and the mean score [n] over all tokens."""

    ids: Int[np.ndarray, "n k"]
    scores: Float[np.ndarray, "n k"]
    mean_scores: Float[np.ndarray, " n"]


class DistinctLists(NamedTuple):
    """ids [n, 15] of the first distinct tokens of each list, `used` where there is one."""

    ids: Int[np.ndarray, "n 15"]
    used: Bool[np.ndarray, "n 15"]


def token_columns(
    top: dict[str, dict[str, dict[int, TopTokens]]],
    texts: list[str],
    matrix: str,
    layers: Sequence[int | None],
    heads: Sequence[int | None],
) -> dict[str, object]:
    """The tokens table for the results `top[readout][side][sign]` of one kind of matrix, none of them null space.

    `layers` and `heads` name the matrices, which have equally many directions, one matrix after the other. Every
    read-out has the same sides. Rows are ordered by read-out, side, matrix, direction, sign.
    """
    readouts = list(top)
    sides = list(top[readouts[0]])
    n = len(top[readouts[0]][sides[0]][+1].ids)
    each = n // len(layers)
    results = [top[readout][side] for readout in readouts for side in sides]
    # [readouts x sides, directions, signs, k] -> one row for each list
    ids = np.stack([np.stack([result[+1].ids, result[-1].ids], axis=1) for result in results])
    scores = np.stack([np.stack([result[+1].scores, result[-1].scores], axis=1) for result in results])
    means = np.stack([np.stack([result[+1].mean_scores, result[-1].mean_scores], axis=1) for result in results])
    k = ids.shape[-1]
    n_rows = ids.size // k
    # 32-bit list offsets end at 2^31 values, 40 million lists of 50: more than any sweep has in one table.
    offsets = pa.array(np.arange(0, ids.size + 1, k), pa.int32())
    flat_ids = pa.array(ids.reshape(-1), pa.int32())
    return {
        "matrix": [matrix] * n_rows,
        "layer": [layer for layer in layers for _ in range(2 * each)] * len(results),
        "head": [head for head in heads for _ in range(2 * each)] * len(results),
        "index": [index for index in range(each) for _ in range(2)] * (len(layers) * len(results)),
        "side": [side for side in sides for _ in range(2 * n)] * len(readouts),
        "sign": [+1, -1] * (n * len(results)),
        "readout": [readout for readout in readouts for _ in range(2 * n * len(sides))],
        "token_ids": pa.ListArray.from_arrays(offsets, flat_ids),
        "tokens": pa.ListArray.from_arrays(offsets, pa.array(texts, pa.string()).take(flat_ids)),
        "scores": pa.ListArray.from_arrays(offsets, pa.array(scores.reshape(-1), pa.float32())),
        "mean_score": pa.array(means.reshape(-1)),
        "null_space": [False] * n_rows,
    }


def join_columns(pieces: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    """The rows of several tokens tables one after the other; a table without the column `control` has null there."""
    joined: dict[str, pa.Array] = {}
    for field in CONTROLS:
        kind = pa.string() if pa.types.is_dictionary(field.type) else field.type
        arrays = [
            values if isinstance(values, pa.Array) else pa.array(values, kind)
            for values in (piece.get(field.name, [None] * len(piece["sign"])) for piece in pieces)
        ]
        joined[field.name] = pa.concat_arrays(arrays)
    return joined


def with_vocab_center(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a tokens table as vocab_center changes them: from each score through W_U the mean over all tokens of
    the same direction is taken away. The lists stay as they are, and so does all that is read otherwise.
    """
    shifted_readouts = [
        READOUTS[readout].shifted_by_vocab_center for readout in pa.array(columns["readout"]).to_pylist()
    ]
    means = np.asarray(columns["mean_score"], dtype=np.float64)
    shifts = np.where(shifted_readouts, means, 0.0)
    scores = columns["scores"]
    if not len(shifts):  # of a control that has no rows where all matrices are zero
        return dict(columns)
    each = len(scores.flatten()) // len(shifts)
    shifted = scores.flatten().to_numpy().astype(np.float64) - np.repeat(shifts, each)
    offsets = pa.array(np.arange(0, len(shifted) + 1, each), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, pa.array(shifted.astype(np.float32)))
    return {**columns, "scores": lists, "mean_score": means - shifts}
