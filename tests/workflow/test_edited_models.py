"""`snakemake edits` and `snakemake edited_model`: an edit measured, drawn and saved."""

import csv
import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

import save_edited_model
from svdlens.artefacts import table_schemas as schemas
from svdlens.artefacts.table_schemas import read_metadata
from svdlens.edit.hooks import edited
from svdlens.edit.vectors import edited_matrices, updates_of
from svdlens.models.load import load_model
from svdlens.spec.settings import SWITCHES, setting_from_names
from workflow import PROJECT, Workflow, copy_run, messages, read_table

pytest_plugins = ["workflow_fixtures"]

EDIT: dict[str, Any] = {
    "model": "tiny",
    "setting": "raw",
    "directions": [{"matrix": "ov", "layer": 0, "head": 1, "index": 2}, {"matrix": "mlp_in", "layer": 0, "index": 0}],
    "eps": -0.75,
    "text": "mine.txt",
    "prompts": "mine.jsonl",
}
DIRECT: dict[str, Any] = {key: value for key, value in EDIT.items() if key != "prompts"} | {
    "directions": [{"matrix": "mlp_out", "layer": 0, "index": 1, "sign": -1}],
    "eps": -1,
    "path": "direct",
}
# What a query finds in what writes; at this level random directions are found.
TRACED = DIRECT | {"directions": {"trace": "ab", "top": 2}, "eps": "proportional"}
TRACE: dict[str, Any] = {"queries": {"ab": ["ab"]}, "level": 0.999}
IDS = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(0))
MADE = {"choose_directions", "measure_edit", "save_edited_model"}
DRAWN = {"plot_edit_effect", "plot_edit_spectrum", "plot_edit_dose"}


def write_files(directory: Path, prompts: str = '{"prompt": "the sea is", "targets": ["a", "b"]}\n') -> None:
    (directory / "mine.txt").write_text("the cat sat on the mat and looked at the sea. " * 20)
    (directory / "mine.jsonl").write_text(prompts)


def benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PROJECT / f"benchmarks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_edit_is_measured_drawn_and_saved(
    finished: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = copy_run(finished, tmp_path, own_project=False)
    prompts = [{"prompt": prompt, "targets": ["a", "b"]} for prompt in ("the sea is", "a cat", "on the mat", "he sat")]
    write_files(workflow.directory, "".join(f"{json.dumps(one)}\n" for one in prompts))
    config = {"edits": {"mine": EDIT | {"eps": "fitted"}, "direct": TRACED}, "trace": TRACE}

    (workflow.results / "models/tiny/tokenizer.json").unlink()  # and it is fetched again
    run = workflow.finish("edits", "results/edits/mine/model", config=config)
    assert run.rules == MADE | DRAWN | {"tokenize_queries", "trace_queries"}, run.printed
    for name in config["edits"]:
        place = workflow.results / "edits" / name
        for table, schema in (
            ("directions", schemas.EDIT_DIRECTIONS), ("effect", schemas.EDIT_EFFECT), ("summary", schemas.EDIT_SUMMARY),
            ("dose", schemas.EDIT_DOSE), ("spectrum", schemas.EDIT_SPECTRUM),
        ):  # fmt: skip
            found = read_table(place / f"{table}.parquet")
            assert found.schema.equals(schema) and len(found), (name, table)
        with (place / "continuations.csv").open() as file:
            assert {row["targets"] for row in csv.DictReader(file)} == {"concept", "opposite"}
        for figure in ("edit_effect", "edit_spectrum", "edit_dose"):
            assert (workflow.results / f"figures/tiny/raw/{figure}_{name}.png").stat().st_size > 10_000

    # An eps that was tried on other prompts than those in the tables.
    facts = read_metadata(workflow.results / "edits/mine/summary.parquet")
    eps = facts["eps"]
    assert eps in [tried["eps"] for tried in facts["fit"]]
    summary = pd.read_parquet(workflow.results / "edits/mine/summary.parquet").set_index("targets")
    assert (summary.loc["concept", "n_prompts"] == 2).all() and (summary.loc["opposite", "n_prompts"] == 16).all()
    dose = pd.read_parquet(workflow.results / "edits/mine/dose.parquet").set_index(["eps", "targets"])
    assert (dose.loc[0.0, "change"] == 0).all() and (dose.loc[eps, "change"] != 0).all()

    # What is found, in proportion to its cosines.
    found = pd.read_parquet(workflow.results / "edits/direct/directions.parquet")
    trace = pd.read_parquet(workflow.results / "trace/directions/model=tiny/setting=raw/directions.parquet")
    first = trace[trace["matrix"].isin(["ov", "mlp_out"]) & trace["found"]].iloc[0]
    assert (found.loc[0, ["matrix", "index", "sign", "cosine"]] == first[["matrix", "index", "sign", "cosine"]]).all()
    assert len(found) == 2 and found["matrix"].isin(["ov", "mlp_out"]).all()
    proportions = found["cosine"] / found["cosine"].max()
    assert found["proportion"].tolist() == pytest.approx(proportions.tolist()) and proportions.nunique() == 2
    assert read_metadata(workflow.results / "edits/direct/summary.parquet")["eps"] == -1

    # The saved model is the model under hooks, with the eps that was fitted.
    place = workflow.results / "edits/mine"
    model, setting = load_model(workflow.results / "models/tiny", "tiny"), setting_from_names("raw", [])
    svd = workflow.results / "svd/model=tiny" / "/".join(f"{switch}=off" for switch in SWITCHES)
    files = {matrix: str(svd / f"{matrix}.safetensors") for matrix in ("ov", "mlp_in", "mlp_out")}
    before = model(IDS).logits

    def under_hooks(directions: Path, eps: float) -> torch.Tensor:
        with edited(model, updates_of(model, setting, edited_matrices(pd.read_parquet(directions), files), eps)):
            return model(IDS).logits

    hooked = under_hooks(place / "directions.parquet", eps)
    assert (hooked - before).abs().max() > 1e-3
    torch.testing.assert_close(load_model(place / "model", "saved")(IDS).logits, hooked, rtol=0, atol=1e-5)
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(place / "model"), device="cpu", dtype=torch.float32)
    torch.testing.assert_close(bridge(IDS), hooked, rtol=0, atol=1e-5)
    umask = os.umask(0)
    os.umask(umask)
    assert (place / "model/model.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask

    # The same of an edit in proportion, by the path that weights have.
    matrices, proportional = found["matrix"].unique().tolist(), workflow.results / "edits/direct/directions.parquet"
    given = SimpleNamespace(
        input=SimpleNamespace(
            provenance=workflow.results / "models/tiny/provenance.json", directions=proportional,
            svd=[files[matrix] for matrix in matrices], fitted=[],
        ),
        params=SimpleNamespace(edit=config["edits"]["direct"], matrices=matrices, switches=[], source={}),
        output=SimpleNamespace(model=tmp_path / "proportional"),
    )  # fmt: skip
    save_edited_model.main(given)
    hooked = under_hooks(proportional, -1.0)
    assert (hooked - before).abs().max() > 1e-3
    torch.testing.assert_close(load_model(given.output.model, "saved")(IDS).logits, hooked, rtol=0, atol=1e-5)

    # Directions of the same run knocked out, and what attention and MLP write ablated.
    knockouts, edits = benchmark("knockouts"), benchmark("edits")
    sweep = edits.Sweep(workflow.results, "tiny", "raw", "ab", tokens=64, window=16)
    table = knockouts.knockouts(sweep, ["ov", "mlp_out"], 1, 0)
    alone = table[~table["cumulative"]].set_index("removed")
    shares, others = alone["share"], "not interpretable"
    assert shares["interpretable"] + shares[others] == pytest.approx(1) and shares["all that are stored"] == 1
    assert alone["energy"]["interpretable"] + alone["energy"][others] == pytest.approx(alone["energy"].max())
    assert all(shares[f"as many as {name}, at random"] == shares[name] for name in ("interpretable", others))
    assert table["perplexity"].gt(0).all() and len(table) == 2 * 9 and alone["perplexity"].nunique() > 3

    # Heads of the query removed; and a concept on repeated sequences and beside indirect objects.
    monkeypatch.setattr("svdlens.edit.prompt_sets.SEQUENCE", 6)  # the vocabulary has few words
    monkeypatch.setattr("svdlens.edit.prompt_sets.SENTENCES", ("{first} {second}, {subject} to",))  # and contexts
    heads = edits.heads(sweep)
    assert heads["removed"].tolist() == [0, 1, 2, 0] and set(heads["head"].dropna()) == {0, 1}
    assert heads["score"].iloc[1] >= heads["score"].iloc[2] and heads["perplexity"].nunique() == 3
    concept = {"concept": "one", "matrix": "ov", "layer": 0, "head": 1, "index": 2, "sign": 1}
    pd.DataFrame([concept]).to_csv(workflow.results / "benchmarks/edits_concepts.csv", index=False)
    [row] = edits.induction(sweep).to_dict("records")
    assert row["inside"] != 0 and row["difference"] == pytest.approx(row["inside"] - row["outside"])
    [row] = edits.indirect_objects(sweep, ("b", "c", "d")).to_dict("records")
    assert row["before"] != 0 and row["change low"] <= row["change"] <= row["change high"] and row["change"] != 0
    lines = (workflow.results / "benchmarks/indirect_objects.jsonl").read_text().splitlines()
    assert len(lines) == edits.SENTENCES and set(json.loads(lines[0])) == {"prompt", "targets"}
    [row] = edits.specificity(sweep).to_dict("records")
    assert row["removed"] == "one" and row["one"] != 0

    # Another text is another measurement, which may fit another eps, and nothing else.
    (workflow.directory / "mine.txt").write_text("a dog ran to the sea and barked at the moon. " * 20)
    run = workflow.finish("edits", "results/edits/mine/model", "--dry-run", config=config)
    assert run.rules == {"measure_edit", "save_edited_model", *DRAWN}


@pytest.mark.parametrize(
    ("target", "edits", "parts"),
    [
        ("edits", {}, ("there is no edit", "model: tiny, setting: raw")),
        (
            "edits",
            {"mine": TRACED},
            ("edits.mine.directions.trace: 'ab' is not looked for, because `query`", "Leave `query` out"),
        ),
        ("edits", {"mine": EDIT | {"text": "your.txt"}}, ("edits.mine.text: there is no file your.txt",)),
        ("edited_model", {"mine": DIRECT}, ("edits.mine.path: direct is no change of weights", "Write path: total")),
    ],
)
def test_what_cannot_be_made_is_said(
    target: str, edits: dict[str, Any], parts: tuple[str, ...], tiny: Workflow
) -> None:
    write_files(tiny.directory)
    config = {"edits": edits, "trace": TRACE, "query": ["aj"]}
    run = tiny.run("--dry-run", target, config=config)
    assert run.status != 0
    [message] = messages(run)
    assert all(part in message for part in parts), message
