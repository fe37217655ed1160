"""Columns of the tokens tables."""

import numpy as np
import pyarrow as pa

from svdlens.readout import TopTokens


def token_columns(
    found: dict[str, dict[str, dict[int, TopTokens]]],
    texts: list[str],
    matrix: str,
    layers: list[int | None],
    heads: list[int | None],
) -> dict[str, object]:
    """The tokens table for the results `found[readout][side][sign]` of one kind of matrix.

    `layers` and `heads` name the matrices, which have equally many directions, one matrix after the other. Every
    read-out has the same sides. Rows are ordered by read-out, side, matrix, direction, sign.
    """
    readouts = list(found)
    sides = list(found[readouts[0]])
    n = len(found[readouts[0]][sides[0]][+1].ids)
    each = n // len(layers)
    results = [found[readout][side] for readout in readouts for side in sides]
    # [readouts x sides, directions, signs, k] -> one row for each list
    ids = np.stack([np.stack([result[+1].ids, result[-1].ids], axis=1) for result in results])
    scores = np.stack([np.stack([result[+1].scores, result[-1].scores], axis=1) for result in results])
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
    }
