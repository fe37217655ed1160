"""Exports: what other tools read is what the tables and the SVD have."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import export_directions
from svdlens.errors import SvdlensError
from svdlens.export.saedashboard import FORMULA, cell, choose_rows, plain, spreadsheet, to_json, vector_set
from svdlens.spec.settings import Setting

SCHEMA = json.loads((Path(__file__).parents[2] / "resources/vector_set.schema.json").read_text(encoding="utf-8"))
HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "1-2",
    "00123",
    "May 5",
    "1e5",
    "a,b",
    '"',
    "a\nb",
    "\x00",
    "é",
    "</script>",
]
LAYERS, HEADS, DIRECTIONS, WIDTH = 2, 2, 3, 8


def tables(heads: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    rows = []
    for readout in ("W_U", "W_E"):
        for side in ("read", "write"):
            for layer in range(LAYERS):
                for head in range(HEADS) if heads else [None]:
                    for index in range(DIRECTIONS):
                        for sign in (1, -1):
                            ids = rng.permutation(len(HOSTILE))[:5]
                            tokens = {
                                "token_ids": ids,
                                "tokens": [HOSTILE[id] for id in ids],
                                "scores": -np.sort(rng.random(5)),
                            }
                            keys = {"layer": layer, "head": head, "index": index, "side": side, "sign": sign}
                            rows.append({"matrix": "ov", **keys, "readout": readout, "null_space": False, **tokens})
    frame = pd.DataFrame(rows).astype({"head": "float"})
    labels = frame.drop(columns=["token_ids", "tokens", "scores", "null_space"]).assign(
        label=[HOSTILE[row % len(HOSTILE)] if row % 3 else None for row in range(len(frame))],
        kind="semantic",
        score=rng.random(len(frame)),
        p_value=0.5,
        q_value=np.nan,
        q_direction=0.25,
    )
    # Labels in another order than tokens, and some rows without any.
    return frame, labels.sample(frac=0.8, random_state=0)


@pytest.mark.parametrize(("heads", "head"), [(True, 1), (False, None)])
def test_rows_are_those_of_the_matrix_with_their_own_labels(heads, head):
    tokens, labels = tables(heads)
    rows = choose_rows(tokens, labels, 1, head, "write", 2)
    assert list(zip(rows["index"], rows["sign"], strict=True)) == [(0, 1), (0, -1), (1, 1), (1, -1)]
    for row in rows.to_dict("records"):
        where = (
            f"layer == 1 and side == 'write' and readout == 'W_U' and index == {row['index']} and sign == {row['sign']}"
        )
        where += " and head == 1" if heads else ""
        [expected] = tokens.query(where)["tokens"]
        assert row["tokens"] == expected
        of_row = labels.query(where)
        if of_row.empty:
            assert np.isnan(row["score"])
        else:
            assert row["score"] == of_row["score"].iloc[0]


def test_a_matrix_that_is_not_there_is_named():
    with pytest.raises(SvdlensError, match=r"layer 7, head 0, side write.*layers \[0, 1\], heads \[0, 1\]"):
        choose_rows(*tables(True), 7, 0, "write", 2)


def test_a_vector_set_is_what_the_schema_says_and_has_the_vectors_at_their_signs():
    rows = choose_rows(*tables(True), 0, 0, "read", DIRECTIONS)
    vectors = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, DIRECTIONS)))[0].T
    facts = {"model": "gpt2-small", "revision": None, "setting": "raw", "basis": "svd"}
    place = {"matrix": "ov", "side": "read", "layer": 0, "head": 0}
    made = vector_set(rows, vectors, model="openai-community/gpt2", setting=Setting(), facts=facts, **place)
    read = json.loads(to_json(made))
    jsonschema.validate(read, SCHEMA)
    loaded = np.array(read["vectors"])
    assert loaded.shape == (read["config"]["d_vectors"], read["config"]["d_in"]) == (2 * DIRECTIONS, WIDTH)
    # Each direction is followed by its opposite.
    assert np.allclose(loaded[::2], vectors, atol=1e-7)
    assert np.array_equal(loaded[::2], -loaded[1::2])
    assert len(set(read["config"]["vector_names"])) == len(loaded)
    assert read["config"]["model_name"] == "openai-community/gpt2"
    assert read["svdlens"] == {**facts, **place, "switches": []}


@pytest.mark.parametrize(("source", "name"), [("hub", "openai-community/gpt2"), ("path", "mine")])
def test_a_file_names_the_model_as_others_load_it_and_the_setting(source: str, name: str, tmp_path: Path) -> None:
    frames = dict(zip(("tokens", "labels"), tables(True), strict=True))
    for table, frame in frames.items():
        frame.to_parquet(tmp_path / f"{table}.parquet")
    shape = (LAYERS, HEADS, DIRECTIONS, WIDTH)
    arrays = {"left": np.random.default_rng(0).random(shape), "values": np.ones(shape[:3])}
    save_file(arrays, tmp_path / "svd.safetensors")
    provenance = {"source": source, "repo": "openai-community/gpt2", "revision": "607a"}
    (tmp_path / "provenance.json").write_text(json.dumps(provenance))
    files = {"vectors": "svd.safetensors", "tokens": "tokens.parquet", "labels": "labels.parquet"}
    files |= {"provenance": "provenance.json", "json": "out.json", "csv": "out.csv"}
    paths = SimpleNamespace(**{key: tmp_path / file for key, file in files.items()})
    wildcards = SimpleNamespace(model="mine", setting="folded")
    params = {"exported": ("ov", 1, 0, "read"), "directions": 2, "switches": ["fold_ln"], "basis": "svd"}
    params["shared_norm"] = False
    job = {"input": paths, "output": paths, "wildcards": wildcards, "params": SimpleNamespace(**params)}
    export_directions.main(SimpleNamespace(**job))
    made = json.loads((tmp_path / "out.json").read_text())
    jsonschema.validate(made, SCHEMA)
    assert made["config"]["model_name"] == name
    assert made["config"]["hook_name"] == "blocks.1.ln1.hook_normalized"
    said = {"model": "mine", "revision": "607a", "setting": "folded", "basis": "svd", "layer": 1, "head": 0}
    assert said.items() <= made["svdlens"].items() and "read_gain" in made["svdlens"]["switches"]
    np.testing.assert_allclose(made["vectors"][0], arrays["left"][1, 0, 0], rtol=1e-6)


def test_null_space_is_named_as_such_in_exports():
    rows = choose_rows(*tables(True), 0, 0, "read", DIRECTIONS)
    rows["null_space"] = rows["index"] == 2
    facts = {"model": "m", "revision": None, "setting": "raw", "basis": "svd"}
    place = {"matrix": "ov", "side": "read", "layer": 0, "head": 0}
    made = vector_set(rows, np.eye(WIDTH)[:3], model="m", setting=Setting(), facts=facts, **place)
    assert [name.endswith(": null space") for name in made["config"]["vector_names"]] == [False] * 4 + [True] * 2
    read = list(csv.DictReader(io.StringIO(spreadsheet(rows, {}, None).removeprefix("\ufeff"), newline="")))
    assert [row["null_space"] for row in read] == ["no"] * 4 + ["yes"] * 2


def test_not_a_number_is_never_written():
    with pytest.raises(ValueError, match="JSON"):
        to_json({"vectors": [[float("nan")]]})


def test_a_spreadsheet_reads_back_what_was_written():
    rows = choose_rows(*tables(True), 0, 1, "write", DIRECTIONS)
    text = spreadsheet(rows, {"model": "=evil()", "layer": 0, "head": None}, np.array([3.0, 2.0, 1.0]))
    assert text.startswith("\ufeff")
    read = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [json.loads(row["tokens"]) for row in read] == rows["tokens"].tolist()
    assert [float(row["singular_value"]) for row in read] == [3, 3, 2, 2, 1, 1]
    assert {row["model"] for row in read} == {"'=evil()"}
    assert {row["sign"] for row in read} == {"positive", "negative"}
    for row in read:
        assert not any(FORMULA.match(value) for name, value in row.items() if name != "token_scores")


def test_directions_without_a_singular_value_have_none_in_the_spreadsheet():
    rows = choose_rows(*tables(True), 0, 1, "write", DIRECTIONS)
    text = spreadsheet(rows, {"model": "m", "layer": 0, "head": None}, None)
    read = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert len(read) == len(rows) and {row["singular_value"] for row in read} == {""}


@given(st.text() | st.sampled_from(HOSTILE))
def test_a_cell_is_never_a_formula_nor_more_than_a_line(text):
    written = str(cell(text))
    assert not FORMULA.match(written)
    assert len(written.splitlines()) <= 1
    assert written.removeprefix("'") == plain(text) or written == plain(text)
