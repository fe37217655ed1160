"""The workflow run to its end on a tiny model: its tables, its bytes, and what it repeats when something changes."""

import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.spec.controls import CONTROLS
from tiny import make_tiny, make_tiny_gpt2
from workflow import TINY, Files, Workflow, environment, messages, mounted, new_workflow

pytest_plugins = ["workflow_fixtures"]

CATEGORY = pa.dictionary(pa.int16(), pa.string())
SIDES = {"ov": {"read", "write"}, "mlp_in": {"read"}, "mlp_out": {"write"}}

# The contract for tables as docs/design.md has it, written out once more: the columns are public.
KEYS = {"matrix": CATEGORY, "layer": pa.int16(), "head": pa.int16(), "index": pa.int16()}
ROW_KEYS = KEYS | {"side": CATEGORY, "sign": pa.int8(), "readout": CATEGORY}
SPECTRA = KEYS | {
    "value": pa.float32(),
    "energy": pa.float64(),
    "gap": pa.float64(),
    "block": pa.int16(),
    "block_spread": pa.float64(),
    "sign_margin": pa.float64(),
    "stability_noise": pa.float64(),
    "stability_float32": pa.float64(),
}
TOKENS = ROW_KEYS | {
    "token_ids": pa.list_(pa.int32()),
    "tokens": pa.list_(pa.string()),
    "scores": pa.list_(pa.float32()),
    "mean_score": pa.float64(),
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
    "n_concepts": pa.int8(),
    "mean_log_rank": pa.float64(),
    "status": CATEGORY,
}
CONTROL = {"control": CATEGORY}
HIVE = {"model": CATEGORY, "setting": CATEGORY}
TABLES = {
    "spectra/model=tiny/setting=raw/{}.parquet": SPECTRA,
    "tokens/model=tiny/setting=raw/{}.parquet": TOKENS,
    "labels/model=tiny/setting=raw/{}.coherence.parquet": LABELS,
    "controls/model=tiny/setting=raw/{}.random_unit.parquet": CONTROL | TOKENS,
    "controls/model=tiny/setting=raw/{}.rotated.parquet": CONTROL | TOKENS,
    "controls/model=tiny/setting=raw/{}.gaussian.parquet": CONTROL | TOKENS,
    "controls/model=tiny/setting=raw/{}.random_unit.coherence.parquet": CONTROL | LABELS,
    "controls/model=tiny/setting=raw/{}.rotated.coherence.parquet": CONTROL | LABELS,
    "controls/model=tiny/setting=raw/{}.gaussian.coherence.parquet": CONTROL | LABELS,
}
SWEEP_TABLES = {"spectra": HIVE | SPECTRA, "tokens": HIVE | TOKENS, "labels": HIVE | LABELS}
SCORES = HIVE | {"matrix": CATEGORY, "side": CATEGORY, "readout": CATEGORY, "labeller": CATEGORY, "test": CATEGORY}
SCORES |= {"n": pa.int64(), "n_left_out": pa.int64()}
SCORES |= dict.fromkeys(("value", "low", "high", "chance", "shuffled"), pa.float64())
AGREEMENT = HIVE | {"matrix": CATEGORY, "readout": CATEGORY, "first": CATEGORY, "second": CATEGORY}
AGREEMENT |= dict.fromkeys(("n_joined", "n", "both", "only_first", "only_second", "neither"), pa.int64())
AGREEMENT |= dict.fromkeys(("kappa", "kappa_low", "kappa_high"), pa.float64())
OF_FREQUENCY = ("spearman", "log_rank_interpretable", "log_rank_not", "log_rank_auc")
for labeller in ("first", "second"):
    AGREEMENT |= {f"{labeller}_{name}": pa.float64() for name in ("auc", *OF_FREQUENCY)}

