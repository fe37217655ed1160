"""The workflow run to its end on a tiny model: its bytes, what it repeats when something changes, what it shares."""

import hashlib
import importlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from firefox import firefox
from svdlens.artefacts.table_schemas import read_metadata
from svdlens.spec.settings import SWITCHES
from tiny import make_tiny, make_tiny_gpt2
from workflow import (
    AFTER_FRACTIONS,
    AFTER_LABELS,
    AFTER_LISTS,
    AFTER_SPECTRA,
    AFTER_SVD,
    AFTER_WEIGHTS,
    DEFAULT_CONTROLS,
    TINY,
    Files,
    Workflow,
    copy_run,
    messages,
    new_workflow,
    read_table,
)

pytest_plugins = ["workflow_fixtures"]

SHARED = "model=tiny/" + "/".join(f"{switch}=off" for switch in SWITCHES)
SVD = f"svd/{SHARED}"


def test_two_clean_runs_give_the_same_bytes(finished: Workflow, project: Path, tmp_path: Path) -> None:
    # Other directory, other time, other number of threads.
    other = new_workflow(project, tmp_path / "other")
    run = other.finish("--cores", "1")
    assert "%|" not in run.printed, "a progress bar off a terminal"
    first, second = finished.artefacts(), other.artefacts()
    assert first.keys() == second.keys()
    assert {Path(name).suffix for name in first} >= {".parquet", ".csv", ".pdf", ".png"}
    assert [name for name in first if first[name] != second[name]] == []


def test_a_second_run_has_nothing_to_do(finished: Workflow) -> None:
    run = finished.finish()
    assert "Nothing to be done" in run.printed
    assert not run.jobs


# What is changed in the configuration, and the rules that depend on it. All of it is in the report.
CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "cluster_tolerance": ({"cluster_tolerance": 0.05}, {"tabulate_spectra"} | AFTER_SPECTRA),
    "weight_noise": ({"weight_noise": 0.1}, {"measure_stability", "tabulate_spectra"} | AFTER_SPECTRA),
    "no stability": ({"stability": False}, {"tabulate_spectra"} | AFTER_SPECTRA),
    "level": ({"labellers": {"coherence": {"level": 0.1}}}, {"label_directions"} | AFTER_LABELS),
    "token_table_tokens": ({"figures": {"token_table_tokens": 5}}, {"plot_token_table"}),
    "tokens": ({"tokens": 30}, {"project_directions"} | AFTER_LISTS),
    "random_directions": ({"random_directions": 40}, {"project_directions"} | AFTER_LISTS),
    "rotated_directions": ({"rotated_directions": 40}, {"project_directions"} | AFTER_LISTS),
    "basis": ({"basis": "varimax"}, {"rotate_directions", "project_directions"} | AFTER_LISTS),
    "controls": (
        {"controls": ["random_unit"]},
        {"project_directions", "list_paper_figures", "list_files"} | AFTER_LISTS,
    ),
    "seed": ({"seed": 1}, {"project_directions"} | AFTER_LISTS),
    "directions": ({"directions": 4}, AFTER_WEIGHTS),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_repeats_what_depends_on_it(change: str, finished: Workflow) -> None:
    config, rules = CHANGES[change]
    assert finished.finish("--dry-run", config=config).rules == rules | {"make_report_pages"}


def test_a_model_that_is_not_swept_repeats_nothing(finished: Workflow) -> None:
    assert not finished.finish("--dry-run", config={"models": {"other": {"path": "elsewhere"}}}).jobs


def test_a_sweep_of_the_varimax_basis_has_its_directions_everywhere(finished: Workflow, tmp_path: Path) -> None:
    """Lists, controls, figures, explorer and exports are of it; spectra stay those of the SVD."""
    workflow = copy_run(finished, tmp_path)
    config = {"basis": "varimax", "sweep": {"matrices": ["ov"]}, "figures": {"select": ["controls", "basis"]}}
    export = "results/exports/tiny/raw/ov_L0_H1_write"
    run = workflow.finish("all", f"{export}.json", f"{export}.csv", config=config)
    assert not run.rules & {"decompose_matrices", "tabulate_spectra", "measure_stability"}
    tokens = read_table(workflow.results / "tokens/model=tiny/setting=raw/ov.parquet")
    assert read_metadata(workflow.results / "tokens/model=tiny/setting=raw/ov.parquet")["basis"] == "varimax"
    before = read_table(finished.results / "tokens/model=tiny/setting=raw/ov.parquet")
    assert len(tokens) == len(before) and not tokens["token_ids"].equals(before["token_ids"])
    vectors = load_file(workflow.results / "varimax" / SHARED / "ov.safetensors")["right"][0, 1]
    exported = json.loads((workflow.directory / f"{export}.json").read_text("utf-8"))
    np.testing.assert_allclose(exported["vectors"][0], vectors[0], rtol=0, atol=1e-6)
    values = pd.read_csv(workflow.directory / f"{export}.csv", encoding="utf-8-sig")["singular_value"]
    assert len(values) and values.isna().all()
    assert '"basis":"varimax"' in (workflow.results / "explorer/data/catalogue.js").read_text("utf-8").replace(" ", "")
    drawn = pd.read_csv(workflow.results / "figures/basis_raw.csv")
    assert set(drawn["source"]) == {"singular", "rotated", "random_unit"}


