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
from svdlens.artefacts import table_schemas as tables
from svdlens.artefacts.table_schemas import (
    CATEGORY,
    CONTROL_LABELS,
    LABELS,
    SPECTRA,
    TOKENS,
    concatenate_tables,
    read_metadata,
    write_table,
)
from svdlens.labels.coherence.labeller import Coherence
from svdlens.labels.label_table import Choice, label_tables
from svdlens.readout.token_table import token_columns
from svdlens.readout.top_tokens import TopTokens
from svdlens.vocabulary.list_similarity import LIST_LENGTH
from svdlens.vocabulary.token_features import KnownVocabulary
from tiny_vocabulary import tiny_vocabulary

FACTS = {"model": "tiny", "revision": None, "weights_sha256": {"model.safetensors": "00ff"}}
SCHEMAS = {name: value for name, value in vars(tables).items() if isinstance(value, pa.Schema)}
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

    def found() -> dict[int, TopTokens]:
        return {
            sign: TopTokens(
                generator.integers(0, 8, (6, 4)),
                generator.standard_normal((6, 4)).astype(np.float32),
                generator.standard_normal(6),
            )
            for sign in (+1, -1)
        }

    both = {readout: {"read": found(), "write": found()} for readout in ("W_U", "W_E")}
    return {"found": both, "columns": token_columns(both, TEXTS, matrix, [0, 1], [None, 3])}


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
    if name not in ("FRACTIONS", "SCORES", "AGREEMENT"):  # which are of the whole sweep
        assert not {"model", "setting"} & set(schema.names)
    categories = {"control", "matrix", "side", "readout", "labeller", "kind", "status", "rule", "unit", "group"}
    categories |= {"test", "first", "second"}
    for field in schema:
        assert (field.type == CATEGORY) == (field.name in categories | {"model", "setting"})
    # Scores and agreement are of all layers, and lists from elsewhere are of none.
    if name not in ("SCORES", "AGREEMENT", "LABELLED_LISTS"):
        assert {schema.field(place).type for place in ("layer", "head", "index")} == {pa.int16()}


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
    assert facts == {**FACTS, "setting": {"read_gain": True}, "schema_version": SCHEMA_VERSION}
    raw = pq.read_schema(tmp_path / "a.parquet").metadata
    assert list(raw) == [b"svdlens"]
    assert json.loads(raw[b"svdlens"]) == facts


def test_token_lists_are_in_order(tmp_path: Path) -> None:
    """By an explicit loop over read-out, side, matrix, direction and sign."""
    rows = token_rows()
    write_table(tmp_path / "a.parquet", rows["columns"], TOKENS, FACTS)
    table = read(tmp_path / "a.parquet").to_pylist()
    expected = []
    places = [(0, None), (1, 3)]
    for readout, side, matrix, index, sign in product(("W_U", "W_E"), ("read", "write"), (0, 1), range(3), (+1, -1)):
        found = rows["found"][readout][side][sign]
        ids, scores, mean_score = (part[3 * matrix + index].tolist() for part in found)
        expected.append(
            {
                "matrix": "ov",
                "layer": places[matrix][0],
                "head": places[matrix][1],
                "index": index,
                "side": side,
                "sign": sign,
                "readout": readout,
                "token_ids": ids,
                "tokens": [TEXTS[id] for id in ids],
                "scores": scores,
                "mean_score": mean_score,
            }
        )
    assert table == expected


def two_readouts(vocabulary: KnownVocabulary) -> dict[str, pa.Table]:
    """Tables of tokens and of two controls, of two matrices, two sides and two read-outs; lists are of any tokens."""
    generator = np.random.default_rng(0)

    def lists(n: int) -> dict[int, TopTokens]:
        zeros = np.zeros((n, 20))
        ids = {sign: generator.integers(0, len(vocabulary.texts), (n, 20)) for sign in (+1, -1)}
        return {sign: TopTokens(of_sign, zeros, zeros[:, 0]) for sign, of_sign in ids.items()}

    rows = {readout: {"read": lists(30), "write": lists(30)} for readout in ("W_E", "W_U")}
    tables = {"tokens": pa.table(token_columns(rows, vocabulary.texts, "ov", [0, 0], [0, 1]))}
    for name in ("random_unit", "gaussian"):
        controls = {readout: {"all": lists(40)} for readout in rows}
        columns = token_columns(controls, vocabulary.texts, "ov", [None], [None])
        tables[name] = pa.table(columns | {"control": [name] * len(columns["matrix"])})
    return tables


