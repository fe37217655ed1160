"""Runs of the real workflow on a tiny model: `python -m snakemake` in a process of its own, on a copy of the project.

A copy, so that tests can edit modules, and because nothing may depend on where the project lies. The fixtures are in
workflow_fixtures.py. Every run has a place with `project` and `run` in it, so that what a run takes from the project
(the lexicon) has the same relative path in a copy of the run.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tiny import make_tiny_gpt2

PROJECT = Path(__file__).parents[2]
TINY = {"path": "source", "token_tables": [{"matrix": "ov", "layer": 0, "head": 1}]}
SWEEP = {
    "models": {"tiny": TINY},
    "sweep": {"models": ["tiny"], "settings": ["raw"], "matrices": ["ov", "mlp_in", "mlp_out"]},
    "random_directions": 50,
    "rotated_directions": 50,
    # One figure of each kind of input; all of them in test_a_report_can_be_made.
    "figures": {"select": ["token_table", "spectra", "fraction_by_layer", "fraction_by_model"]},
}
DEFAULT_CONTROLS = tuple(yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))["controls"])
# What follows from a change, as rules of this sweep: a rule too few is a stale result, a rule too many hours of work.
AFTER_FRACTIONS = {
    "collect_fractions",
    "list_findings",
    "plot_fraction_by_layer",
    "plot_fraction_by_model",
    "make_report_pages",
    "build_explorer",
}
OF_LABELS = {"view_labels", "collect_labels", "collect_control_labels", "compare_labellers", "collect_agreement"}
AFTER_LABELS = OF_LABELS | {"embed_labels", "score_labels", "collect_scores"} | AFTER_FRACTIONS
AFTER_LISTS = {"view_tokens", "collect_tokens", "plot_token_table", "label_directions"} | AFTER_LABELS
AFTER_SPECTRA = {"collect_spectra", "plot_spectra", "build_explorer"}
AFTER_SVD = {"tabulate_spectra", "project_directions"} | AFTER_SPECTRA | AFTER_LISTS
AFTER_WEIGHTS = {"decompose_matrices", "measure_stability"} | AFTER_SVD
NO_RESULTS = ("logs", "benchmarks", "checksums", "weights")
JOB = re.compile(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)+)", re.MULTILINE)


class Files(dict):
    """Paths by name, as items and as attributes, like the inputs and outputs that Snakemake gives a script."""

    __getattr__ = dict.__getitem__


class Job(NamedTuple):
    rule: str
    description: str  # input, output, reason and so on, as Snakemake prints them

    def paths(self, key: str) -> list[str]:
        """Of `input` or `output`."""
        found = re.search(rf"^    {key}: (.*)$", self.description, re.MULTILINE)
        return found[1].split(", ") if found else []


@dataclass(frozen=True)
class Run:
    status: int
    printed: str  # standard output and error

    @property
    def jobs(self) -> list[Job]:
        """The jobs run or, in a dry run, to be run, without targets."""
        jobs = [Job(*match.groups()) for match in JOB.finditer(self.printed)]
        return [job for job in jobs if "output: " in job.description]

    @property
    def counts(self) -> Counter[str]:
        return Counter(job.rule for job in self.jobs)

    @property
    def rules(self) -> set[str]:
        return set(self.counts)

    def directly(self, reason: str) -> set[str]:
        """Rules with a job of which `reason` is a reason in itself, not through a job before it."""
        return {job.rule for job in self.jobs if reason in job.description.split("reason: ")[1]}


@dataclass(frozen=True)
class Workflow:
    project: Path
    directory: Path

    def command(self, *arguments: str, config: dict[str, Any] | None = None) -> list[str]:
        """`config` is put on top of tiny.yaml."""
        configs = [str(self.directory / "tiny.yaml")]
        if config is not None:
            # Of each process its own: the workers of pytest-xdist share finished runs.
            configs.append(str(self.directory / f"changed_{os.getpid()}.yaml"))
            Path(configs[-1]).write_text(yaml.safe_dump(config))
        where = ["--snakefile", str(self.project / "Snakefile"), "--directory", str(self.directory)]
        return [sys.executable, "-m", "snakemake", *where, *arguments, "--configfile", *configs]

    def run(self, *arguments: str, config: dict[str, Any] | None = None) -> Run:
        command = self.command("--cores", "2", *arguments, config=config)
        done = subprocess.run(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
        )
        return Run(done.returncode, done.stdout)

    def finish(self, *arguments: str, config: dict[str, Any] | None = None) -> Run:
        run = self.run(*arguments, config=config)
        assert run.status == 0, run.printed
        return run

    @property
    def results(self) -> Path:
        return self.directory / "results"

    def artefacts(self) -> dict[str, bytes]:
        """Path and content of every result; logs, benchmarks, checksums and temporary weights are none."""
        return {
            str(path.relative_to(self.results)): path.read_bytes()
            for path in sorted(self.results.rglob("*"))
            if path.is_file() and path.relative_to(self.results).parts[0] not in NO_RESULTS
        }


def environment() -> dict[str, str]:
    """Without settings of Snakemake and of the hub, and with no way to the network."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "SNAKEMAKE_"))}
    nowhere = "http://127.0.0.1:9"
    return kept | {"HF_ENDPOINT": nowhere, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere}


def copy_project(target: Path) -> Path:
    """What the workflow consists of; no models, no results."""
    resources = [f"resources/{name}" for name in ("lexicon", "text", "prompts", "explorer", "label_sheet", "adapters")]
    for name in ("rules", "scripts", "profiles", *resources):
        shutil.copytree(PROJECT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml", "environment.yml"):
        shutil.copy(PROJECT / name, target / name)
    return target


def new_workflow(project: Path, place: Path, config: dict[str, Any] = SWEEP) -> Workflow:
    """place/run with a tiny model, nothing computed yet, and place/project, a link unless it is there already."""
    workflow = Workflow(place / "project", place / "run")
    make_tiny_gpt2(workflow.directory / "source")
    (workflow.directory / "tiny.yaml").write_text(yaml.safe_dump(config))
    if not workflow.project.exists():
        workflow.project.symlink_to(project)
    return workflow


def copy_run(workflow: Workflow, place: Path, leave_out: str = "logs", own_project: bool = False) -> Workflow:
    """A copy of a run at place/run; a test that edits the project takes a copy of that as well.

    Snakemake knows the copy's files by their paths, relative, and by their times, which are kept.
    """
    copy = Workflow(place / "project", place / "run")
    ignore = shutil.ignore_patterns(leave_out, "changed_*.yaml")
    shutil.copytree(workflow.directory, copy.directory, ignore=ignore)
    if own_project:
        shutil.copytree(workflow.project, copy.project)
    else:
        copy.project.symlink_to(workflow.project)
    return copy


def messages(run: Run) -> list[str]:
    """What svdlens itself has to say, of all that Snakemake prints."""
    return [line.removeprefix("svdlens: ") for line in run.printed.splitlines() if line.startswith("svdlens: ")]


def read_table(path: Path) -> pa.Table:
    """The file alone: nothing from the names of its directories."""
    return pq.ParquetFile(path).read()


def hidden_files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob(".*") if path.is_file()]


def mount(directory: Path, options: str) -> bool:
    """A small file system in memory at `directory`. False where mounting is not allowed."""
    directory.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0


def unmount(directory: Path) -> None:
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


@contextlib.contextmanager
def mounted(directory: Path, options: str) -> Iterator[None]:
    """`mount`. Skips the test where that is not allowed."""
    if not mount(directory, options):
        pytest.skip("mounting a file system is not allowed here; it needs root")
    try:
        yield
    finally:
        unmount(directory)
