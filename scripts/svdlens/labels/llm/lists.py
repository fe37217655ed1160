"""Which lists the labeller `llm` asks about, and how they are known: by their texts."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from svdlens.labels.external_lists import read_lists
from svdlens.labels.label_table import Choice, choose

FEWEST_TOKENS = 2
"""With fewer tokens there is nothing to share: nobody is asked."""


def list_key(tokens: Sequence[str]) -> str:
    """What a list is known by: the sha256 of its texts."""
    return hashlib.sha256(json.dumps(list(tokens)).encode()).hexdigest()


def distinct_lists(texts: Iterable[Sequence[str]], n_tokens: int) -> list[tuple[str, ...]]:
    """The first `n_tokens` texts of each list; those that are alike once, in the order in which they came."""
    return list(dict.fromkeys(tuple(tokens[:n_tokens]) for tokens in texts))


def lists_of_table(path: Path, choice: Choice, n_tokens: int) -> list[tuple[str, ...]]:
    """The distinct lists of the chosen rows of a table of tokens, controls among them, null space left out."""
    columns = ["control", "readout", "side", "sign", "index", "null_space", "tokens"]
    return distinct_lists(live_texts(choose(pq.ParquetFile(path).read(columns), choice)), n_tokens)


def live_texts(table: pa.Table) -> list[list[str]]:
    texts: list[list[str]] = table.filter(~pc.field("null_space"))["tokens"].to_pylist()
    return texts


def lists_of_file(path: Path, choice: Choice | None, n_tokens: int) -> list[tuple[str, ...]]:
    """The distinct lists of a table of tokens, or of JSON lines, of which all are chosen (`choice` None)."""
    if choice is None:
        return distinct_lists((given.tokens for given in read_lists(path)), n_tokens)
    return lists_of_table(path, choice, n_tokens)
