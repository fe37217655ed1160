"""Tables of the whole sweep: those of its places, one below the other."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.artefacts.table_schemas import CATEGORY, read_metadata, with_metadata


def concatenate_tables(
    sources: Iterable[tuple[Path, dict[str, str]]],
    path: Path,
    schema: pa.Schema,
    rows: pc.Expression | None = None,
    *,
    code: str,
) -> None:
    """One parquet file from many, file by file, with its constant columns model and setting put first.

    rows: which rows to take, None for all. code: the hash of what concatenates. The metadata of every source go into
    those of the whole, under its "model/setting/file name".
    """
    sources = list(sources)
    whole = sweep_schema(schema)
    facts = {"/".join([*constants.values(), source.name]): read_metadata(source) for source, constants in sources}
    whole = with_metadata(whole.empty_table(), {"sources": facts, "code": code}).schema
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, whole, compression="zstd") as writer:
        for source, constants in sources:
            table = pq.ParquetFile(source).read()
            if rows is not None:
                table = table.filter(rows)
            for number, (name, value) in enumerate(constants.items()):
                column = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int32()), pa.array([value]))
                table = table.add_column(number, name, column)
            writer.write_table(table.cast(whole))


def sweep_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of a table of the whole sweep: model and setting before the columns of one file."""
    return pa.schema([("model", CATEGORY), ("setting", CATEGORY), *schema])


def labeller_networks(fractions: Path) -> set[str]:
    """The models in a table of fractions that are the network with which the labeller embeds."""
    sources = read_metadata(fractions)["sources"]
    assert isinstance(sources, dict)
    return {facts["model"] for facts in sources.values() if facts["labeller_network"]}