FRACTIONS = {
    "collect_tables", "plot_fraction_by_block", "plot_fraction_by_model", "make_report_pages", "build_explorer"
}  # fmt: skip
OF_LABELS = {"score_labels", "compare_labellers"} | FRACTIONS
FROM_TOKENS = {"project_directions", "plot_token_table", "label_directions"} | OF_LABELS
TINY_RAW = "model=tiny/setting=raw"
FROM_SVD = {"decompose_matrices", "tabulate_spectra", "plot_spectra"} | FROM_TOKENS


def read(path: Path) -> pa.Table:
    """The file alone: nothing from the names of its directories."""
    return pq.ParquetFile(path).read()


@pytest.mark.slow
@pytest.mark.parametrize("matrix", SIDES)
def test_tables_keep_the_contract(matrix: str, finished: Workflow) -> None:
    # Users' code goes by these paths, columns and types.
    found = {pattern: read(finished.results / pattern.format(matrix)) for pattern in TABLES}
    for pattern, columns in TABLES.items():
        assert dict(zip(found[pattern].schema.names, found[pattern].schema.types, strict=True)) == columns, pattern
    spectra, tokens, labels, *others = (table.to_pandas() for table in found.values())
    controls, control_labels = others[:3], others[3:]

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
    for control, rows, labelled in zip(CONTROLS, controls, control_labels, strict=True):
        assert len(rows) == 2 * 50  # random_directions of the configuration
        assert labelled[["control", *keys]].equals(rows[["control", *keys]])
        assert set(rows["control"]) == {control}
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


@pytest.mark.slow
def test_tables_of_the_sweep_have_model_and_setting(finished: Workflow) -> None:
    for name, columns in SWEEP_TABLES.items():
        whole = read(finished.results / f"tables/{name}.parquet")
        assert dict(zip(whole.schema.names, whole.schema.types, strict=True)) == columns
        pattern = next(pattern for pattern in TABLES if pattern.startswith(name))
        parts = [read(finished.results / pattern.format(matrix)).to_pylist() for matrix in SIDES]
        rows = [{"model": "tiny", "setting": "raw"} | row for part in parts for row in part]
        # Compared as text, where NaN is NaN.
        assert list(map(str, whole.to_pylist())) == list(map(str, rows))


@pytest.mark.slow
def test_labels_are_scored_and_stand_beside_the_frequency_of_tokens(finished: Workflow) -> None:
    scores, agreement = (read(finished.results / f"tables/{name}.parquet") for name in ("scores", "agreement"))
    assert dict(zip(scores.schema.names, scores.schema.types, strict=True)) == SCORES
    assert dict(zip(agreement.schema.names, agreement.schema.types, strict=True)) == AGREEMENT
    found = {(row["matrix"], row["side"], row["test"]): row for row in scores.to_pylist()}
    tests = {"intrusion": 0.2, "retrieval": 0.1, "held_out": 0.5}
    sides = [(matrix, side, test) for matrix in SIDES for side in SIDES[matrix] for test in tests]
    assert found.keys() == {*sides, *((matrix, "all", "false_positives") for matrix in SIDES)}
    assert len(found) == len(scores)
    for matrix, side, test in sides:
        row, rows = found[matrix, side, test], read(finished.results / f"labels/{TINY_RAW}/{matrix}.coherence.parquet")
        of_side = rows.to_pandas().query("side == @side and label.notna() and kind not in ('frequency', 'glitch')")
        assert row["n"] + row["n_left_out"] == len(of_side)
        assert row["chance"] == tests[test] and row["labeller"] == "coherence"
        if row["n"]:
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        else:
            assert row["value"] is row["low"] is row["high"] is None
    for matrix in SIDES:
        controls = read(finished.results / f"controls/{TINY_RAW}/{matrix}.random_unit.coherence.parquet").to_pandas()
        controls = controls[controls["status"] == "ok"]
        false = found[matrix, "all", "false_positives"]
        assert (false["n"], false["chance"], false["shuffled"]) == (len(controls), 0.05, None)
        assert false["value"] == pytest.approx(controls["interpretable"].eq(True).mean())
    for row in agreement.to_pylist():
        rows = read(finished.results / f"labels/{TINY_RAW}/{row['matrix']}.coherence.parquet").to_pandas()
        assert (row["n_joined"], row["n"]) == (len(rows), (rows["status"] == "ok").sum())
        # Of one labeller nothing is said but how it goes with frequency.
        assert (row["first"], row["second"], row["kappa"], row["both"]) == ("coherence", None, None, None)
        not_interpretable = rows[(rows["status"] == "ok") & ~rows["interpretable"].eq(True)]
        assert row["first_log_rank_not"] == pytest.approx(not_interpretable["mean_log_rank"].mean())
        assert row["first_spearman"] == pytest.approx(rows["score"].corr(rows["mean_log_rank"], "spearman"))
    assert agreement["matrix"].to_pylist() == list(SIDES)


