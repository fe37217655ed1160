"""Tables: the same bytes for the same numbers, public column types, and one whole from many parts."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from svdlens import SCHEMA_VERSION
from svdlens.artefacts import activation_schemas
from svdlens.artefacts import table_schemas as tables
from svdlens.artefacts.sweep_tables import concatenate_tables, sweep_schema
from svdlens.artefacts.table_schemas import (
    CATEGORY,
    CONTROLS,
    LABELS,
    SPECTRA,
    TOKENS,
    as_column,
    columns_of,
    read_metadata,
    write_table,
)
from svdlens.readout.token_table import TopTokens, token_columns

FACTS = {"model": "tiny", "revision": None, "weights_sha256": {"model.safetensors": "00ff"}}
EVERY = vars(tables) | vars(activation_schemas)
SCHEMAS = {name: value for name, value in EVERY.items() if isinstance(value, pa.Schema)}
TEXTS = ["a", " b", "\n", "\\xe2", "火", "", "null", "a,b"]


def spectra_rows(seed: int, matrix: str = "ov", n: int = 30) -> dict[str, object]:
    generator = np.random.default_rng(seed)
    margin = generator.random(n)
    margin[5] = np.nan
    return {
        "matrix": [matrix] * n,
        "layer": generator.integers(0, 12, n),
        "head": [None if matrix == "mlp_in" else int(head) for head in generator.integers(0, 12, n)],
        "index": np.arange(n),
        "value": generator.random(n),
        "energy": generator.random(n),
        "gap": generator.random(n),
        "cluster": [None if i > 20 else i for i in range(n)],
        "cluster_spread": generator.random(n),
        "sign_margin": margin,
        "stability_noise": [None] * n,
        "stability_float32": [None] * n,
    }


def token_rows(matrix: str = "ov") -> dict[str, object]:
    """Two read-outs, two sides, two matrices, three directions, two signs, lists of four."""
    generator = np.random.default_rng(1)

    def random_lists() -> dict[int, TopTokens]:
        return {
            sign: TopTokens(
                generator.integers(0, 8, (6, 4)),
                generator.standard_normal((6, 4)).astype(np.float32),
                generator.standard_normal(6),
            )
            for sign in (+1, -1)
        }

    top = {readout: {"read": random_lists(), "write": random_lists()} for readout in ("W_U", "W_E")}
    return {"top": top, "columns": token_columns(top, TEXTS, matrix, [0, 1], [None, 3])}


def read(path: Path) -> pa.Table:
    """The file alone: nothing from the names of its directories."""
    return pq.ParquetFile(path).read()


def test_the_same_columns_give_the_same_bytes(tmp_path: Path) -> None:
    for name, columns, schema in (("s", spectra_rows(0), SPECTRA), ("t", token_rows()["columns"], TOKENS)):
        first, second = tmp_path / f"{name}.parquet", tmp_path / "elsewhere" / f"{name}.parquet"
        write_table(first, columns, schema, FACTS)
        # The order in which columns and facts come is no part of them.
        write_table(second, dict(reversed(columns.items())), schema, dict(reversed(FACTS.items())))
        assert first.read_bytes() == second.read_bytes()
        assert str(tmp_path).encode() not in first.read_bytes()
    write_table(tmp_path / "other.parquet", spectra_rows(1), SPECTRA, FACTS)
    assert (tmp_path / "other.parquet").read_bytes() != (tmp_path / "s.parquet").read_bytes()


def test_columns_come_back_in_their_types(tmp_path: Path) -> None:
    rows = spectra_rows(0)
    write_table(tmp_path / "a.parquet", rows, SPECTRA, FACTS)
    table = read(tmp_path / "a.parquet")
    assert table.schema.names == SPECTRA.names
    assert table.schema.equals(SPECTRA)
    for name in SPECTRA.names:
        expected = pa.array(rows[name], from_pandas=True).to_pylist()
        if SPECTRA.field(name).type == pa.float32():
            expected = [float(np.float32(value)) for value in expected]
        assert table[name].to_pylist() == expected, name
    assert table["sign_margin"].null_count == 1  # NaN is "none"
    assert table["stability_noise"].null_count == 30


def test_categories_are_dictionaries_in_the_file(tmp_path: Path) -> None:
    """Stored as such, so that every reader gets them back so, and few bytes for many rows."""
    few = spectra_rows(0, n=30_000)
    write_table(tmp_path / "a.parquet", few, SPECTRA, {})
    file = pq.ParquetFile(tmp_path / "a.parquet")
    column = file.metadata.row_group(0).column(SPECTRA.names.index("matrix"))
    assert column.path_in_schema == "matrix"
    assert "RLE_DICTIONARY" in column.encodings
    assert column.total_compressed_size < 200
    assert isinstance(file.read().to_pandas()["matrix"].dtype, pd.CategoricalDtype)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_keep_model_and_setting_to_the_path(name: str) -> None:
    schema = SCHEMAS[name]
    if name not in ("FRACTIONS", "SHEET_KEY"):  # which are of the whole sweep
        assert not {"model", "setting"} & set(schema.names)
    categories = {"control", "matrix", "side", "readout", "labeller", "kind", "status", "criterion", "unit"}
    categories |= {"test", "first", "second", "model", "setting", "query", "antipode_kind", "way"}
    categories |= {"targets", "read_kind", "write_kind"}
    own = {("FRACTIONS", "group"), ("READ_WRITE_GAPS", "group"), ("EDIT_EFFECT", "edited"), ("JUDGEMENTS", "person")}
    for field in schema:
        # Of tokens, a group is a number that case variants and inflections share.
        is_category = field.name in categories or (name, field.name) in own
        assert (field.type == CATEGORY) == is_category, field.name
    numbers = {"layer", "head", "index"} & set(schema.names)
    assert {schema.field(column).type for column in numbers} <= {pa.int32()}


def test_hive_columns_come_from_the_path_alone(tmp_path: Path) -> None:
    for model in ("a", "b"):
        path = tmp_path / f"model={model}" / "setting=raw" / "ov.parquet"
        write_table(path, spectra_rows(0) | {"model": ["wrong"] * 30}, SPECTRA, {})
        assert read(path).column_names == SPECTRA.names
    whole = pq.read_table(tmp_path, partitioning="hive")
    assert whole["model"].to_pylist() == ["a"] * 30 + ["b"] * 30
    assert set(whole["setting"].to_pylist()) == {"raw"}


def test_metadata_come_back(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", spectra_rows(0), SPECTRA, FACTS | {"setting": {"read_gain": True}})
    facts = read_metadata(tmp_path / "a.parquet")
    packages = facts.pop("packages")
    assert facts == {**FACTS, "setting": {"read_gain": True}, "schema_version": SCHEMA_VERSION}
    assert packages["pyarrow"] == pa.__version__ and packages["numpy"] == np.__version__
    raw = pq.read_schema(tmp_path / "a.parquet").metadata
    assert list(raw) == [b"svdlens"]
    assert json.loads(raw[b"svdlens"]) == facts | {"packages": packages}


def test_token_lists_are_in_order(tmp_path: Path) -> None:
    """By an explicit loop over read-out, side, matrix, direction and sign."""
    rows = token_rows()
    write_table(tmp_path / "a.parquet", rows["columns"], TOKENS, FACTS)
    table = read(tmp_path / "a.parquet").to_pylist()
    expected = []
    layers_and_heads = [(0, None), (1, 3)]
    for readout, side, matrix, index, sign in product(("W_U", "W_E"), ("read", "write"), (0, 1), range(3), (+1, -1)):
        top = rows["top"][readout][side][sign]
        ids, scores, mean_score = (part[3 * matrix + index].tolist() for part in top)
        expected.append(
            {
                "matrix": "ov",
                "layer": layers_and_heads[matrix][0],
                "head": layers_and_heads[matrix][1],
                "index": index,
                "side": side,
                "sign": sign,
                "readout": readout,
                "token_ids": ids,
                "tokens": [TEXTS[id] for id in ids],
                "scores": scores,
                "mean_score": mean_score,
                "null_space": False,
            }
        )
    assert table == expected


VALUES = {
    "texts": (CATEGORY, ["a", "b", None, "a", ""]),
    "no texts": (CATEGORY, [None, None]),
    "nothing": (CATEGORY, []),
    "numbers": (pa.int16(), [1, None, 3]),
    "fractions": (pa.float64(), [0.5, None, 1e-300]),
    "short fractions": (pa.float32(), [0.1, None]),
    "flags": (pa.bool_(), [True, None, False]),
    "lists": (pa.list_(pa.string()), [["a"], [], ["b", "b"]]),
}


def forms(values: list, type: pa.DataType) -> dict[str, object]:
    """The same values as everything that a caller may have them in."""
    plain = pa.string() if type == CATEGORY else type
    made = {"list": values, "arrow": pa.array(values, plain), "pandas": pd.Series(values, dtype=object)}
    made["slice"] = pa.array([*values[:1], *values], plain)[len(values[:1]) :]
    if type == CATEGORY:
        made["dictionary"] = pa.array(values, pa.string()).dictionary_encode().cast(CATEGORY)
        # Words that no row has, in another order.
        words = pd.Categorical(values, categories=["z", "", "b", "a"])
        made["categories of pandas"] = pd.Series(words)
        made["categories of arrow"] = pa.array(words)
        made["array"] = np.array(values, dtype=object)
    if type in (pa.float64(), pa.float32()):
        made["array"] = np.array(values, dtype=np.float32 if type == pa.float32() else np.float64)
    return made


@pytest.mark.parametrize("name", VALUES)
def test_a_column_is_the_same_whatever_its_values_came_as(name: str, tmp_path: Path) -> None:
    type, values = VALUES[name]
    schema, expected = pa.schema([("column", type)]), pa.array(values, type).to_pylist()
    contents = {}
    for form, given in forms(values, type).items():
        assert as_column(given, type).type == type, form
        write_table(tmp_path / "table.parquet", {"column": given}, schema, {})
        assert read(tmp_path / "table.parquet")["column"].to_pylist() == expected
        contents[form] = (tmp_path / "table.parquet").read_bytes()
    assert len(contents) > 3
    assert {form for form, content in contents.items() if content != contents["list"]} == set()


def test_columns_of_a_table_are_written_as_they_were(tmp_path: Path) -> None:
    """Also of one that came in pieces, or of which only some rows are wanted."""
    for columns, schema in ((spectra_rows(0), SPECTRA), (token_rows()["columns"], TOKENS)):
        write_table(tmp_path / "whole.parquet", columns, schema, FACTS)
        table = read(tmp_path / "whole.parquet")
        for same in (table, pa.concat_tables([table[:7], table[7:]]), table.filter(pc.field("layer") >= 0)):
            assert list(columns_of(same)) == schema.names
            write_table(tmp_path / "again.parquet", columns_of(same), schema, FACTS)
            assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
        some = table.filter(pc.field("index") == 1)
        write_table(tmp_path / "some.parquet", columns_of(some), schema, FACTS)
        assert read(tmp_path / "some.parquet").to_pylist() == [row for row in table.to_pylist() if row["index"] == 1]
        none = columns_of(table[:0])
        assert {len(column) for column in none.values()} == {0}
        write_table(tmp_path / "none.parquet", none, schema, FACTS)
        assert read(tmp_path / "none.parquet").schema.equals(schema)


def test_a_table_of_the_sweep_has_two_columns_more() -> None:
    for schema in (SPECTRA, TOKENS, LABELS):
        whole = sweep_schema(schema)
        assert whole.names == ["model", "setting", *schema.names]
        assert [whole.field(name).type for name in ("model", "setting")] == [CATEGORY] * 2
        assert [whole.field(name) for name in schema.names] == list(schema)


def test_of_some_sources_only_some_rows_are_taken(tmp_path: Path) -> None:
    """Rows by a condition; a source in which no row meets it is a source all the same."""
    sources = []
    for number, matrix in enumerate(("ov", "mlp_in", "ov")):
        write_table(tmp_path / f"{number}.parquet", spectra_rows(number, matrix), SPECTRA, {"seed": number})
        sources.append((tmp_path / f"{number}.parquet", {"model": "m", "setting": f"s{number}"}))
    whole, wanted = tmp_path / "whole.parquet", tmp_path / "wanted.parquet"
    concatenate_tables(sources, whole, SPECTRA, code="a hash")
    concatenate_tables(sources, wanted, SPECTRA, pc.field("head").is_valid() & (pc.field("layer") < 6), code="a hash")
    expected = [row for row in read(whole).to_pylist() if row["head"] is not None and row["layer"] < 6]
    assert read(wanted).to_pylist() == expected and 0 < len(expected) < 60
    assert {row["setting"] for row in expected} == {"s0", "s2"}
    assert set(read_metadata(wanted)["sources"]) == {"m/s0/0.parquet", "m/s1/1.parquet", "m/s2/2.parquet"}


def test_concatenation_equals_that_of_pandas(tmp_path: Path) -> None:
    """Parts with different categories, with and without heads, in the order given."""
    sources, frames = [], []
    for number, (model, setting, matrix) in enumerate(
        [("b", "raw", "ov"), ("b", "raw", "mlp_in"), ("a", "fold", "mlp_in"), ("a", "raw", "ov")]
    ):
        path = tmp_path / f"model={model}" / f"setting={setting}" / f"{matrix}.parquet"
        write_table(path, spectra_rows(number, matrix), SPECTRA, {"seed": number})
        sources.append((path, {"model": model, "setting": setting}))
        frames.append(read(path).to_pandas().assign(model=model, setting=setting))
    concatenate_tables(iter(sources), tmp_path / "whole.parquet", SPECTRA, code="a hash")
    whole = read(tmp_path / "whole.parquet")
    assert whole.column_names == ["model", "setting", *SPECTRA.names]
    assert [whole.schema.field(name).type for name in ("model", "setting", "matrix")] == [CATEGORY] * 3

    expected = pd.concat(frames, ignore_index=True)[whole.column_names]
    categories = ["model", "setting", "matrix"]
    frame = whole.to_pandas()
    pd.testing.assert_frame_equal(
        frame.astype(dict.fromkeys(categories, str)), expected.astype(dict.fromkeys(categories, str)), check_dtype=False
    )

    facts = read_metadata(tmp_path / "whole.parquet")
    assert facts["schema_version"] == SCHEMA_VERSION
    assert {name: part["seed"] for name, part in facts["sources"].items()} == {
        "b/raw/ov.parquet": 0,
        "b/raw/mlp_in.parquet": 1,
        "a/fold/mlp_in.parquet": 2,
        "a/raw/ov.parquet": 3,
    }
    first = (tmp_path / "whole.parquet").read_bytes()
    concatenate_tables(sources, tmp_path / "whole.parquet", SPECTRA, code="a hash")
    assert (tmp_path / "whole.parquet").read_bytes() == first


def test_lists_survive_concatenation(tmp_path: Path) -> None:
    sources = []
    for model in ("a", "b"):
        write_table(tmp_path / model / "ov.parquet", token_rows()["columns"], TOKENS, FACTS)
        sources.append((tmp_path / model / "ov.parquet", {"model": model, "setting": "raw"}))
    concatenate_tables(sources, tmp_path / "whole.parquet", TOKENS, code="a hash")
    part = read(sources[0][0]).to_pylist()
    expected = [{"model": model, "setting": "raw", **row} for model in ("a", "b") for row in part]
    assert read(tmp_path / "whole.parquet").to_pylist() == expected


def test_a_part_of_another_schema_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """Also one that has a column more: rows of controls are no rows of the table of singular directions."""
    columns = token_rows()["columns"]
    control = {"control": ["gaussian"] * len(columns["sign"])}
    for rows, schema, wanted in ((spectra_rows(0), SPECTRA, LABELS), (columns | control, CONTROLS, TOKENS)):
        write_table(tmp_path / "a.parquet", rows, schema, {})
        sources = [(tmp_path / "a.parquet", {"model": "a", "setting": "raw"})]
        with pytest.raises(ValueError, match="names"):
            concatenate_tables(sources, tmp_path / "whole.parquet", wanted, code="a hash")
        assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
