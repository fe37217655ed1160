"""What a person types after the first run: every command of the README and docs/, and the code of docs/tasks.md."""

import re
import shlex
import subprocess
from argparse import Namespace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.numpy import load_file
from snakemake.cli import get_argument_parser

from svdlens.models.fetch import fetch_from_directory
from svdlens.spec.architectures import DEFAULT
from tiny import make_tiny_gpt2
from workflow import PROJECT, Workflow

pytest_plugins = ["workflow_fixtures"]

DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
DEMO = "profiles/demo/sweep.yaml"
# In a block of its own or within a sentence; without what stands behind it as a remark.
COMMAND = re.compile(
    r"^ {4}(?:echo .*|)((?:snakemake|make) [^\n]*?)(?: {2,}#.*)?$|`((?:snakemake|make) [^`]+)`", re.MULTILINE
)


def commands(program: str, *documents: Path) -> list[str]:
    """Every command of the program in the documents, as it is written there."""
    found = [one or other for path in documents for one, other in COMMAND.findall(path.read_text("utf-8"))]
    return sorted({" ".join(command.split()) for command in found if command.startswith(f"{program} ")})


def parsed(command: str) -> Namespace:
    """As Snakemake understands the command. Ends the test where it does not."""
    return get_argument_parser().parse_args(shlex.split(command)[1:])


EDITS = {"edits", "edited_model"}
ON_REQUEST = EDITS | {"label_lists", "trace", "effects", "cards", "examples", "on_prompt", "prompt_study", "benchmarks"}
TARGETS = set(re.findall(r"^\| `(\w+)` \|", (PROJECT / "README.md").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("command", commands("snakemake", *DOCUMENTS))
def test_a_command_means_what_it_says(command: str) -> None:
    """No option has taken a target for its own, and what is named is there."""
    arguments = parsed(command)
    wanted = TARGETS | ON_REQUEST | {"all", "TARGET"}
    assert all(target in wanted or target.startswith(("results/", "plot_")) for target in arguments.targets)
    for path in arguments.configfile or []:
        assert str(path) == "mine.yaml" or (PROJECT / path).exists()
    assert all("=" in one for one in arguments.config or [])
    for profile in arguments.profile or []:
        assert (PROJECT / profile / "profile.yaml").exists()


def test_there_are_commands_on_what_make_run_has_made() -> None:
    assert len(TARGETS) == 10
    assert len([command for command in commands("snakemake", PROJECT / "README.md") if DEMO in command]) >= 4


def make_dry_run(*arguments: str) -> str:
    command = ["make", "--no-print-directory", "--dry-run", "--old-file=.venv/installed", *arguments]
    made = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return made.stdout


def test_every_make_target_is_one() -> None:
    words = {word for command in commands("make", *DOCUMENTS) for word in shlex.split(command)[1:]}
    make_dry_run(*words - {"lint"})  # which starts another make, and that does its work in a dry run, too


def test_the_report_is_of_the_sweep_that_is_named() -> None:
    made = make_dry_run("report", "SWEEP=my sweep.yaml")
    assert made.rstrip().endswith('--report results/report.zip --configfile "my sweep.yaml"')


def on_tiny(target: str) -> str:
    return target.replace("smollm2-135m/raw/ov_L26_H1", "tiny/raw/ov_L0_H1")


def test_after_the_first_run_its_file_means_what_is_there(finished: Workflow) -> None:
    """Nothing is fetched or computed again; what is asked for on top is all that there is to do."""
    asked = [parsed(command) for command in commands("snakemake", *DOCUMENTS) if DEMO in command]
    plain = {on_tiny(target) for arguments in asked if not arguments.config for target in arguments.targets}
    # These two also draw what others have published, which no sweep of one's own has.
    made = TARGETS - {"weights", "paper_figures", "published_figures"}
    on_request = {"export_directions", "find_examples", "measure_effects", "write_cards", "plot_effects", "plot_cards"}
    assert finished.finish("--dry-run", *plain - EDITS, *made).rules == on_request
    # What `best` of the demo is chosen by, a random model has not.
    edit = {"model": "tiny", "setting": "raw", "directions": [{"matrix": "mlp_in", "layer": 0, "index": 0}]}
    made_of_edits = finished.finish("--dry-run", *plain & EDITS, config={"edits": {"best": edit}}).rules
    assert made_of_edits == {"choose_directions", "measure_edit", "save_edited_model"} | {
        f"plot_edit_{name}" for name in ("effect", "spectrum", "dose")
    }
    of_targets = {
        "trace": {"tokenize_queries", "trace_queries", "plot_trace_table", "plot_trace_heads"},
        "on_prompt": {"read_prompt"},
    }
    for arguments in asked:
        if arguments.config:
            run = finished.finish("--dry-run", *arguments.targets, "--config", *arguments.config)
            assert run.rules == of_targets.get(arguments.targets[0], {"plot_token_table"})


# docs/tasks.md


def code_of(section: str) -> list[str]:
    page = (PROJECT / "docs/tasks.md").read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", page.split(f"## {section}\n")[1].split("\n## ")[0], re.DOTALL)


def run_code(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "docs/tasks.md", "exec"), names)
    return names


@pytest.mark.slow
def test_a_model_saved_as_the_page_says_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiny_gpt2(tmp_path / "trained")
    monkeypatch.chdir(tmp_path)
    [code] = code_of("My own model")
    run_code(code.replace("openai-community/gpt2", "trained"))
    fetch_from_directory(Path("my-model"), Path("results/models/mine"), {}, "mine", "path", DEFAULT)
    saved, trained = (load_file(path / "model.safetensors") for path in (Path("results/models/mine"), Path("trained")))
    prefix = "transformer."
    assert (saved[f"{prefix}wte.weight"] == trained["wte.weight"]).all()


def test_two_settings_are_compared(finished: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside raw, the same tables as tl_default: fractions an eighth higher, and 6 of OV's first 15 tokens others."""
    tables = tmp_path / "results/tables"
    tables.mkdir(parents=True)
    for name in ("fractions", "tokens"):
        raw = pd.read_parquet(finished.results / f"tables/{name}.parquet")
        other = raw.assign(setting="tl_default")
        if name == "fractions":
            other["fraction"] += 0.125
        else:
            ov = other["matrix"] == "ov"
            other.loc[ov, "token_ids"] = other.loc[ov, "token_ids"].map(lambda ids: [*range(-6, 0), *ids[6:]])
        pd.concat([raw, other]).astype({"setting": "category"}).to_parquet(tables / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    in_fractions, in_lists = code_of("Two settings compared in numbers")
    difference = run_code(in_fractions)["difference"]
    assert len(difference) == 3
    assert difference["fraction"].to_list() == pytest.approx([0.125] * 3)
    assert difference["excess"].to_list() == pytest.approx([0.0] * 3)
    both = run_code(in_lists)["both"]
    assert len(both) == len(pd.read_parquet(finished.results / "tables/tokens.parquet"))
    assert both.groupby("matrix", observed=True)["shared"].agg(set).to_dict() == {
        "ov": {9 / 15},
        "mlp_in": {1.0},
        "mlp_out": {1.0},
    }


def test_what_was_used_is_named(
    finished: Workflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(finished.directory)
    [code] = code_of("How to cite")
    run_code(code)
    assert re.fullmatch(r"tiny path source None [0-9a-f]{64}\n", capsys.readouterr().out)