@pytest.mark.slow
def test_metadata_tell_the_origin_and_nothing_of_the_machine(finished: Workflow) -> None:
    source = finished.directory / "source/model.safetensors"
    weights = {"model.safetensors": hashlib.sha256(source.read_bytes()).hexdigest()}
    for path in sorted(finished.results.rglob("*.parquet")):
        metadata = pq.read_metadata(path)
        facts = json.loads(metadata.metadata[b"svdlens"])
        assert facts["schema_version"] == 3
        if path.parent.name == "embeddings":
            # Of a vocabulary, whatever the weights are.
            assert facts["token_frequency"]
            continue
        sources = facts["sources"] if path.parent.name == "tables" else {path.name: facts}
        assert len(sources) == (3 if path.parent.name == "tables" else 1)
        for origin in sources.values():
            assert (origin["model"], origin["revision"], origin["setting"]) == ("tiny", None, [])
            assert origin["weights_sha256"] == weights
            assert re.fullmatch(r"[0-9a-f]{16}", origin["code"])

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


@pytest.mark.slow
def test_two_clean_runs_give_the_same_bytes(finished: Workflow, project: Path, tmp_path: Path) -> None:
    # Other directory, other time, other number of threads.
    other = new_workflow(project, tmp_path / "other")
    run = other.finish("--cores", "1")
    assert "%|" not in run.printed, "a progress bar off a terminal"
    first, second = finished.artefacts(), other.artefacts()
    assert first.keys() == second.keys()
    assert {Path(name).suffix for name in first} >= {".parquet", ".csv", ".pdf", ".png"}
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(finished: Workflow) -> None:
    run = finished.finish()
    assert "Nothing to be done" in run.printed
    assert not run.jobs


# What is changed in the configuration, and the rules that depend on it. A rule too few is a stale result, a rule too
# many hours of work.
CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "block_tolerance": ({"block_tolerance": 0.05}, {"tabulate_spectra", "plot_spectra"} | FRACTIONS),
    "level": ({"labellers": {"coherence": {"level": 0.1}}}, {"label_directions"} | OF_LABELS),
    "token_table_tokens": ({"figures": {"token_table_tokens": 5}}, {"plot_token_table", "make_report_pages"}),
    "tokens": ({"tokens": 30}, FROM_TOKENS),
    "random_directions": ({"random_directions": 40}, FROM_TOKENS),
    "seed": ({"seed": 1}, FROM_SVD),
    "weight_noise": ({"weight_noise": 0.1}, FROM_SVD),
    "directions": ({"directions": 4}, FROM_SVD),
    "a model that is not swept": ({"models": {"other": {"path": "elsewhere"}}}, set()),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_repeats_what_depends_on_it(change: str, finished: Workflow) -> None:
    config, rules = CHANGES[change]
    assert finished.finish("--dry-run", config=config).rules == rules


