"""svdlens as a module of somebody else's workflow: same results, and rules beside its own."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workflow import PROJECT, environment

pytestmark = pytest.mark.workflow

SWEEP = {
    "sweep": {"models": ["wordnet-2layer"], "settings": ["raw"], "matrices": ["mlp_out"], "labellers": ["coherence"]},
    "settings": {"mine": ["read_gain"]},
    "directions": 4,
}
MODULE = """
configfile: "mine.yaml"

module svdlens:
    snakefile: "{project}/Snakefile"
    config: config["svdlens"]

use rule * from svdlens as svdlens_*

rule count:
    default_target: True
    input: "results/tables/tokens.parquet"
    output: "count.txt"
    run:
        import pandas as pd
        open(output[0], "w").write(str(len(pd.read_parquet(input[0]))))
"""


def snakemake(directory: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", str(directory), *arguments]
    done = subprocess.run(command, cwd=directory, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("user of svdlens")
    (directory / "Snakefile").write_text(MODULE.format(project=PROJECT))
    (directory / "mine.yaml").write_text(yaml.safe_dump({"svdlens": SWEEP}))
    snakemake(directory)
    return directory


def test_a_rule_of_the_user_takes_a_table(user: Path) -> None:
    """Of two layers four directions each with two signs, through one read-out."""
    assert (user / "count.txt").read_text() == str(2 * 4 * 2)
    assert "Nothing to be done" in snakemake(user, "count.txt")


def test_results_are_those_of_svdlens_by_itself(user: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    given = ["--snakefile", str(PROJECT / "Snakefile"), "results/tables/tokens.parquet"]
    snakemake(tmp_path, *given, "--configfile", str(tmp_path / "sweep.yaml"))
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.glob("results/**/*.parquet"))
    assert len(made) > 2
    for path in made:
        assert (user / path).read_bytes() == (tmp_path / path).read_bytes(), path


def test_all_that_svdlens_makes_can_be_asked_for(user: Path) -> None:
    listed = snakemake(user, "--list")
    assert "svdlens_explorer" in listed and "The page to look around in." in listed and "count" in listed
    planned = snakemake(
        user, "--dry-run", "svdlens_all", "results/tokens/model=wordnet-2layer/setting=mine/mlp_out.parquet"
    )
    assert "svdlens_build_explorer" in planned and "setting=mine" in planned


def test_numbers_of_the_command_line_are_numbers(user: Path) -> None:
    """Snakemake takes them for text within braces."""
    planned = snakemake(user, "--dry-run", "--config", "svdlens={directions: 3}")
    assert "svdlens_decompose_matrices" in planned


@pytest.mark.parametrize(
    ("given", "line", "said"),
    [
        ({"sweep": {"models": ["gpt3"]}}, "", "configuration: sweep.models: 'gpt3' is no model"),
        (["gpt2-small"], "", "configuration: a module is given ['gpt2-small'], no mapping"),
        (SWEEP, '    prefix: "inner"\n', "prefix and replace_prefix of a module move its results"),
        (SWEEP, '    replace_prefix: {"results/": "inner/"}\n', "prefix and replace_prefix of a module move"),
    ],
)
def test_what_is_wrong_is_said(given: object, line: str, said: str, tmp_path: Path) -> None:
    workflow = MODULE.format(project=PROJECT)
    config = '    config: config["svdlens"]\n'
    (tmp_path / "Snakefile").write_text(workflow.replace(config, config + line))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"svdlens": given}))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=100)
    assert done.returncode != 0
    assert f"svdlens: {said}" in done.stdout + done.stderr
