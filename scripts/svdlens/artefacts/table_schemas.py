"""Schemas of the tables (docs/artefacts.md) and how they are written."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from svdlens import SCHEMA_VERSION
from svdlens.artefacts.atomic_files import atomic_path
from svdlens.artefacts.metadata import KEY, metadata_of

CATEGORY = pa.dictionary(pa.int16(), pa.string())

TOKEN_TEXTS = pa.schema([("id", pa.int32()), ("text", pa.string())])
TOKEN_FEATURES = pa.schema(
    [
        ("id", pa.int32()),
        ("group", pa.int64()),
        ("is_word", pa.bool_()),
        ("log_rank", pa.float64()),
        ("classes", pa.list_(pa.int32())),
    ]
)
CLASSES = pa.schema([("name", pa.string()), ("kind", CATEGORY)])

# Whole numbers are int32 or int64: pandas and numpy keep the type in sums and products, where int8 wraps around.
KEYS = [("matrix", CATEGORY), ("layer", pa.int32()), ("head", pa.int32()), ("index", pa.int32())]
ROW_KEYS = [*KEYS, ("side", CATEGORY), ("sign", pa.int32()), ("readout", CATEGORY)]

SPECTRA = pa.schema(
    [
        *KEYS,
        ("value", pa.float64()),
        ("energy", pa.float64()),
        ("gap", pa.float64()),
        ("cluster", pa.int32()),
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
        ("null_space", pa.bool_()),
    ]
)
# The same for directions that are no singular vectors. `index` counts them; those that belong to no matrix in
# particular have no layer and no head, and the side `all`. Files under results/by_switches have the rows of singular
# directions as well, whose `control` is null; so have those of labels.
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
    ("n_concepts", pa.int32()),
    ("mean_log_rank", pa.float64()),
    ("status", CATEGORY),
]
LABELS = pa.schema([*ROW_KEYS, *LABEL_FIELDS])
LABELLED_LISTS = pa.schema([("id", pa.string()), *LABEL_FIELDS])
CONTROL_LABELS = pa.schema([("control", CATEGORY), *LABELS])
# What a language model said of each distinct list (labels/llm/answers.py).
ANSWERS = pa.schema(
    [
        ("list_key", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("label", pa.string()),
        ("labelled", pa.bool_()),
        ("verified", pa.bool_()),
        ("status", CATEGORY),
        ("reason", pa.string()),
    ]
)
FRACTIONS = pa.schema(
    [
        ("model", CATEGORY),
        ("setting", CATEGORY),
        ("matrix", CATEGORY),
        ("side", CATEGORY),
        ("readout", CATEGORY),
        ("labeller", CATEGORY),
        ("criterion", CATEGORY),
        ("kind", CATEGORY),
        ("unit", CATEGORY),
        ("group", CATEGORY),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("index", pa.int32()),
        ("n", pa.int64()),
        ("k", pa.int64()),
        ("n_matrices", pa.int64()),
        ("design_effect", pa.float64()),
        ("control_n", pa.int64()),
        ("control_k", pa.int64()),
        *[
            (name, pa.float64())
            for name in ("fraction", "low", "high", "control_fraction", "excess", "excess_low", "excess_high")
        ],
        ("rotated_n", pa.int64()),
        ("rotated_k", pa.int64()),
        *[
            (name, pa.float64())
            for name in (
                "rotated_fraction",
                "excess_over_rotated",
                "excess_over_rotated_low",
                "excess_over_rotated_high",
                "cut_p",
            )
        ],
        ("k_p01", pa.int64()),
        ("control_k_p01", pa.int64()),
        *[
            (name, pa.float64())
            for name in ("fraction_p01", "control_fraction_p01", "excess_p01", "excess_low_p01", "excess_high_p01")
        ],
        ("beyond_n", pa.int64()),
        ("beyond_k", pa.int64()),
        ("beyond_random", pa.float64()),
    ]
)
# How well labels do in the tests of evaluation/label_tests.py, and how far two labellers agree (agreement.py). The
# tables of the sweep have the columns model and setting before these.
SCORES = pa.schema(
    [
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
# The directions that a query of words lies along (trace/rounds.py), and the nearest of each matrix.
TRACE = pa.schema(
    [
        ("query", CATEGORY),
        ("rank", pa.int32()),
        ("round", pa.int32()),
        *KEYS,
        ("side", CATEGORY),
        ("sign", pa.int32()),
        *[(name, pa.float64()) for name in ("cosine", "standard_score", "p_value", "q_value")],
        ("found", pa.bool_()),
        ("above_cosine", pa.bool_()),
        ("tokens", pa.list_(pa.string())),
        ("antipode_tokens", pa.list_(pa.string())),
        *[
            (f"{of}{name}", type)
            for of in ("", "antipode_")
            for name, type in (("label", pa.string()), ("kind", CATEGORY), ("interpretable", pa.bool_()))
        ],
    ]
)
TRACE_MATRICES = pa.schema(
    [
        ("query", CATEGORY),
        *KEYS,
        ("side", CATEGORY),
        ("sign", pa.int32()),
        *[(name, pa.float64()) for name in ("cosine", "standard_score", "q_value")],
        ("n", pa.int32()),
        ("n_found", pa.int32()),
    ]
)
# An edit of the weights (edit/): the directions, what each of their changes and of their controls does to target
# tokens, that summed up, the same by eps, and the matrix decomposed again.
EDIT_DIRECTIONS = pa.schema(
    [
        *KEYS,
        ("sign", pa.int32()),
        ("named", pa.bool_()),
        ("cosine", pa.float64()),
        ("proportion", pa.float64()),
        ("value", pa.float64()),
        ("cluster_size", pa.int32()),
        ("stability_noise", pa.float64()),
        *[
            (f"{of}{name}", type)
            for of in ("", "antipode_")
            for name, type in (
                ("token_ids", pa.list_(pa.int32())),
                ("tokens", pa.list_(pa.string())),
                ("label", pa.string()),
            )
        ],
    ]
)
EDIT_EFFECT = pa.schema(
    [
        ("targets", CATEGORY),
        ("prompt", pa.int32()),
        ("text", pa.string()),
        ("edited", CATEGORY),
        ("number", pa.int32()),
        ("matched", pa.bool_()),
        ("token_id", pa.int32()),
        ("token", pa.string()),
        ("target", pa.string()),
        ("log_probability", pa.float64()),
        ("change", pa.float64()),
    ]
)
EDIT_SUMMARY = pa.schema(
    [
        ("targets", CATEGORY),
        ("control", CATEGORY),
        ("n_prompts", pa.int32()),
        ("n_controls", pa.int32()),
        *[
            (name, pa.float64())
            for name in ("change", "low", "high", "control_change", "excess", "excess_low", "excess_high")
        ],
        *[(name, pa.float64()) for name in ("standardized", "standardized_low", "standardized_high", "p_value")],
    ]
)
EDIT_DOSE = pa.schema(
    [
        ("eps", pa.float64()),
        ("targets", CATEGORY),
        *[(name, pa.float64()) for name in ("change", "low", "high", "matched_change", "matched_low", "matched_high")],
        ("perplexity", pa.float64()),
    ]
)
EDIT_SPECTRUM = pa.schema(
    [
        *KEYS,
        ("edited", pa.bool_()),
        ("value", pa.float64()),
        ("index_after", pa.int32()),
        ("value_after", pa.float64()),
        ("cosine", pa.float64()),
    ]
)
LABEL_EMBEDDINGS = pa.schema([("label", pa.string()), ("embedding", pa.list_(pa.float32()))])
AGREEMENT = pa.schema(
    [
        ("matrix", CATEGORY),
        ("readout", CATEGORY),
        ("first", CATEGORY),
        ("second", CATEGORY),
        *[(name, pa.int64()) for name in ("n_joined", "n", "both", "only_first", "only_second", "neither")],
        *[(name, pa.float64()) for name in ("kappa", "kappa_low", "kappa_high")],
        *[(f"control_{name}", pa.int64()) for name in ("n", "both", "only_first", "only_second", "neither")],
        *[
            (f"{labeller}_{name}", pa.float64())
            for labeller in ("first", "second")
            for name in ("auc", "spearman", "log_rank_interpretable", "log_rank_not", "log_rank_auc")
        ],
    ]
)
# Labels by people (labels/manual/): which lists are on a sheet, and what each person says of them.
SHEET_KEY = pa.schema(
    [
        ("number", pa.int32()),
        ("id", pa.string()),
        ("model", CATEGORY),
        ("setting", CATEGORY),
        *KEYS,
        ("side", CATEGORY),
        ("sign", pa.int32()),
        ("readout", CATEGORY),
        ("control", CATEGORY),
    ]
)
JUDGEMENTS = pa.schema(
    [
        ("person", CATEGORY),
        ("list_key", pa.string()),
        ("is_control", pa.bool_()),
        ("interpretable", pa.bool_()),
        ("kind", CATEGORY),
        ("label", pa.string()),
    ]
)
# What directions do to a model's predictions on a text (effects/), and the read-write cards of OV.
EFFECTS = pa.schema(
    [
        *KEYS,
        ("sign", pa.int32()),
        *[(name, pa.float64()) for name in ("first_order", "direct_effect", "mean_activation", "rms_activation")],
    ]
)
CARDS = pa.schema(
    [
        *KEYS,
        ("sign", pa.int32()),
        *[
            (f"{side}_{name}", type)
            for side in ("read", "write")
            for name, type in (
                ("label", pa.string()),
                ("kind", CATEGORY),
                ("interpretable", pa.bool_()),
                ("score", pa.float64()),
                ("tokens", pa.list_(pa.string())),
            )
        ],
        *[(name, pa.float64()) for name in ("cosine", "overlap", "opposite_overlap")],
    ]
)
READ_WRITE_GAPS = pa.schema(
    [
        ("matrix", CATEGORY),
        ("labeller", CATEGORY),
        ("criterion", CATEGORY),
        ("group", CATEGORY),
        ("layer", pa.int32()),
        *[(name, pa.int64()) for name in ("n_matrices", "read_n", "read_k", "write_n", "write_k")],
        *[(name, pa.float64()) for name in ("read_fraction", "write_fraction", "gap", "gap_low", "gap_high")],
    ]
)

# What examples in the label prompt of a language model do (evaluation/prompt_study.py).
PROMPT_STUDY = pa.schema(
    [
        ("language_model", pa.string()),
        ("n_examples", pa.int32()),
        ("ratio", pa.string()),
        *[(name, pa.int32()) for name in ("n_positive", "n_negative")],
        ("control", CATEGORY),
        *[(name, pa.int64()) for name in ("n", "n_failed", "n_unparsed")],
        *[
            (name, pa.int64())
            for name in ("n_labelled", "k_labelled", "n_interpretable", "k_interpretable", "k_names_example")
        ],
        *[
            (f"{name}{end}", pa.float64())
            for name in ("labelled", "interpretable", "names_example")
            for end in ("", "_low", "_high")
        ],
    ]
)


def with_metadata(table: pa.Table, facts: dict[str, object]) -> pa.Table:
    """`table` with the schema version, versions of packages and `facts` as JSON (artefacts/metadata.py)."""
    return table.replace_schema_metadata(metadata_of({"schema_version": SCHEMA_VERSION, **facts}))


def read_metadata(path: Path | str) -> dict[str, object]:
    """The facts that `with_metadata` put into the file."""
    return json.loads(pq.read_schema(path).metadata[KEY.encode()])


def write_table(path: Path, columns: dict[str, object], schema: pa.Schema, facts: dict[str, object]) -> None:
    """Write columns as one parquet file. Same columns and facts, same bytes."""
    arrays = [as_column(columns[field.name], field.type) for field in schema]
    table = with_metadata(pa.Table.from_arrays(arrays, schema=schema), facts)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def as_column(values: object, type: pa.DataType) -> pa.Array:
    """`values`, a sequence or an array, as a column of this type. Same values, same bytes, whatever they came as."""
    if pa.types.is_dictionary(type):
        texts = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
        return texts.cast(pa.string()).dictionary_encode().cast(type)
    if isinstance(values, pa.Array):
        return values
    # from_pandas: NaN in a nullable column of numbers means "none", as pandas has it.
    return pa.array(values, type, from_pandas=True)


def columns_of(table: pa.Table) -> dict[str, pa.Array]:
    """The columns of a table, each as one array, texts as texts: what write_table takes."""
    return {
        name: (column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column).combine_chunks()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
