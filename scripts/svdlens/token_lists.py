"""Columns of the tokens tables."""

import numpy as np
import pyarrow as pa

from svdlens.readout import TopTokens


def token_columns(
    found: dict[str, dict[int, TopTokens]],
    texts: list[str],
    matrix: str,
    layers: list[int | None],
    heads: list[int | None],
    readout: str,
) -> dict[str, object]:
    """The tokens table for the results `found[side][sign]` of one kind of matrix.

    `layers` and `heads` name the matrices, which have equally many directions, one matrix after the other.
    Rows are ordered by side, matrix, direction, sign.
    """
    sides = list(found)
    n = len(found[sides[0]][+1].ids)
    each = n // len(layers)
    # [sides, directions, signs, k] -> one row for each list
    ids = np.stack([np.stack([found[side][+1].ids, found[side][-1].ids], axis=1) for side in sides])
    scores = np.stack([np.stack([found[side][+1].scores, found[side][-1].scores], axis=1) for side in sides])
    k = ids.shape[-1]
    n_rows = ids.size // k
    # 32-bit list offsets end at 2^31 values, 40 million lists of 50: more than any sweep has in one table.
    offsets = pa.array(np.arange(0, ids.size + 1, k), pa.int32())
    flat_ids = pa.array(ids.reshape(-1), pa.int32())
    return {
        "matrix": [matrix] * n_rows,
        "layer": [layer for layer in layers for _ in range(2 * each)] * len(sides),
        "head": [head for head in heads for _ in range(2 * each)] * len(sides),
        "index": [index for index in range(each) for _ in range(2)] * (len(layers) * len(sides)),
        "side": [side for side in sides for _ in range(2 * n)],
        "sign": [+1, -1] * (n * len(sides)),
        "readout": [readout] * n_rows,
        "token_ids": pa.ListArray.from_arrays(offsets, flat_ids),
        "tokens": pa.ListArray.from_arrays(offsets, pa.array(texts, pa.string()).take(flat_ids)),
        "scores": pa.ListArray.from_arrays(offsets, pa.array(scores.reshape(-1), pa.float32())),
    }
