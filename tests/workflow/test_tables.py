"""The tables of a finished sweep over a tiny model: paths, columns, rows and metadata."""

import hashlib
import json
import platform
import re
import socket
from importlib.metadata import version

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from svdlens.artefacts.version import VERSION
from svdlens.vocabulary.sentence_embedding import SHA256
from workflow import DEFAULT_CONTROLS, Workflow, read_table

pytest_plugins = ["workflow_fixtures"]

CATEGORY = pa.dictionary(pa.int16(), pa.string())
SIDES = {"ov": {"read", "write"}, "mlp_in": {"read"}, "mlp_out": {"write"}}
SWITCHES = "read_gain=off/read_center=off/write_center=off/unembed_gain=off/unembed_center=off/vocab_center=off"

# The contract for tables as docs/artefacts.md has it, written out once more: the columns are public.
KEYS = {"matrix": CATEGORY, "layer": pa.int32(), "head": pa.int32(), "index": pa.int32()}
ROW_KEYS = KEYS | {"side": CATEGORY, "sign": pa.int32(), "readout": CATEGORY}
SPECTRA = KEYS | {
    "value": pa.float64(),
    "energy": pa.float64(),
    "gap": pa.float64(),
    "cluster": pa.int32(),
    "cluster_spread": pa.float64(),
    "sign_margin": pa.float64(),
    "stability_noise": pa.float64(),
    "stability_float32": pa.float64(),
}
TOKENS = ROW_KEYS | {
    "token_ids": pa.list_(pa.int32()),
    "tokens": pa.list_(pa.string()),
    "scores": pa.list_(pa.float32()),
    "mean_score": pa.float64(),
    "null_space": pa.bool_(),
}
LABELS = ROW_KEYS | {
    "labeller": CATEGORY,
    "label": pa.string(),
    "kind": CATEGORY,
    "labelled": pa.bool_(),
    "verified": pa.bool_(),
    "interpretable": pa.bool_(),
    "score": pa.float64(),
    "p_value": pa.float64(),
    "q_value": pa.float64(),
    "p_direction": pa.float64(),
    "q_direction": pa.float64(),
    "evidence": pa.list_(pa.string()),
    "n_concepts": pa.int32(),
    "mean_log_rank": pa.float64(),
    "status": CATEGORY,
}
CONTROL = {"control": CATEGORY}
HIVE = {"model": CATEGORY, "setting": CATEGORY}
TABLES = {
    "spectra/model=tiny/setting=raw/{}.parquet": SPECTRA,
    "tokens/model=tiny/setting=raw/{}.parquet": TOKENS,
    "labels/model=tiny/setting=raw/{}.coherence.parquet": LABELS,
    **{f"controls/model=tiny/setting=raw/{{}}.{control}.parquet": CONTROL | TOKENS for control in DEFAULT_CONTROLS},
    f"by_switches/tokens/model=tiny/{SWITCHES}/{{}}.parquet": CONTROL | TOKENS,
    f"by_switches/labels/model=tiny/{SWITCHES}/{{}}.coherence.parquet": CONTROL | LABELS,
}
INTERVAL = dict.fromkeys(("value", "low", "high", "chance", "shuffled"), pa.float64())
SCORES = {"matrix": CATEGORY, "side": CATEGORY, "readout": CATEGORY, "labeller": CATEGORY, "test": CATEGORY}
SCORES |= {"n": pa.int64(), "n_left_out": pa.int64()} | INTERVAL
AGREEMENT = {"matrix": CATEGORY, "readout": CATEGORY, "first": CATEGORY, "second": CATEGORY}
AGREEMENT |= dict.fromkeys(("n_joined", "n", "both", "only_first", "only_second", "neither"), pa.int64())
AGREEMENT |= dict.fromkeys(("kappa", "kappa_low", "kappa_high"), pa.float64())
CELLS = ("n", "both", "only_first", "only_second", "neither")
AGREEMENT |= dict.fromkeys([f"control_{name}" for name in CELLS], pa.int64())
BY_FREQUENCY = ("spearman", "log_rank_interpretable", "log_rank_not", "log_rank_auc")
for labeller in ("first", "second"):
    AGREEMENT |= {f"{labeller}_{name}": pa.float64() for name in ("auc", *BY_FREQUENCY)}