@pytest.mark.slow
def test_a_further_setting_or_table_adds_jobs_and_repeats_no_svd(finished: Workflow) -> None:
    # `unembed` shares every SVD with `raw`, and every list of tokens: nothing is projected or labelled again.
    wider = finished.finish("--dry-run", config={"sweep": {"settings": ["raw", "unembed"]}})
    new = {"derive_tokens": 3, "tabulate_spectra": 3, "derive_labels": 3}
    assert wider.counts == new | {"plot_spectra": 1, "plot_token_table": 1} | dict.fromkeys(OF_LABELS, 1)
    outputs = [re.search(r"output: (.*)", job.description)[1] for job in wider.jobs if job.rule in new]
    assert not any("setting=raw" in output for output in outputs)

    tables = [*TINY["token_tables"], {"matrix": "mlp_in", "layer": 0}]
    another = finished.finish("--dry-run", config={"models": {"tiny": {"token_tables": tables}}})
    assert another.counts == {"plot_token_table": 1, "list_paper_figures": 1, "make_report_pages": 1}


@pytest.mark.slow
def test_a_setting_derived_from_its_twin_has_the_tables_that_it_has_alone(finished: Workflow, tmp_path: Path) -> None:
    """Tables equal but for their metadata, which name the code; scores are those of W_U centred over the vocabulary."""
    derived, alone = (copy_of(finished, tmp_path / name, leave_out="logs") for name in ("derived", "alone"))
    own = {"matrices": ["mlp_out"]}
    run = derived.finish("tokens", "labels", config={"sweep": own | {"settings": ["raw", "unembed", "post2022"]}})
    assert run.counts == {"derive_tokens": 2, "derive_labels": 2}
    run = alone.finish("tokens", "labels", config={"sweep": own | {"settings": ["unembed"]}})
    assert run.counts == {"project_directions": 1, "label_directions": 1}

    found = sorted(path.relative_to(alone.results) for path in alone.results.rglob("setting=unembed/*.parquet"))
    assert len(found) == 2 + 2 * len(CONTROLS)
    for path in found:
        assert read(derived.results / path).equals(read(alone.results / path)), path
        facts = [read_metadata(workflow.results / path) for workflow in (derived, alone)]
        assert facts[0].pop("code") != facts[1].pop("code")
        assert facts[0] == facts[1]
        assert facts[0]["setting"] == ["center_unembed"]
        # The gain before MLP-in is nothing to MLP-out: these have not even other scores than `raw`.
        same = Path(str(path).replace("setting=unembed", "setting=post2022"))
        raw = Path(str(path).replace("setting=unembed", "setting=raw"))
        assert read(derived.results / same).equals(read(finished.results / raw)), same

    W_U = load_file(finished.directory / "source/model.safetensors")["wte.weight"].T.astype(float)
    W_U -= W_U.mean(axis=1, keepdims=True)
    svd = finished.results / "svd/model=tiny/read_gain=off/read_center=off/write_center=off/mlp_out.safetensors"
    scores = np.repeat(load_file(svd)["right"][0].astype(float), 2, axis=0) @ W_U
    scores[1::2] *= -1
    tokens = read(derived.results / "tokens/model=tiny/setting=unembed/mlp_out.parquet").to_pandas()
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :50]
    assert np.array_equal(np.stack(tokens["token_ids"]), ids)
    error = np.abs(np.stack(tokens["scores"]) - np.take_along_axis(scores, ids, axis=1)).max()
    assert error < 1e-5 * np.abs(scores).max()
    assert (tokens["mean_score"] == 0).all()


OTHERS: dict[str, dict[str, Any]] = {
    "encoder": {"architecture": "bert", "settings": ["raw"], "readouts": ["W_E"]},
    "gated": {"architecture": "llama", "settings": ["post2022"], "matrices": ["qk", "mlp_gate"]},
}


