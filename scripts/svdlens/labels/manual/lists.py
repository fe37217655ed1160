"""The lists of a sweep as people see them: their first tokens, by which a list is known wherever it occurs."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from svdlens.spec.controls import RANDOM_UNIT

ID = re.compile(r"w[0-9a-f]{12}")
"""What an id looks like. A letter comes first, so that no spreadsheet takes one for a number such as 12e45."""
UNSEEN = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
BETWEEN = " | "


def first_texts(tokens: pa.ChunkedArray | pa.Array, n: int) -> list[list[str]]:
    """The first `n` texts of each list of a column of tokens."""
    texts: list[list[str]] = pc.list_slice(tokens, 0, n).to_pylist()
    return texts


def list_key(texts: Sequence[str]) -> str:
    """What a list is known by: the sha256 of its texts as JSON. The same texts have the same key in every sweep."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


def list_id(key: str) -> str:
    """The id of a list on a sheet, by its key; it tells nothing else of the list."""
    return f"w{key[:12]}"


def cell_of(texts: Sequence[str]) -> str:
    """A list in one cell of a CSV: its texts as they are, but what cannot be seen by its number."""
    return BETWEEN.join(UNSEEN.sub(lambda found: f"U+{ord(found[0]):04X}", text) for text in texts)


def read_lists(path: Path) -> pa.Table:
    """The lists of singular and of random unit directions in a file of results/by_switches/tokens, without null space.

    Columns: control (null for singular directions), matrix, layer, head, index, side, sign, readout, tokens.
    """
    names = ["control", "matrix", "layer", "head", "index", "side", "sign", "readout", "tokens", "null_space"]
    table = pq.ParquetFile(path).read(columns=names)
    control = pc.field("control").cast(pa.string())
    wanted = (control.is_null() | (control == RANDOM_UNIT)) & ~pc.field("null_space")
    return table.filter(wanted).drop_columns("null_space")