FRACTIONS = dict.fromkeys(
    ("matrix", "side", "readout", "labeller", "criterion", "kind", "unit", "group"), CATEGORY
) | dict.fromkeys(("layer", "head", "index"), pa.int32())
FRACTIONS |= dict.fromkeys(("n", "k", "n_matrices", "control_n", "control_k", "rotated_n", "rotated_k"), pa.int64())
FRACTIONS |= dict.fromkeys(("k_p01", "control_k_p01", "beyond_n", "beyond_k"), pa.int64())
FRACTIONS |= dict.fromkeys(("fraction", "low", "high", "design_effect", "cut_p", "beyond_random"), pa.float64())
FRACTIONS |= dict.fromkeys(("control_fraction", "excess", "excess_low", "excess_high"), pa.float64())
FRACTIONS |= dict.fromkeys([f"{name}_p01" for name in ("fraction", "control_fraction", "excess")], pa.float64())
FRACTIONS |= dict.fromkeys(("excess_low_p01", "excess_high_p01", "rotated_fraction"), pa.float64())
FRACTIONS |= dict.fromkeys([f"excess_over_rotated{end}" for end in ("", "_low", "_high")], pa.float64())
SWEEP_TABLES = {
    "spectra": SPECTRA,
    "tokens": TOKENS,
    "labels": LABELS,
    "control_labels": CONTROL | LABELS,
    "fractions": FRACTIONS,
    "scores": SCORES,
    "agreement": AGREEMENT,
}


def columns(table: pa.Table) -> dict[str, pa.DataType]:
    return dict(zip(table.schema.names, table.schema.types, strict=True))


def as_text(table: pa.Table) -> list[str]:
    """The rows as text, where NaN is NaN."""
    return list(map(str, table.to_pylist()))


def shared(finished: Workflow, what: str, file: str) -> pa.Table:
    return read_table(finished.results / f"by_switches/{what}/model=tiny/{SWITCHES}/{file}.parquet")


@pytest.mark.parametrize("matrix", SIDES)
def test_tables_keep_the_contract(matrix: str, finished: Workflow) -> None:
    # Users' code goes by these paths, columns and types.
    found = {pattern: read_table(finished.results / pattern.format(matrix)) for pattern in TABLES}
    for pattern, schema in TABLES.items():
        assert columns(found[pattern]) == schema, pattern
    spectra, tokens, labels, *controls = (table.to_pandas() for table in list(found.values())[:-2])

    # One layer; two heads of rank 8, or one matrix of rank 16: every singular value is there, largest first.
    assert (len(spectra), len(tokens)) == (16, 16 * 2 * len(SIDES[matrix]))
    assert set(spectra["layer"]) == {0}
    assert set(spectra["head"].dropna()) == ({0, 1} if matrix == "ov" else set())
    assert set(tokens["side"]) == SIDES[matrix]
    assert set(tokens["matrix"]) == set(spectra["matrix"]) == {matrix}
    # Every direction is read on each of its sides with both signs, once.
    keys = list(ROW_KEYS)
    assert not tokens.duplicated(keys).any()
    signs = tokens.groupby(["side", "head", "index"], dropna=False, observed=True)["sign"].agg(set)
    assert all(sign == {1, -1} for sign in signs)
    # Labels are of the same rows in the same order.
    assert labels[keys].equals(tokens[keys])
    labelled = shared(finished, "labels", f"{matrix}.coherence").to_pandas()
    for control, rows in zip(DEFAULT_CONTROLS, controls, strict=True):
        assert len(rows) == 2 * 50  # random_directions of the configuration
        assert set(rows["control"]) == {control}
        same = labelled[labelled["control"] == control].reset_index()
        assert same[keys].astype(object).equals(rows[keys].astype(object))
        # Of a side and a matrix are the rotations alone.
        places = rows[["layer", "head", "side"]].drop_duplicates().astype(object).values.tolist()
        if control == "rotated":
            heads = {0, 1} if matrix == "ov" else {None}
            assert {(0, head, side) for head in heads for side in SIDES[matrix]} == {
                (layer, None if pd.isna(head) else head, side) for layer, head, side in places
            }
        else:
            assert [(pd.isna(layer), pd.isna(head), side) for layer, head, side in places] == [(True, True, "all")]

    for table in (tokens, *controls):
        ids, scores = np.stack(table["token_ids"]), np.stack(table["scores"])
        assert ids.shape == (len(table), 50)
        assert (ids >= 0).all()
        assert (ids < 320).all()
        assert all(len(set(row)) == 50 for row in ids.tolist())
        assert (np.diff(scores, axis=1) <= 0).all()


