"""Whatever is wrong, the workflow says it once, with the way out, writes no halves, and goes on after the repair."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from svdlens.weights.extraction import GROUPS
from tiny import make_tiny_gpt2
from workflow import Workflow, copy_run, hidden_files, messages, mounted
from wrong_configurations import WRONG

pytest_plugins = ["workflow_fixtures"]

# Which figures there are is asked only where there are rules for them.
FIGURE = (
    {"figures": {"select": ["spectrum"]}},
    ("figures.select", "'spectrum' is no figure", "Did you mean 'spectra'?"),
)
CONFIGURATIONS = WRONG | {"figure": FIGURE}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_wrong_configuration_stops_before_anything_runs(case: str, tiny: Workflow) -> None:
    config, parts = CONFIGURATIONS[case]
    run = tiny.run(config=config)
    assert run.status != 0
    assert "Traceback" not in run.printed
    [message] = messages(run)
    assert message.startswith(("configuration: ", "configuration in "))
    # The message ends what is printed: no code of the rules follows.
    assert run.printed.rstrip().endswith(message)
    assert all(part in message for part in parts), message
    assert not tiny.results.exists()


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (
            "tokens/model=tiny/setting=fold/ov.parquet",
            ("settings.fold uses read_center", "`models.tiny.settings: [raw]`"),
        ),
        ("weights/tiny/fold.safetensors", ("settings.fold uses read_center", "`models.tiny.settings: [raw]`")),
        ("exports/tiny/raw/ov_L0_write.json", ("has no head", "ov_L{layer}_H{head}_{side}")),
        ("exports/tiny/raw/ov_L00_H1_write.json", ("'ov_L00_H1_write' is written 'ov_L0_H1_write'",)),
        # The model is not fetched yet, but what it is, its directory says.
        ("exports/tiny/raw/ov_L0_H99_write.json", ("tiny has no head 99 (of 2, counted from 0)",)),
        ("effects/model=tiny/setting=raw/qk.parquet", ("effects are of ov, mlp_in, mlp_gate, mlp_out",)),
        ("cards/model=tiny/setting=raw/mlp_in.parquet", ("cards are of directions that read and write",)),
        ("labels/model=tiny/setting=raw/ov.published.parquet", ("published has no labels of ov of tiny",)),
    ],
)
def test_a_file_outside_of_the_sweep_must_be_one_that_the_model_can_have(
    path: str, parts: tuple[str, ...], tiny: Workflow
) -> None:
    architecture = "gpt2" if "_H99_" in path else "llama"
    run = tiny.run(f"results/{path}", config={"models": {"tiny": {"architecture": architecture}}})
    assert run.status != 0
    [message] = messages(run)
    assert all(part in message for part in parts), message
    assert run.printed.rstrip().endswith(message)
    assert not tiny.results.exists()
    # And the next run is not told that the directory is locked.
    assert not list(tiny.directory.glob(".snakemake/locks/*"))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["tabels"], ("'tabels' is no target", "Did you mean 'tables'?")),
        (["tables", "--forcerun", "colect_tokens"], ("'colect_tokens' is no target", "Did you mean 'collect_tokens'?")),
        (
            ["results/figures/agreement_raw.png"],
            ("no two labellers label the same lists; add a labeller to sweep.labellers",),
        ),
        (["tokens", "results/controls/model=tin/setting=raw/ov.random_unit.parquet"], ("Did you mean 'model=tiny'?",)),
    ],
)
def test_what_no_rule_makes_is_said_with_the_nearest_name(
    arguments: list[str], parts: tuple[str, ...], tiny: Workflow
) -> None:
    run = tiny.run(*arguments)
    assert run.status != 0
    [message] = messages(run)
    assert all(part in message for part in parts), message
    assert run.printed.rstrip().endswith(message)
    assert not tiny.results.exists()


@pytest.mark.parametrize("target", [["examples"], ["on_prompt", "examples"], ["effects"]])
def test_what_takes_a_next_token_says_so_where_no_model_predicts_one(target: list[str], tiny: Workflow) -> None:
    encoder = {"architecture": "bert", "settings": ["raw"], "readouts": ["W_E"]}
    run = tiny.run("--dry-run", *target, config={"models": {"tiny": encoder}, "prompts": {"fire": "The fire"}})
    assert run.status != 0
    [message] = messages(run)
    assert "a next token" in message and "Name " in message


def infinite_weights(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    tensors["h.0.mlp.c_fc.weight"][3, 5] = np.nan
    save_file(tensors, directory / "model.safetensors")


@pytest.mark.slow
def test_a_wrong_model_is_refused_and_the_others_go_on(tiny: Workflow) -> None:
    # Every way in which a model can be wrong is in tests/models/test_checks.py; here, what the workflow makes of it.
    place = tiny.directory
    make_tiny_gpt2(place / "pickle", seed=1)
    (place / "pickle/model.safetensors").rename(place / "pickle/pytorch_model.bin")
    infinite_weights(make_tiny_gpt2(place / "nan", seed=2))
    names = ["tiny", "nowhere", "pickle", "nan"]
    wrong = {"models": {name: {"path": name} for name in names[1:]}, "sweep": {"models": names}}

    run = tiny.run("models", "--keep-going", config=wrong)
    assert run.status != 0
    said = {message.split("'")[1]: message for message in messages(run)}
    assert len(messages(run)) == len(said) == 3
    assert "no such directory" in said["nowhere"]
    assert "pytorch_model.bin" in said["pickle"]
    assert "save_pretrained" in said["pickle"]
    assert "h.0.mlp.c_fc.weight" in said["nan"]
    # Published is the sound model alone.
    assert [path.name for path in (tiny.results / "models").iterdir()] == ["tiny"]
    assert not hidden_files(tiny.results)

    # After the repair, only what failed is done.
    for seed, name in enumerate(names[1:], start=1):
        make_tiny_gpt2(place / name, seed=seed)
    repaired = tiny.finish("models", config=wrong)
    assert repaired.counts == {"fetch_model": 3}
    assert all((tiny.results / "models" / name / "provenance.json").exists() for name in names)


def test_what_a_model_has_lost_is_fetched_again_where_it_is_needed(tiny: Workflow) -> None:
    made = ["results/vocabulary/tiny/tokens.parquet", "results/checks/token_tables_tiny.txt"]
    made += [f"results/weights/tiny/{group}.safetensors" for group in (*GROUPS, "steps")]
    tiny.finish("--notemp", *made)
    before = tiny.artefacts()
    model = tiny.results / "models/tiny"
    for path in model.iterdir():
        if path.name != "provenance.json":
            path.unlink()
    assert not tiny.finish("--dry-run", *made).jobs
    for path in made:
        (tiny.directory / path).unlink()
    # Of all that need them at once, one fetches them, and nothing else is made anew.
    run = tiny.finish("--notemp", *made)
    assert run.counts == {"decode_tokens": 1, "check_token_tables": 1, "extract_weights": 1}
    [message] = messages(run)
    assert "tokenizer_config.json of results/models/tiny are gone or damaged, and fetched again" in message
    assert tiny.artefacts() == before


TABLES = {
    "models": {
        "tiny": {"token_tables": [{"matrix": "ov", "layer": 0, "head": 1}, {"matrix": "ov", "layer": 99, "head": 0}]}
    }
}


@pytest.mark.slow
def test_a_token_table_of_no_layer_is_said_before_anything_is_decomposed(tiny: Workflow) -> None:
    run = tiny.run(config=TABLES)
    assert run.status != 0
    [message] = messages(run)
    assert "models.tiny.token_tables.1 has layer 99 (of 1, counted from 0)" in message
    at_most = {"fetch_model", "check_token_tables", "extract_weights", "decode_tokens"}
    assert run.rules <= at_most | {"list_paper_figures", "list_files"}


@pytest.mark.slow
def test_and_costs_no_other_picture(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_run(finished, tmp_path)
    run = workflow.run("figures", "--keep-going", config=TABLES)
    assert run.status != 0
    assert run.counts == {"check_token_tables": 1, "plot_token_table": 1}
    pictures = workflow.results / "figures/tiny/raw"
    assert (pictures / "token_table_ov_L0_H1.png").stat().st_size > 2 * (
        pictures / "token_table_ov_L99_H0.png"
    ).stat().st_size
    assert len((pictures / "token_table_ov_L0_H1.csv").read_text().splitlines()) > 100
    assert len((pictures / "token_table_ov_L99_H0.csv").read_text().splitlines()) == 1


def test_results_may_not_be_a_file(tiny: Workflow) -> None:
    tiny.results.write_text("mine")
    run = tiny.run("models")
    assert run.status != 0
    assert "Traceback" not in run.printed
    [message] = messages(run)
    assert f"{tiny.results} is a file" in message
    assert "Move the file away" in message
    assert tiny.results.read_text() == "mine"


def check_read_only(workflow: Workflow) -> None:
    run = workflow.run("models")
    assert run.status != 0
    assert "Traceback" not in run.printed
    [message] = messages(run)
    assert f"{workflow.results} is read-only" in message
    assert "chmod" in message
    assert "--directory" in message
    assert not run.counts
    assert not list(workflow.results.iterdir())


def test_read_only_results_are_reported_once(tiny: Workflow) -> None:
    tiny.results.mkdir()
    if os.geteuid() == 0:  # whom the permissions of a directory do not stop
        with mounted(tiny.results, "ro"):
            check_read_only(tiny)
        return
    tiny.results.chmod(0o555)
    try:
        check_read_only(tiny)
    finally:
        tiny.results.chmod(0o755)


@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_next_run_goes_on(tiny: Workflow) -> None:
    with mounted(tiny.results, "size=512k"):
        # Full to the last byte: not even the log can be written.
        filler = tiny.results / "filler"
        with filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)) if shutil.disk_usage(tiny.results).free else 0:
                pass
        run = tiny.run("models")
        assert run.status != 0
        [message] = messages(run)
        assert "cannot write results/" in message
        assert "the disk is full. Free some space" in message
        assert not (tiny.results / "models/tiny/provenance.json").exists()
        assert not hidden_files(tiny.results)

        filler.unlink()
        tiny.finish("models")
        for path in (tiny.directory / "source").iterdir():
            assert (tiny.results / "models/tiny" / path.name).read_bytes() == path.read_bytes()