@pytest.mark.slow
def test_models_of_other_architectures_join_a_sweep(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_of(finished, tmp_path / "copy", leave_out="logs")
    for name, model in OTHERS.items():
        make_tiny(model["architecture"], workflow.directory / name)
    tables = {"encoder": [{"matrix": "mlp_out", "layer": 0}], "gated": [{"matrix": "qk", "layer": 0, "head": 1}]}
    models = {name: model | {"path": name, "token_tables": tables[name]} for name, model in OTHERS.items()}
    run = workflow.finish(config={"models": models, "sweep": {"models": ["tiny", *OTHERS]}})
    # What was there is not done again.
    new = {"fetch_model": 2, "extract_weights": 2, "embed_vocabulary": 2}
    per_matrix = ("decompose_matrices", "tabulate_spectra", "project_directions", "label_directions")
    once = OF_LABELS | {"plot_spectra", "plot_token_table", "list_paper_figures"}
    assert run.counts == new | dict.fromkeys(per_matrix, 3 + 2) | dict.fromkeys(once, 1)

    places = {
        ("tiny", "raw", "W_U"): {"ov", "mlp_in", "mlp_out"},
        ("encoder", "raw", "W_E"): {"ov", "mlp_in", "mlp_out"},
        ("gated", "post2022", "W_U"): {"qk", "mlp_gate"},
    }
    for name in ("tokens", "labels", "fractions", "scores", "agreement"):
        whole = read(workflow.results / f"tables/{name}.parquet").to_pandas()
        found = whole.groupby(["model", "setting", "readout"], observed=True)["matrix"].agg(set)
        assert found.to_dict() == places, name
    drawn = pd.read_csv(workflow.results / "figures/fraction_by_model.csv")
    assert drawn.groupby(["model", "setting", "readout"])["matrix"].agg(set).to_dict() == places
    assert not drawn["labeller_network"].any()
    figures = workflow.results / "figures"
    assert (figures / "encoder/raw/token_table_mlp_out_L0.png").exists()
    assert (figures / "gated/post2022/token_table_qk_L0_H1.png").exists()

    # With rotary positions QK is not all of the attention pattern, and the table says so.
    for matrix in ("qk", "mlp_gate"):
        facts = read_metadata(workflow.results / f"tokens/model=gated/setting=post2022/{matrix}.parquet")
        assert ("content term at relative position 0" in facts.get("qk", "")) == (matrix == "qk")


def outputs(directory: Path, what: str) -> dict[str, Path]:
    """Where a script puts the tables of `what` (tokens or labels) and of the controls."""
    return {name: directory / f"{what}_{name}.parquet" for name in (what, *CONTROLS)}


def run_script(name: str, finished: Workflow, output: dict[str, Path], **inputs: Path) -> None:
    """A script on OV of the finished sweep, in this process and with two read-outs; `inputs` in place of its own."""
    results = finished.results
    own = {
        "provenance": results / "models/tiny/provenance.json",
        "svd": results / "svd/model=tiny/read_gain=off/read_center=off/write_center=off/ov.safetensors",
        "weights": results / "weights/tiny/attention.safetensors",
        "unembed": results / "weights/tiny/unembed.safetensors",
        "tokens": results / "tokens/model=tiny/setting=raw/ov.parquet",
        **{name: results / f"controls/model=tiny/setting=raw/ov.{name}.parquet" for name in CONTROLS},
        "embeddings": results / "embeddings/tiny.safetensors",
        "classes": results / "embeddings/tiny.classes.parquet",
    }
    params = {"switches": [], "code": "0", "seed": 0, "level": 0.05, "tokens": 50, "n_random": 50, "controls": CONTROLS}
    params["choice"] = {"sides": None, "signs": None, "directions": None}
    smk = SimpleNamespace(
        threads=1,
        wildcards=SimpleNamespace(matrix="ov", setting="raw"),
        input=Files(own | inputs),
        output=Files(output),
        resources={},
        params=SimpleNamespace(**params, readouts=["W_E", "W_U"]),
    )
    importlib.import_module(name).main(smk)


@pytest.mark.slow
def test_each_readout_has_its_tokens_and_labels(finished: Workflow, tmp_path: Path) -> None:
    tokens, labels = outputs(tmp_path, "tokens"), outputs(tmp_path, "labels")
    run_script("project_directions", finished, tokens)
    run_script("label_directions", finished, labels, **tokens)
    # Those of W_U are what they are alone.
    alone = {
        tokens["tokens"]: "tokens/model=tiny/setting=raw/ov.parquet",
        labels["labels"]: "labels/model=tiny/setting=raw/ov.coherence.parquet",
        **{tokens[name]: f"controls/model=tiny/setting=raw/ov.{name}.parquet" for name in CONTROLS},
        **{labels[name]: f"controls/model=tiny/setting=raw/ov.{name}.coherence.parquet" for name in CONTROLS},
    }
    for path, same in alone.items():
        rows, expected = read(path), read(finished.results / same)
        assert len(rows) == 2 * len(expected)
        through_W_U = rows.filter(pc.field("readout") == "W_U")
        assert list(map(str, through_W_U.to_pylist())) == list(map(str, expected.to_pylist()))

    # Those of W_E, against the rows of the checkpoint's embedding, which meet the reading side after the gain.
    checkpoint = load_file(finished.directory / "source/model.safetensors")
    W_E, gain = checkpoint["wte.weight"].astype(float), checkpoint["h.0.ln_1.weight"].astype(float)
    svd = load_file(finished.results / "svd/model=tiny/read_gain=off/read_center=off/write_center=off/ov.safetensors")
    for row in read(tokens["tokens"]).filter(pc.field("readout") == "W_E").to_pylist():
        array = svd["left" if row["side"] == "read" else "right"]
        vector = array[row["layer"], row["head"], row["index"]].astype(float)
        scores = row["sign"] * W_E @ (vector * gain if row["side"] == "read" else vector)
        assert row["scores"] == pytest.approx(np.sort(scores)[::-1][:50], rel=1e-5)
        assert scores[row["token_ids"]] == pytest.approx(row["scores"], rel=1e-5)


@pytest.mark.slow
def test_labels_of_the_labellers_own_network_say_so(finished: Workflow, tmp_path: Path) -> None:
    # Embeddings that claim to come from the tiny model.
    weights = hashlib.sha256((finished.directory / "source/model.safetensors").read_bytes()).hexdigest()
    embeddings = load_file(finished.results / "embeddings/tiny.safetensors")
    labels = outputs(tmp_path, "labels")
    for network in (weights, "0" * 64):
        facts = json.dumps({"minilm_sha256": network, "token_frequency": "counts"})
        save_file(embeddings, tmp_path / "embeddings.safetensors", {"facts": facts})
        run_script("label_directions", finished, labels, embeddings=tmp_path / "embeddings.safetensors")
        metadata = read_metadata(labels["labels"])
        assert metadata["labeller_network"] == (network == weights)
        assert metadata["token_frequency"] == "counts"


def copy_of(finished: Workflow, directory: Path, leave_out: str) -> Workflow:
    """Snakemake knows the copy's files by their paths, relative, and by their times, which are kept."""
    ignore = shutil.ignore_patterns(leave_out, "changed.yaml")
    return Workflow(finished.project, shutil.copytree(finished.directory, directory, ignore=ignore))


@pytest.mark.slow
def test_a_changed_model_repeats_everything(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_of(finished, tmp_path / "copy", leave_out="logs")
    make_tiny_gpt2(workflow.directory / "source", seed=1)
    rules = {"fetch_model", "extract_weights", "embed_vocabulary"} | FROM_SVD
    assert workflow.finish("--dry-run").rules == rules


@pytest.mark.slow
def test_without_the_raw_weights_a_change_after_the_svd_repeats_the_svd(finished: Workflow, tmp_path: Path) -> None:
    # The price of deleting them: extract_weights writes all weights, so for Snakemake all that was made from them is
    # stale. What needs no weights is still not dearer.
    workflow = copy_of(finished, tmp_path / "copy", leave_out="weights")
    assert workflow.finish("--dry-run", config={"tokens": 30}).rules == {"extract_weights"} | FROM_SVD
    assert workflow.finish("--dry-run", config=CHANGES["level"][0]).rules == CHANGES["level"][1]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(finished: Workflow, tiny: Workflow) -> None:
    # As when a machine goes down: no process has time to tidy up. Killed once the first SVD is there and others are
    # on their way.
    command = tiny.command("--cores", "2", "tokens")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment(), start_new_session=True, **quiet)
    deadline = time.monotonic() + 300
    while not list(tiny.results.glob("svd/**/[!.]*.safetensors")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    # Whatever has its final name is whole.
    wanted, left = finished.artefacts(), tiny.artefacts()
    whole = {name: content for name, content in left.items() if not Path(name).name.startswith(".")}
    assert whole == {name: wanted[name] for name in whole}

    # Snakemake's lock is still there, and it says how to take it away.
    locked = tiny.run("tokens")
    assert locked.status != 0
    assert "--unlock" in locked.printed
    tiny.finish("tokens", "--unlock")
    resumed = tiny.finish("tokens")
    assert "fetch_model" not in resumed.rules
    after = {name: content for name, content in tiny.artefacts().items() if not Path(name).name.startswith(".")}
    stages = ("models/", "svd/", "tokens/", "controls/")
    expected = {name for name in wanted if name.startswith(stages) and ".coherence." not in name}
    assert after.keys() == expected
    assert [name for name in after if after[name] != wanted[name]] == []


@pytest.mark.slow
def test_a_disk_that_fills_late_keeps_what_is_finished(finished: Workflow, tmp_path: Path) -> None:
    # A finished sweep on a disk without any room, and a further setting, which has the same SVDs.
    workflow = copy_of(finished, tmp_path / "run", leave_out="results")
    before, wider = finished.artefacts(), {"sweep": {"settings": ["raw", "unembed"]}}
    with mounted(workflow.results, "size=16m"):
        shutil.copytree(finished.results, workflow.results, dirs_exist_ok=True)
        filler = workflow.results / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(workflow.results).free))
        run = workflow.run("spectra", config=wider)
        assert run.status != 0
        assert messages(run)
        assert all("the disk is full. Free some space" in message for message in messages(run)), run.printed
        filler.unlink()
        assert workflow.artefacts() == before  # no less, and no halves beside it
        assert workflow.finish("spectra", config=wider).counts == {"tabulate_spectra": 3}


@pytest.mark.slow
def test_a_report_can_be_made(finished: Workflow, tmp_path: Path) -> None:
    # Every figure, in a copy; then the report of all of it.
    workflow, everything = copy_of(finished, tmp_path / "copy", leave_out="logs"), {"figures": {"select": "all"}}
    workflow.finish(config=everything)
    figures = {path.stem for path in workflow.results.rglob("figures/**/*.png")}
    for kind in ("pdf", "csv"):
        assert {path.stem for path in workflow.results.rglob(f"figures/**/*.{kind}")} == figures
    workflow.finish("--report", str(tmp_path / "report.zip"), config=everything)
    with zipfile.ZipFile(tmp_path / "report.zip") as report:
        names = {Path(name).name for name in report.namelist()}
        page = report.read("report/report.html").decode("utf-8")
    pages = ("method", "configuration", "models", "not_made", "fractions", "scores", "agreement", "paper_figures")
    assert names >= {f"{figure}.png" for figure in figures} | {f"{name}.html" for name in pages}
    assert all(rule in page for rule in FROM_SVD)
