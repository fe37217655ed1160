"""The texts of a model's tokens as a table, so that later jobs need no tokenizer."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import TOKEN_TEXTS, write_table


def write_token_texts(path: Path, texts: list[str], facts: dict[str, object]) -> None:
    """Write a table of the `texts` by token id (columns id, text) with `facts` as metadata."""
    write_table(path, {"id": pa.array(range(len(texts)), pa.int32()), "text": texts}, TOKEN_TEXTS, facts)


def read_token_texts(path: Path) -> list[str]:
    """The text of each token id."""
    return pq.ParquetFile(path).read(columns=["text"])["text"].to_pylist()