def test_what_a_setting_has_is_a_view_of_what_its_switches_have(finished: Workflow) -> None:
    for matrix in SIDES:
        for what, file, views in (
            ("tokens", matrix, {control: f"controls/{{}}/{matrix}.{control}" for control in DEFAULT_CONTROLS}),
            ("labels", f"{matrix}.coherence", {}),
        ):
            table = shared(finished, what, file)
            for control, view in {None: f"{what}/{{}}/{file}", **views}.items():
                field = pc.field("control")
                rows = table.filter(field.is_null() if control is None else field == control)
                path = finished.results / f"{view.format('model=tiny/setting=raw')}.parquet"
                assert as_text(read_table(path)) == as_text(rows if control else rows.drop_columns("control"))


def test_tables_of_the_sweep_have_model_and_setting(finished: Workflow) -> None:
    for name, schema in SWEEP_TABLES.items():
        assert columns(read_table(finished.results / f"tables/{name}.parquet")) == HIVE | schema, name
    parts = {
        name: [read_table(finished.results / pattern.format(matrix)) for matrix in SIDES]
        for name in ("spectra", "tokens", "labels")
        for pattern in TABLES
        if pattern.startswith(name)
    }
    labelled = [shared(finished, "labels", f"{matrix}.coherence") for matrix in SIDES]
    parts["control_labels"] = [table.filter(pc.field("control").is_valid()) for table in labelled]
    for name, tables in parts.items():
        rows = [{"model": "tiny", "setting": "raw"} | row for table in tables for row in table.to_pylist()]
        assert as_text(read_table(finished.results / f"tables/{name}.parquet")) == list(map(str, rows)), name


DATA_SETS = {"spectra": SPECTRA, "tokens": TOKENS, "controls": CONTROL | TOKENS, "labels": LABELS}


@pytest.mark.parametrize("directory", DATA_SETS)
def test_a_directory_of_tables_opens_as_one_data_set(directory: str, finished: Workflow) -> None:
    # With model and setting from the names of the directories, as docs/artefacts.md shows it.
    whole = pd.read_parquet(finished.results / directory)
    assert set(whole.columns) == {*DATA_SETS[directory], *HIVE}
    files = list((finished.results / directory).rglob("*.parquet"))
    assert len(whole) == sum(pq.read_metadata(path).num_rows for path in files)
    assert set(whole["model"]) == {"tiny"} and set(whole["setting"]) == {"raw"}
    assert set(whole["matrix"]) == set(SIDES)
    assert len({str(read_table(path).schema.remove_metadata()) for path in files}) == 1


def test_fractions_count_rows_of_the_tables(finished: Workflow) -> None:
    fractions = read_table(finished.results / "tables/fractions.parquet").to_pandas()
    labels, controls = (
        read_table(finished.results / f"tables/{name}.parquet").to_pandas() for name in ("labels", "control_labels")
    )
    labels, random = labels.query("status == 'ok'"), controls.query("status == 'ok' and control == 'random_unit'")
    # Lists of frequent tokens and of glitches count among the rows, and never as interpretable.
    labels, random = (
        table.assign(counts=table["interpretable"].eq(True) & ~table["kind"].isin(["frequency", "glitch"]))
        for table in (labels, random)
    )
    whole = fractions.query("group == 'all' and unit == 'row' and kind == 'all' and side != 'all'")
    assert len(whole) == sum(map(len, SIDES.values()))
    for row in whole.itertuples():
        rows = labels[(labels["matrix"] == row.matrix) & (labels["side"] == row.side)]
        of_control = random[random["matrix"] == row.matrix]
        assert (row.n, row.k) == (len(rows), rows["counts"].sum())
        assert (row.control_n, row.control_k) == (len(of_control), of_control["counts"].sum())
        assert row.control_fraction == pytest.approx(row.control_k / row.control_n)
        assert row.criterion == "q_value < 0.05"