def test_a_sweep_may_leave_out_stability_and_controls(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_run(finished, tmp_path)
    config = {"stability": False, "controls": ["random_unit"], "sweep": {"matrices": ["mlp_in"]}}
    config["figures"] = {"select": "all"}
    for directory in ("controls", "stability"):
        for path in workflow.results.glob(f"{directory}/**/mlp_in.*"):
            path.unlink()
    run = workflow.finish(config=config)
    assert not run.rules & {"measure_stability", "decompose_matrices", "plot_random_table", "plot_near_degenerate"}
    assert not list(workflow.results.glob("stability/**/mlp_in.*"))
    # Of the sweep before, ov and mlp_out are still there, and told apart.
    before = len(DEFAULT_CONTROLS) + 3  # spectra, tokens and labels
    said = f"svdlens: {2 * before} files are of other configurations than this sweep, such as results/controls/"
    assert said in run.printed
    files = pd.read_csv(workflow.results / "tables/files.csv")
    for name in ("spectra", "tokens", "controls", "labels"):
        chosen = [str(workflow.directory / path) for path in files.loc[files["data_set"] == name, "path"]]
        part, whole = pd.read_parquet(chosen, partitioning="hive"), pd.read_parquet(workflow.results / name)
        assert set(part["matrix"]) == {"mlp_in"} < set(whole["matrix"])
        assert set(part["model"].astype(str)) == {"tiny"}
    spectra = read_table(workflow.results / "spectra/model=tiny/setting=raw/mlp_in.parquet").to_pandas()
    assert spectra[["stability_noise", "stability_float32"]].isna().all(axis=None)
    unchanged = read_table(finished.results / "spectra/model=tiny/setting=raw/mlp_in.parquet").to_pandas()
    assert spectra.drop(columns=["stability_noise", "stability_float32"]).equals(
        unchanged.drop(columns=["stability_noise", "stability_float32"])
    )
    assert {path.name for path in workflow.results.glob("controls/**/mlp_in.*")} == {"mlp_in.random_unit.parquet"}
    controls = read_table(workflow.results / "tables/control_labels.parquet")["control"]
    assert set(controls.to_pylist()) == {"random_unit"}
    # Singular directions are read and labelled as before; the figure of the controls draws those that there are.
    for name in ("tokens", "labels"):
        file = "mlp_in.parquet" if name == "tokens" else "mlp_in.coherence.parquet"
        tables = [read_table(run.results / f"{name}/model=tiny/setting=raw/{file}") for run in (workflow, finished)]
        assert tables[0].equals(tables[1]), name
    drawn = pd.read_csv(workflow.results / "figures/controls_raw.csv")
    assert not set(DEFAULT_CONTROLS) - {"random_unit"} & set(drawn.astype(str).stack())
    missing = (workflow.results / "report/not_made.html").read_text("utf-8")
    for name in ("control rotated", "control gaussian", "figure random_table", "figure near_degenerate"):
        assert name in missing


def outputs(run: Any, rule: str) -> list[str]:
    return [path for job in run.jobs if job.rule == rule for path in job.paths("output")]


@pytest.mark.slow
def test_one_head_alone_has_the_vectors_and_lists_that_it_has_in_the_whole(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_run(finished, tmp_path)
    place = "model=tiny/setting=raw/ov"
    asked = [f"spectra/{place}.parquet", f"labels/{place}.coherence.parquet", "exports/tiny/raw/ov_L0_H1_write.json"]
    one_head = {"sweep": {"heads": [1]}, "models": {"tiny": {"layers": [0]}}}
    run = workflow.finish(*(f"results/{path}" for path in asked), config=one_head)
    assert run.rules <= AFTER_WEIGHTS | {"export_directions"} and "decompose_matrices" in run.rules
    assert all("matrix=mlp" not in job.description for job in run.jobs)

    whole, one = (
        load_file(finished.results / SVD / "ov.safetensors"),
        load_file(workflow.results / SVD / "ov.safetensors"),
    )
    assert (one.pop("layers").tolist(), one.pop("heads").tolist()) == ([0], [1])
    assert one.keys() == whole.keys() and all(one[name].tobytes() == whole[name][:1, 1:2].tobytes() for name in one)
    for table in ("spectra", "tokens"):
        tables = [read_table(each.results / f"{table}/{place}.parquet") for each in (finished, workflow)]
        of_head = [rows.filter(pc.equal(rows["head"], 1)).replace_schema_metadata() for rows in tables]
        assert of_head[1].num_rows == tables[1].num_rows < tables[0].num_rows
        assert of_head[0].equals(of_head[1])
    # What is drawn from the matrices is of this one, and labels are calibrated on its lists.
    rotated = read_table(workflow.results / f"controls/{place}.rotated.parquet")
    assert set(rotated["head"].to_pylist()) == {1}
    labels = read_table(workflow.results / f"labels/{place}.coherence.parquet")
    assert set(labels["head"].to_pylist()) == {1}
    export = json.loads((workflow.results / asked[-1]).read_text("utf-8"))
    assert np.allclose(export["vectors"][0], whole["right"][0, 1, 0], atol=1e-6)

    wrong = workflow.run(f"results/spectra/{place}.parquet", config={"sweep": {"heads": [1, 7]}})
    assert wrong.status != 0
    said = messages(wrong)
    assert said and all("`heads` of models.tiny, or else of the sweep, asks for 7" in message for message in said)
    assert "decompose_matrices" in wrong.rules and "tabulate_spectra" not in wrong.rules


def test_a_further_setting_or_table_adds_views_and_repeats_no_svd(finished: Workflow) -> None:
    # `unembed` shares every SVD with `raw`, and every list of tokens: nothing is projected, labelled or scored again.
    wider = finished.finish("--dry-run", config={"sweep": {"settings": ["raw", "unembed"]}})
    views = {"view_tokens": 3, "view_labels": 3, "tabulate_spectra": 3}
    collected = {"spectra", "tokens", "labels", "control_labels", "fractions", "scores", "agreement"}
    once = {f"collect_{table}" for table in collected} | AFTER_FRACTIONS | {"plot_spectra", "plot_token_table"}
    once |= {"list_files"}
    assert wider.counts == views | dict.fromkeys(once, 1)
    assert not any("setting=raw" in path for rule in views for path in outputs(wider, rule))

    tables = [*TINY["token_tables"], {"matrix": "mlp_in", "layer": 0}]
    another = finished.finish("--dry-run", config={"models": {"tiny": {"token_tables": tables}}})
    once = {"check_token_tables", "plot_token_table", "list_paper_figures", "make_report_pages"}
    assert another.counts == dict.fromkeys(once, 1)


def test_settings_that_share_lists_have_the_tables_that_each_has_alone(finished: Workflow, tmp_path: Path) -> None:
    """The same bytes; and the scores of `unembed` are those of W_U centred over the vocabulary."""
    together, alone = (copy_run(finished, tmp_path / name) for name in ("together", "alone"))
    run = together.finish(
        "tokens", "labels", config={"sweep": {"matrices": ["mlp_out"], "settings": ["raw", "unembed", "post2022"]}}
    )
    # The gain before MLP-in is nothing to MLP-out.
    assert run.counts == {"view_tokens": 2, "view_labels": 2}
    shutil.rmtree(alone.results / "by_switches")
    run = alone.finish("tokens", "labels", config={"sweep": {"matrices": ["mlp_out"], "settings": ["unembed"]}})
    assert run.counts == dict.fromkeys(("project_directions", "view_tokens", "label_directions", "view_labels"), 1)

    found = sorted(path.relative_to(alone.results) for path in alone.results.rglob("setting=unembed/*.parquet"))
    assert len(found) == 1 + len(DEFAULT_CONTROLS) + 1
    for path in found:
        assert (together.results / path).read_bytes() == (alone.results / path).read_bytes(), path
        assert read_metadata(together.results / path)["setting"] == ["center_unembed"]
        same = Path(str(path).replace("setting=unembed", "setting=post2022"))
        raw = Path(str(path).replace("setting=unembed", "setting=raw"))
        assert read_table(together.results / same).equals(read_table(finished.results / raw)), same
        assert read_metadata(together.results / same)["setting"] == ["read_gain"]

    W_U = load_file(finished.directory / "source/model.safetensors")["wte.weight"].T.astype(float)
    W_U -= W_U.mean(axis=1, keepdims=True)
    scores = (
        np.repeat(load_file(finished.results / SVD / "mlp_out.safetensors")["right"][0].astype(float), 2, axis=0) @ W_U
    )
    scores[1::2] *= -1
    tokens = read_table(together.results / "tokens/model=tiny/setting=unembed/mlp_out.parquet").to_pandas()
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :50]
    assert np.array_equal(np.stack(tokens["token_ids"]), ids)
    error = np.abs(np.stack(tokens["scores"]) - np.take_along_axis(scores, ids, axis=1)).max()
    assert error < 1e-5 * np.abs(scores).max()
    assert (tokens["mean_score"] == 0).all()


# Rules with a job for each kind of matrix.
MANY = {"decompose_matrices", "measure_stability", "tabulate_spectra", "project_directions", "view_tokens"}
MANY |= {"label_directions", "view_labels", "score_labels", "compare_labellers"}
# Names that elsewhere would be read as numbers.
OTHERS: dict[str, dict[str, Any]] = {
    "2024": {"architecture": "bert", "settings": ["raw"], "readouts": ["W_E"]},
    "1e5": {"architecture": "llama", "settings": ["post2022"], "matrices": ["qk", "mlp_gate"]},
}


def test_models_of_other_architectures_join_a_sweep_whatever_their_names(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_run(finished, tmp_path)
    for name, model in OTHERS.items():
        make_tiny(model["architecture"], workflow.directory / name)
    tables = {"2024": [{"matrix": "mlp_out", "layer": 0}], "1e5": [{"matrix": "qk", "layer": 0, "head": 1}]}
    models = {name: model | {"path": name, "token_tables": tables[name]} for name, model in OTHERS.items()}
    config = {"models": models, "sweep": {"models": ["tiny", *OTHERS]}}
    run = workflow.finish(config=config)
    # What was there is not done again.
    per_model = {"fetch_model", "extract_weights", "decode_tokens", "classify_tokens", "embed_tokens", "embed_labels"}
    per_model.add("check_token_tables")
    once = AFTER_WEIGHTS - MANY - per_model | {"list_paper_figures", "list_files"}
    assert run.counts == dict.fromkeys(per_model, 2) | dict.fromkeys(MANY, 3 + 2) | dict.fromkeys(once, 1)

    places = {
        ("tiny", "raw", "W_U"): {"ov", "mlp_in", "mlp_out"},
        ("2024", "raw", "W_E"): {"ov", "mlp_in", "mlp_out"},
        ("1e5", "post2022", "W_U"): {"qk", "mlp_gate"},
    }
    for name in ("tokens", "labels", "fractions", "scores", "agreement"):
        whole = read_table(workflow.results / f"tables/{name}.parquet").to_pandas()
        found = whole.groupby(["model", "setting", "readout"], observed=True)["matrix"].agg(set)
        assert found.to_dict() == places, name
    drawn = pd.read_csv(workflow.results / "figures/fraction_by_model.csv")
    assert drawn.groupby(["model", "setting", "readout"])["matrix"].agg(set).to_dict() == places
    assert not drawn["labeller_network"].any()
    figures = workflow.results / "figures"
    assert (figures / "2024/raw/token_table_mlp_out_L0.png").exists()
    assert (figures / "1e5/post2022/token_table_qk_L0_H1.png").exists()

    # With rotary positions QK is not all of the attention pattern, and the table says so.
    for matrix in ("qk", "mlp_gate"):
        facts = read_metadata(workflow.results / f"tokens/model=1e5/setting=post2022/{matrix}.parquet")
        assert ("content term at relative position 0" in facts.get("qk", "")) == (matrix == "qk")

    # Nor are their names numbers to who opens the directories as data sets.
    for directory in ("spectra", "tokens", "controls", "labels"):
        whole = pd.read_parquet(workflow.results / directory)
        assert set(whole["model"].astype(str)) == {"tiny", "2024", "1e5"}

    # What a change of one repeats is of this one, or of all together.
    make_tiny_gpt2(workflow.directory / "source", seed=1)
    run = workflow.finish("--dry-run", config=config)
    once -= {"list_paper_figures", "list_files"}
    assert run.counts == dict.fromkeys(per_model, 1) | dict.fromkeys(MANY, 3) | dict.fromkeys(once, 1)


def run_script(name: str, finished: Workflow, output: dict[str, Path], **inputs: Path) -> None:
    """A script on OV of the finished sweep, in this process and with two read-outs; `inputs` in place of its own."""
    results = finished.results
    vocabulary = results / "vocabulary/tiny"
    own = {
        "provenance": results / "models/tiny/provenance.json",
        "svd": results / SVD / "ov.safetensors",
        "gains": results / "weights/tiny/gains.safetensors",
        "unembed": results / "weights/tiny/unembed.safetensors",
        "tokens": vocabulary / "tokens.parquet",
        "features": vocabulary / "features.parquet",
        "classes": vocabulary / "classes.parquet",
        "embeddings": vocabulary / "embeddings.safetensors",
        "lists": results / "by_switches/tokens" / SHARED / "ov.parquet",
        "varimax": [],
        "parts": [],
    }
    params = {
        "code": "0",
        "seed": 0,
        "tokens": 50,
        "basis": "svd",
        "controls": dict.fromkeys(DEFAULT_CONTROLS, 50),
        "readouts": ["W_E", "W_U"],
    }
    params |= {"parameters": {"level": 0.05}, "choice": {"sides": None, "signs": None, "directions": None}}
    smk = SimpleNamespace(
        threads=1,
        wildcards=Files({"matrix": "ov", "labeller": "coherence", **dict.fromkeys(SWITCHES, "off")}),
        input=Files(own | inputs),
        output=Files(output),
        resources={},
        params=SimpleNamespace(**params),
    )
    importlib.import_module(name).main(smk)


def test_each_readout_has_its_tokens_and_labels(finished: Workflow, tmp_path: Path) -> None:
    lists, labels = tmp_path / "lists.parquet", tmp_path / "labels.parquet"
    run_script("project_directions", finished, {"lists": lists})
    run_script("label_directions", finished, {"labels": labels}, lists=lists)
    # Those of W_U are what they are alone.
    for path, same in ((lists, f"tokens/{SHARED}/ov.parquet"), (labels, f"labels/{SHARED}/ov.coherence.parquet")):
        rows, expected = read_table(path), read_table(finished.results / "by_switches" / same)
        assert len(rows) == 2 * len(expected)
        through_W_U = rows.filter(pc.field("readout") == "W_U")
        assert list(map(str, through_W_U.to_pylist())) == list(map(str, expected.to_pylist()))

    # Those of W_E, against the rows of the checkpoint's embedding, which meet the reading side after the gain.
    checkpoint = load_file(finished.directory / "source/model.safetensors")
    W_E, gain = checkpoint["wte.weight"].astype(float), checkpoint["h.0.ln_1.weight"].astype(float)
    svd = load_file(finished.results / SVD / "ov.safetensors")
    rows = read_table(lists).filter((pc.field("readout") == "W_E") & pc.field("control").is_null())
    for row in rows.to_pylist():
        array = svd["left" if row["side"] == "read" else "right"]
        vector = array[row["layer"], row["head"], row["index"]].astype(float)
        scores = row["sign"] * W_E @ (vector * gain if row["side"] == "read" else vector)
        assert row["scores"] == pytest.approx(np.sort(scores)[::-1][:50], rel=1e-5)
        assert scores[row["token_ids"]] == pytest.approx(row["scores"], rel=1e-5)


def test_labels_of_the_labellers_own_network_say_so(finished: Workflow, tmp_path: Path) -> None:
    # Embeddings that claim to come from the tiny model.
    weights = hashlib.sha256((finished.directory / "source/model.safetensors").read_bytes()).hexdigest()
    file = finished.results / "vocabulary/tiny/embeddings.safetensors"
    embeddings, facts_of_embeddings = load_file(file), json.loads(safe_open(file, "numpy").metadata()["svdlens"])
    labels = tmp_path / "labels.parquet"
    for network in (weights, "0" * 64):
        facts = facts_of_embeddings | {"minilm_sha256": network}
        save_file(embeddings, tmp_path / "embeddings.safetensors", {"svdlens": json.dumps(facts)})
        files = {"embeddings": tmp_path / "embeddings.safetensors"}
        run_script("label_directions", finished, {"labels": labels}, **files)
        assert read_metadata(labels)["labeller_network"] == (network == weights)


def test_a_changed_model_repeats_everything(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_run(finished, tmp_path)
    make_tiny_gpt2(workflow.directory / "source", seed=1)
    rules = {"fetch_model", "check_token_tables", "extract_weights", "decode_tokens", "classify_tokens", "embed_tokens"}
    assert workflow.finish("--dry-run").rules == rules | AFTER_WEIGHTS


def test_what_a_model_is_is_decided_by_its_content(
    tiny: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by dates, nor by where it is: neither one under ~ nor one in a package."""

    def place(name: str) -> Path:
        """A home directory, and one that Python imports from, with a model each."""
        make_tiny_gpt2(tmp_path / name / "models/x")
        make_tiny_gpt2(tmp_path / name / "packages/carries_a_model/model", seed=1)
        (tmp_path / name / "packages/carries_a_model/__init__.py").touch()
        return tmp_path / name

    def move_to(home: Path) -> None:
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("PYTHONPATH", str(home / "packages"))

    models = {"at_home": {"path": "~/models/x"}, "packaged": {"package": "carries_a_model"}}
    config = {"models": models, "sweep": {"models": ["at_home", "packaged"]}}
    move_to(place("one"))
    assert tiny.finish("models", config=config).counts == {"fetch_model": 2}
    # The same files elsewhere, and newer.
    other = place("other")
    move_to(other)
    assert not tiny.finish("--dry-run", "models", config=config).jobs
    # Another checkpoint, with the dates of the one before it (cp -p, rsync -a).
    for seed, directory in enumerate((other / "models/x", other / "packages/carries_a_model/model"), start=2):
        make_tiny_gpt2(directory, seed=seed)
        for path in directory.iterdir():
            os.utime(path, (1e9, 1e9))
    fetched = [tiny.results / "models" / name / "model.safetensors" for name in models]
    before = [path.read_bytes() for path in fetched]
    assert tiny.finish("models", config=config).counts == {"fetch_model": 2}
    assert all(path.read_bytes() != content for path, content in zip(fetched, before, strict=True))
    assert not tiny.finish("--dry-run", "models", config=config).jobs


def test_without_the_raw_weights_a_change_after_the_svd_repeats_the_svd(finished: Workflow, tmp_path: Path) -> None:
    # The price of deleting them: extract_weights writes all weights, so for Snakemake all that was made from them is
    # stale. What needs no weights is still not dearer.
    workflow = copy_run(finished, tmp_path, leave_out="weights")
    rules = {"extract_weights", "classify_tokens", "embed_tokens", "make_report_pages"} | AFTER_WEIGHTS
    assert workflow.finish("--dry-run", config={"tokens": 30}).rules == rules
    config, rules = CHANGES["level"]
    assert workflow.finish("--dry-run", config=config).rules == rules


@pytest.fixture(scope="module")
def with_report(finished: Workflow, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, Path]:
    """A copy of the run with every figure, and the directory of its report, unpacked."""
    directory = tmp_path_factory.mktemp("report")
    workflow, everything = copy_run(finished, directory), {"figures": {"select": "all"}}
    workflow.finish(config=everything)
    workflow.finish("--report", str(directory / "report.zip"), config=everything)
    with zipfile.ZipFile(directory / "report.zip") as report:
        report.extractall(directory)
    return workflow, directory / "report"


def test_a_report_can_be_made(with_report: tuple[Workflow, Path]) -> None:
    workflow, report = with_report
    figures = {path.stem for path in workflow.results.rglob("figures/**/*.png")}
    for kind in ("pdf", "csv"):
        assert {path.stem for path in workflow.results.rglob(f"figures/**/*.{kind}")} == figures
    names = {path.name for path in report.rglob("*")}
    page = (report / "report.html").read_text("utf-8")
    pages = ("method", "configuration", "models", "not_made", "fractions", "scores", "agreement", "paper_figures")
    assert names >= {f"{figure}.png" for figure in figures} | {f"{name}.html" for name in pages}
    assert all(rule in page for rule in AFTER_SVD)


@pytest.mark.browser
def test_the_report_opens_in_firefox(with_report: tuple[Workflow, Path], tmp_path: Path) -> None:
    _, report = with_report
    name = "[...document.querySelectorAll('a, button, div, span')].find((one) => one.textContent.trim() === 'Spectra')"
    with firefox(tmp_path / "profile") as browser:
        browser.open((report / "report.html").as_uri())
        browser.wait("document.body.innerText.includes('Kinds of lists')")
        assert "Millidge & Black" in browser.run("return document.body.innerText")
        browser.run(f"{name}.click()")
        browser.wait("document.body.innerText.includes('spectrum growth')")
        assert browser.complaints("file:") == []
