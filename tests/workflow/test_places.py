"""Where the project lies, where it is started, and what directories are called, is a user's own affair."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tiny import make_tiny_gpt2
from workflow import PROJECT, SWEEP, Run, Workflow, copy_project, environment, messages

pytest_plugins = ["workflow_fixtures"]

ODD = """my "mod'els" 100% #1 ünï $HOME `a` [b] & (c); \\d"""
"""A name with all that has a meaning to a shell, to Make, to Python or in a URL; with braces is another test."""


def snakemake(directory: Path, *arguments: str, python: Path = Path(sys.executable)) -> Run:
    command = [str(python), "-m", "snakemake", *arguments]
    environ = environment()
    done = subprocess.run(
        command, cwd=directory, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )
    return Run(done.returncode, done.stdout)


def test_directories_may_have_any_name(tmp_path: Path) -> None:
    """The project with its .venv, the working directory and the model."""
    project, run = copy_project(tmp_path / ODD / "project"), tmp_path / ODD / f"run {ODD}"
    (project / ".venv").symlink_to(sys.prefix)
    make_tiny_gpt2(run / ODD)
    (run / "mine.yaml").write_text(yaml.safe_dump(SWEEP | {"models": {"tiny": {"path": ODD}}}))
    arguments = ["--snakefile", str(project / "Snakefile"), "--cores", "2", "results/vocabulary/tiny/tokens.parquet"]
    done = snakemake(run, *arguments, "--configfile", "mine.yaml", python=project / ".venv/bin/python")
    assert done.status == 0, done.printed
    assert (run / "results/vocabulary/tiny/tokens.parquet").exists()


def test_a_project_between_braces_is_refused_at_once(tmp_path: Path) -> None:
    project = tmp_path / "a{b"
    copy_project(project)
    run = snakemake(project, "--cores", "1")
    assert run.status != 0
    assert "Traceback" not in run.printed
    [message] = messages(run)
    assert message.startswith(f"cannot work in {project}: ")
    assert "Move it to a directory" in message
    assert not (project / "results").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "way_out"),
    [
        ("it's $HOME", ["--slurm-pass-command-as-script"], "Rename it."),
        ("a $HOME", [], "slurm-pass-command-as-script: true"),
    ],
)
def test_a_path_that_no_job_on_a_cluster_could_read_is_refused(
    name: str, arguments: list[str], way_out: str, project: Path, tmp_path: Path
) -> None:
    run = tmp_path / name
    run.mkdir()
    where = [
        "results/tables/files.csv",
        "--snakefile",
        str(project / "Snakefile"),
        "--executor",
        "slurm",
        "--jobs",
        "1",
    ]
    done = snakemake(run, *where, *arguments)
    assert done.status != 0
    [message] = messages(done)
    assert message.startswith(f"no job on a cluster could read {run}: ")
    assert way_out in message
    assert not (run / "results").exists()


@pytest.mark.parametrize("name", ["a{b", "a}b", "a:b"])
def test_make_refuses_such_a_directory_before_it_installs_anything(name: str, tmp_path: Path) -> None:
    directory = tmp_path / name
    directory.mkdir()
    for file in ("Makefile", "requirements.lock"):
        shutil.copy(PROJECT / file, directory)
    command = ["make", "--no-print-directory", ".venv/installed", f"PYTHON={sys.executable}"]
    made = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    assert made.returncode != 0
    assert made.stdout == ""
    assert made.stderr.startswith(f"svdlens: cannot work in {directory}: ")
    assert {path.name for path in directory.iterdir()} == {"Makefile", "requirements.lock"}


def test_the_demo_can_be_started_from_another_directory(project: Path, tmp_path: Path) -> None:
    """Its profile names the sweep; results go where snakemake was started."""
    arguments = ["--snakefile", str(project / "Snakefile"), "--profile", str(project / "profiles/demo")]
    run = snakemake(tmp_path, *arguments, "--dry-run", "models")
    assert run.status == 0, run.printed
    models = yaml.safe_load((PROJECT / "profiles/demo/sweep.yaml").read_text("utf-8"))["sweep"]["models"]
    assert re.search(rf"fetch model +{len(models)}\n", run.printed.replace(" \n", "\n")), run.printed


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_storage_plugin_fs") is None or shutil.which("rsync") is None,
    reason="needs snakemake-storage-plugin-fs and rsync",
)
def test_results_may_lie_in_remote_storage(tiny: Workflow, finished: Workflow) -> None:
    remote = Workflow(tiny.project, tiny.directory / "storage")
    storage = ["--default-storage-provider", "fs", "--default-storage-prefix", str(remote.directory)]
    tiny.finish(*storage)
    assert not (tiny.directory / "results").exists()
    local = {path: content for path, content in finished.artefacts().items() if not path.startswith("models")}
    local["models/tiny/provenance.json"] = (finished.results / "models/tiny/provenance.json").read_bytes()
    assert remote.artefacts() == local
    assert not tiny.finish("--dry-run", *storage).jobs
    # On another machine, there is nothing of the model but what the storage has.
    shutil.rmtree(tiny.directory / ".snakemake/storage")
    shutil.rmtree(remote.results / "weights")
    run = tiny.finish(*storage, "weights")
    assert run.counts == {"extract_weights": 1, "process_weights": 1}
    [message] = messages(run)
    assert "are gone or damaged, and fetched again" in message
    assert remote.artefacts() == local