def test_each_readout_is_labelled_by_itself() -> None:
    """Two read-outs in one table get the labels that each gets alone, and keep the order of their rows."""
    vocabulary = tiny_vocabulary()
    labeller, tables = Coherence(vocabulary, 0.05, seed=1), two_readouts(vocabulary)
    both = label_tables(tables, labeller, vocabulary, Choice())
    assert list(both) == ["tokens", "random_unit", "gaussian"]
    assert both["tokens"]["readout"] == ["W_E"] * 120 + ["W_U"] * 120
    assert both["gaussian"]["control"] == ["gaussian"] * 160
    for readout in ("W_E", "W_U"):
        of_readout = {name: table.filter(pc.field("readout") == readout) for name, table in tables.items()}
        for table_name, alone in label_tables(of_readout, labeller, vocabulary, Choice()).items():
            whole = both[table_name]
            kept = [row for row, name in enumerate(whole["readout"]) if name == readout]
            for name, values in alone.items():
                assert str([whole[name][row] for row in kept]) == str(list(values)), name


def test_labels_have_the_keys_of_their_rows_and_the_frequency_of_their_tokens(tmp_path: Path) -> None:
    vocabulary = tiny_vocabulary()
    tables = two_readouts(vocabulary)
    labelled = label_tables(tables, Coherence(vocabulary, 0.05, seed=1), vocabulary, Choice())
    for name, columns in labelled.items():
        schema = LABELS if name == "tokens" else CONTROL_LABELS
        write_table(tmp_path / f"{name}.parquet", columns, schema, FACTS)
        rows, expected = read(tmp_path / f"{name}.parquet").to_pylist(), tables[name].to_pylist()
        assert len(rows) == len(expected)
        for row, tokens in zip(rows, expected, strict=True):
            keys = [key for key in tokens if key in schema.names]
            assert [row[key] for key in keys] == [tokens[key] for key in keys]
            assert row["labeller"] == "coherence"
            first = list(dict.fromkeys(tokens["token_ids"]))[:LIST_LENGTH]
            assert row["mean_log_rank"] == pytest.approx(vocabulary.log_ranks[first].mean())


@pytest.mark.parametrize(
    "choice",
    [Choice(sides=["write"]), Choice(signs=[1]), Choice(directions=4), Choice(["read"], [-1], 7), Choice(directions=0)],
    ids=str,
)
def test_a_labeller_gets_the_rows_that_were_chosen(choice: Choice) -> None:
    vocabulary = tiny_vocabulary()
    tables = two_readouts(vocabulary)
    labelled = label_tables(tables, Coherence(vocabulary, 0.05, seed=1), vocabulary, choice)
    for name, columns in labelled.items():
        expected = [
            row
            for row in tables[name].to_pylist()
            if (choice.signs is None or row["sign"] in choice.signs)
            # Controls have no sides, and the order of their directions means nothing.
            and (name != "tokens" or choice.sides is None or row["side"] in choice.sides)
            and (name != "tokens" or choice.directions is None or row["index"] < choice.directions)
        ]
        for key in ("side", "sign", "index", "readout", "head"):
            assert columns[key] == [row[key] for row in expected], (name, key)
        assert len(columns["status"]) == len(expected)


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
    concatenate_tables(iter(sources), tmp_path / "whole.parquet", SPECTRA)
    whole = read(tmp_path / "whole.parquet")
    assert whole.column_names == ["model", "setting", *SPECTRA.names]
    assert [whole.schema.field(name).type for name in ("model", "setting", "matrix")] == [CATEGORY] * 3

    expected = pd.concat(frames, ignore_index=True)[whole.column_names]
    categories = ["model", "setting", "matrix"]
    found = whole.to_pandas()
    pd.testing.assert_frame_equal(
        found.astype(dict.fromkeys(categories, str)), expected.astype(dict.fromkeys(categories, str)), check_dtype=False
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
    concatenate_tables(sources, tmp_path / "whole.parquet", SPECTRA)
    assert (tmp_path / "whole.parquet").read_bytes() == first


def test_lists_survive_concatenation(tmp_path: Path) -> None:
    sources = []
    for model in ("a", "b"):
        write_table(tmp_path / model / "ov.parquet", token_rows()["columns"], TOKENS, FACTS)
        sources.append((tmp_path / model / "ov.parquet", {"model": model, "setting": "raw"}))
    concatenate_tables(sources, tmp_path / "whole.parquet", TOKENS)
    part = read(sources[0][0]).to_pylist()
    expected = [{"model": model, "setting": "raw", **row} for model in ("a", "b") for row in part]
    assert read(tmp_path / "whole.parquet").to_pylist() == expected


def test_a_part_of_another_schema_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", spectra_rows(0), SPECTRA, {})
    with pytest.raises(ValueError, match="names"):
        concatenate_tables([(tmp_path / "a.parquet", {"model": "a", "setting": "raw"})], tmp_path / "w.parquet", LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