def test_labels_are_scored_and_stand_beside_the_frequency_of_tokens(finished: Workflow) -> None:
    names = ("scores", "agreement", "labels", "control_labels")
    scores, agreement, *tables = (read_table(finished.results / f"tables/{name}.parquet") for name in names)
    labels, controls = (table.to_pandas() for table in tables)
    controls = controls.query("control == 'random_unit' and status == 'ok'")
    found = {(row["matrix"], row["side"], row["test"]): row for row in scores.to_pylist()}
    tests = {"intrusion": 0.2, "retrieval": 0.1, "held_out": 0.5}
    sides = [(matrix, side, test) for matrix in SIDES for side in SIDES[matrix] for test in tests]
    assert found.keys() == {*sides, *((matrix, "all", "false_positives") for matrix in SIDES)}
    assert len(found) == len(scores)
    for matrix, side, test in sides:
        row = found[matrix, side, test]
        rows = labels.query("matrix == @matrix")
        of_side = rows.query("side == @side and label.notna() and kind not in ('frequency', 'glitch')")
        assert row["n"] + row["n_left_out"] == len(of_side)
        assert row["chance"] == tests[test] and row["labeller"] == "coherence"
        if row["n"]:
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        else:
            assert row["value"] is row["low"] is row["high"] is None
    for matrix in SIDES:
        random, false = controls.query("matrix == @matrix"), found[matrix, "all", "false_positives"]
        cut = labels.query("matrix == @matrix and labelled == True")["p_value"].max()
        assert false["chance"] == (0.0 if np.isnan(cut) else cut)
        assert (false["n"], false["shuffled"]) == (len(random), None)
        assert false["value"] == pytest.approx(random["interpretable"].eq(True).mean())
    for row in agreement.to_pylist():
        rows = labels[labels["matrix"] == row["matrix"]]
        assert (row["n_joined"], row["n"]) == (len(rows), (rows["status"] == "ok").sum())
        # Of one labeller nothing is said but how it goes with frequency.
        assert (row["first"], row["second"], row["kappa"], row["both"]) == ("coherence", None, None, None)
        not_interpretable = rows[(rows["status"] == "ok") & ~rows["interpretable"].eq(True)]
        not_interpretable = not_interpretable[~not_interpretable["kind"].isin(["frequency", "glitch"])]
        assert row["first_log_rank_not"] == pytest.approx(not_interpretable["mean_log_rank"].mean())
        assert row["first_spearman"] == pytest.approx(rows["score"].corr(rows["mean_log_rank"], "spearman"))
    assert agreement["matrix"].to_pylist() == list(SIDES)


def test_metadata_tell_the_origin_and_nothing_of_the_machine(finished: Workflow) -> None:
    source = finished.directory / "source/model.safetensors"
    weights = {"model.safetensors": hashlib.sha256(source.read_bytes()).hexdigest()}
    stages = set()
    for path in sorted([*finished.results.rglob("*.parquet"), *finished.results.rglob("*.safetensors")]):
        stage, suffix = path.relative_to(finished.results).parts[0], path.suffix
        if stage == "models":  # as it was fetched
            continue
        stages.add(stage)
        if suffix == ".parquet":
            facts = json.loads(pq.read_metadata(path).metadata[b"svdlens"])
            assert facts["schema_version"] == 5
        else:
            facts = json.loads(safe_open(path, "numpy").metadata()["svdlens"])
        sources = facts["sources"] if stage == "tables" else {}
        assert len(sources) == (3 if stage == "tables" else 0)
        for made in (facts, *sources.values()):
            assert re.fullmatch(r"[0-9a-f]{16}", made["code"])
            versions = {name: made["packages"][name] for name in ("numpy", "pyarrow", "python", "svdlens", "torch")}
            assert versions == {
                "numpy": np.__version__,
                "pyarrow": pa.__version__,
                "python": platform.python_version(),
                "svdlens": VERSION,
                "torch": version("torch"),
            }
        if path.name == "embeddings.safetensors":  # of tokens, whatever the model is
            assert facts["minilm_sha256"] == SHA256
            continue
        for made in sources.values() or [facts]:
            assert (made["model"], made["revision"], made["weights_sha256"]) == ("tiny", None, weights)
            if stage not in ("vocabulary", "weights"):  # for all settings
                assert made["setting"] == []
            if stage in ("spectra", "stability"):
                assert set(made["noise"].values()) == {"normal, 0.01 standard deviations"}
    assert stages >= {
        "by_switches",
        "controls",
        "labels",
        "spectra",
        "stability",
        "svd",
        "tables",
        "tokens",
        "vocabulary",
    }

    texts = {name: content for name, content in finished.artefacts().items() if name.endswith((".csv", ".json"))}
    texts |= {
        str(path): json.dumps({str(key): str(value) for key, value in pq.read_metadata(path).metadata.items()}).encode()
        for path in finished.results.rglob("*.parquet")
    }
    assert "models/tiny/provenance.json" in texts
    for name, content in texts.items():
        assert not re.search(rb"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", content), f"a time in {name}"
        if not name.endswith(".csv"):  # tokens may spell anything
            assert not re.search(rf"\b{re.escape(socket.gethostname())}\b".encode(), content), f"the host in {name}"
    for name, content in finished.artefacts().items():
        for place in (finished.directory, finished.project):
            assert str(place).encode() not in content, f"a path in {name}"
