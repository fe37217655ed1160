"""Shards of the examples of one kind of matrix: where in a text each direction projects most (activations/)."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from svdlens.explorer.read_tables import Frame, codes, integers, read_columns
from svdlens.explorer.shard_format import Column, write_shard
from svdlens.explorer.table_shards import DIGITS, layers_per_shard

AGREEMENT = ("auc_at", "p_at", "auc_next", "p_next")
WINDOW = ("before", "tokens", "after")


def write_examples(target: Path, stem: str, frame: Frame, path: Path) -> dict[str, Any]:
    """The examples in the table at `path`, in shards of as many layers as those of the lists, and their entry in the
    catalogue.

    A row for each layer, head, side, direction and sign of the frame, whatever the read-out: `windows` numbers of
    windows, 0 for none, and as many projections. Window i is three texts from 3 (i - 1) on: before the peak, the token
    there, after it. They are in the order of the text, in which neighbours have most of their letters in common.
    """
    table = read_columns(
        path, ["matrix", "layer", "head", "index", "side", "sign", "positions", "projections", *WINDOW, *AGREEMENT]
    )
    table = table.filter(pc.equal(table["matrix"].cast(pa.string()), frame.matrix)).combine_chunks()
    row = rows_of(frame, table)
    table, row = table.filter(pa.array(row >= 0)).combine_chunks(), row[row >= 0]
    lengths = integers(pc.list_value_length(table["positions"]))
    n = int(lengths.max(initial=0))
    place = np.repeat(row * n, lengths) + np.concatenate([np.arange(length) for length in [*lengths, 0]])
    rows = frame.rows // len(frame.readouts)
    positions, projections = np.full(rows * n, -1), np.full(rows * n, np.nan)
    positions[place] = flat(table, "positions")
    projections[place] = flat(table, "projections")
    texts = [flat(table, name) for name in WINDOW]
    number_at = np.full(rows * n, -1)
    number_at[place] = np.arange(len(place))
    numbers = {name: np.full(rows, np.nan) for name in AGREEMENT}
    for name in AGREEMENT:
        numbers[name][row] = table[name].to_numpy(zero_copy_only=False)
    step = layers_per_shard(frame) * frame.rows_of_layer // len(frame.readouts)
    names = []
    for start in range(0, rows, step):
        part = slice(start * n, min(start + step, rows) * n)
        distinct, first, window = np.unique(positions[part], return_index=True, return_inverse=True)
        kept = distinct >= 0
        at = number_at[part][first[kept]]
        columns = [
            Column("texts", [texts[i][number] for number in at.tolist() for i in range(len(WINDOW))]),
            # Distinct positions come in order, none (-1) before all.
            Column("windows", window.reshape(-1) + int(kept.all())),
            Column("projections", projections[part], DIGITS),
            *(Column(name, numbers[name][start : start + step], DIGITS) for name in AGREEMENT),
        ]
        names.append(write_shard(target, f"{stem}_examples", columns))
    return {"shards": names, "windows": n}


def rows_of(frame: Frame, table: pa.Table) -> np.ndarray:
    """The row of each example in the order layer, head, side, direction, sign; -1 where the frame has none."""
    layer, head, index, sign = (integers(table[name]) for name in ("layer", "head", "index", "sign"))
    side = codes(table["side"], frame.sides)[1]
    known = np.isin(layer, frame.layers) & np.isin(head, frame.heads) & (side >= 0) & (index < frame.directions)
    row = np.searchsorted(frame.layers, layer) * len(frame.heads) + np.searchsorted(frame.heads, head)
    row = ((row * len(frame.sides) + side) * frame.directions + index) * 2 + (sign < 0)
    return np.where(known, row, -1)


def flat(table: pa.Table, name: str) -> Any:
    """The entries of all lists of a column, one after the other: numbers as an array, texts as a list."""
    values = table[name].combine_chunks().flatten()
    return values.to_pylist() if pa.types.is_string(values.type) else values.to_numpy(zero_copy_only=False)
