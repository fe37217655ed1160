"""Schemas of the tables (docs/design.md, artefact contract) and how they are written."""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from svdlens import SCHEMA_VERSION
from svdlens.artefacts.atomic_files import atomic_path

CATEGORY = pa.dictionary(pa.int16(), pa.string())

KEYS = [("matrix", CATEGORY), ("layer", pa.int16()), ("head", pa.int16()), ("index", pa.int16())]
ROW_KEYS = [*KEYS, ("side", CATEGORY), ("sign", pa.int8()), ("readout", CATEGORY)]

SPECTRA = pa.schema(
    [
        *KEYS,
        ("value", pa.float32()),
        ("energy", pa.float64()),
        ("gap", pa.float64()),
        ("cluster", pa.int16()),
        ("cluster_spread", pa.float64()),
        ("sign_margin", pa.float64()),
        ("stability_noise", pa.float64()),
        ("stability_float32", pa.float64()),
    ]
)
TOKENS = pa.schema(
    [
        *ROW_KEYS,
        ("token_ids", pa.list_(pa.int32())),
        ("tokens", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("mean_score", pa.float64()),
    ]
)
# The same for directions that are no singular vectors. `index` counts them; those that belong to no matrix in
# particular have no layer and no head, and the side `all`.
CONTROLS = pa.schema([("control", CATEGORY), *TOKENS])
# What a labeller says of a list; mean_log_rank is the natural logarithm of the frequency rank, 1 for the most frequent.
LABEL_FIELDS = [
    ("labeller", CATEGORY),
    ("label", pa.string()),
    ("kind", CATEGORY),
    ("labelled", pa.bool_()),
    ("verified", pa.bool_()),
    ("interpretable", pa.bool_()),
    ("score", pa.float64()),
    ("p_value", pa.float64()),
    ("q_value", pa.float64()),
    ("p_direction", pa.float64()),
    ("q_direction", pa.float64()),
    ("evidence", pa.list_(pa.string())),
    ("n_concepts", pa.int8()),
    ("mean_log_rank", pa.float64()),
    ("status", CATEGORY),
]
LABELS = pa.schema([*ROW_KEYS, *LABEL_FIELDS])
LABELLED_LISTS = pa.schema([("id", pa.string()), *LABEL_FIELDS])
CONTROL_LABELS = pa.schema([("control", CATEGORY), *LABELS])
FRACTIONS = pa.schema(
    [
        ("model", CATEGORY),
        ("setting", CATEGORY),
        ("matrix", CATEGORY),
        ("side", CATEGORY),
        ("readout", CATEGORY),
        ("labeller", CATEGORY),
        ("rule", CATEGORY),
        ("kind", CATEGORY),
        ("unit", CATEGORY),
        ("group", CATEGORY),
        ("layer", pa.int16()),
        ("head", pa.int16()),
        ("index", pa.int16()),
        ("n", pa.int64()),
        ("k", pa.int64()),
        *[
            (name, pa.float64())
            for name in ("fraction", "low", "high", "control_fraction", "excess", "excess_low", "excess_high")
        ],
    ]
)
# How well labels do in the tests of scoring.py, and how far two labellers agree (agreement.py). Of a whole sweep.
SCORES = pa.schema(
    [
        ("model", CATEGORY),
        ("setting", CATEGORY),
        ("matrix", CATEGORY),
        ("side", CATEGORY),
        ("readout", CATEGORY),
        ("labeller", CATEGORY),
        ("test", CATEGORY),
        ("n", pa.int64()),
        ("n_left_out", pa.int64()),
        *[(name, pa.float64()) for name in ("value", "low", "high", "chance", "shuffled")],
    ]
)
AGREEMENT = pa.schema(
    [
        ("model", CATEGORY),
        ("setting", CATEGORY),
        ("matrix", CATEGORY),
        ("readout", CATEGORY),
        ("first", CATEGORY),
        ("second", CATEGORY),
        *[(name, pa.int64()) for name in ("n_joined", "n", "both", "only_first", "only_second", "neither")],
        *[(name, pa.float64()) for name in ("kappa", "kappa_low", "kappa_high")],
        *[
            (f"{labeller}_{name}", pa.float64())
            for labeller in ("first", "second")
            for name in ("auc", "spearman", "log_rank_interpretable", "log_rank_not", "log_rank_auc")
        ],
    ]
)


def with_metadata(table: pa.Table, facts: dict[str, object]) -> pa.Table:
    """`table` with the schema version and `facts` as JSON under the metadata key "svdlens"."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **facts}, sort_keys=True)
    return table.replace_schema_metadata({"svdlens": text})


def read_metadata(path: Path | str) -> dict[str, object]:
    """The facts that `with_metadata` put into the file."""
    return json.loads(pq.read_schema(path).metadata[b"svdlens"])


def write_table(path: Path, columns: dict[str, object], schema: pa.Schema, facts: dict[str, object]) -> None:
    """Write columns as one parquet file. Same columns and facts, same bytes."""
    arrays = [as_column(columns[field.name], field.type) for field in schema]
    table = with_metadata(pa.Table.from_arrays(arrays, schema=schema), facts)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def as_column(values: object, type: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if pa.types.is_dictionary(type):
        return pa.array(values, pa.string()).dictionary_encode().cast(type)
    # from_pandas: NaN in a nullable column of numbers means "none", as pandas has it.
    return pa.array(values, type, from_pandas=True)


def concatenate_tables(sources: Iterable[tuple[Path, dict[str, str]]], path: Path, schema: pa.Schema) -> None:
    """One parquet file from many, file by file, with the given constant columns (model, setting) put first.

    The provenance of every source goes into the metadata under its "model/setting/file name".
    """
    sources = list(sources)
    names = list(sources[0][1]) if sources else []
    whole = pa.schema([*[(name, CATEGORY) for name in names], *schema])
    facts = {"/".join([*constants.values(), source.name]): read_metadata(source) for source, constants in sources}
    whole = with_metadata(whole.empty_table(), {"sources": facts}).schema
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, whole, compression="zstd") as writer:
        for source, constants in sources:
            table = pq.ParquetFile(source).read()
            for place, (name, value) in enumerate(constants.items()):
                column = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int16()), pa.array([value]))
                table = table.add_column(place, name, column)
            writer.write_table(table.cast(whole))
