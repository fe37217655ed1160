"""A sweep through profiles/slurm on a real Slurm, of one node. Started by `make test-cluster`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from one_node_slurm import Slurm, missing_programs, one_node_slurm, wait_until
from workflow import PROJECT, Workflow, environment

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("SVDLENS_CLUSTER" not in os.environ, reason="starts a Slurm: make test-cluster"),
    pytest.mark.skipif(bool(missing_programs()), reason=f"needs Slurm and munge: no {', '.join(missing_programs())}"),
]

# Every stage, and as few jobs as that takes.
SWEEP = {
    "sweep": {"models": ["wordnet-2layer"], "settings": ["raw"], "matrices": ["mlp_out"], "labellers": ["coherence"]},
    "directions": 16,
    "random_directions": 50,
    "rotated_directions": 50,
    "figures": {"select": ["fraction_by_layer"]},
}
# What a cluster without accounting needs (docs/cluster.md), and a test that does not want to wait.
OF_THIS_CLUSTER = [
    *("--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "5"),
    *("--latency-wait", "10"),
    *("--default-resources", "slurm_partition=main", "mem_mb=4000", "runtime=30"),
]


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    (tmp_path / "slurm").mkdir()
    with one_node_slurm(tmp_path / "slurm") as cluster:
        yield cluster


def start(directory: Path, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    """Snakemake in that directory; what it prints is in printed.txt there."""
    directory.mkdir()
    (directory / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    where = ["--snakefile", str(PROJECT / "Snakefile"), "--directory", str(directory)]
    command = [sys.executable, "-m", "snakemake", *where, *arguments, "--configfile", str(directory / "sweep.yaml")]
    with (directory / "printed.txt").open("wb") as printed:
        return subprocess.Popen(command, env=environment() | variables, stdout=printed, stderr=subprocess.STDOUT)


def test_a_sweep_on_slurm_is_the_local_one_whatever_happens_to_its_jobs(slurm: Slurm, tmp_path: Path) -> None:
    local = start(tmp_path / "local", "--cores", "1")
    # Too little for torch, then enough.
    too_little = ["--set-resources", "decompose_matrices:mem_mb=200*attempt**3"]
    profile = ["--profile", str(PROJECT / "profiles/slurm")]
    remote = start(tmp_path / "remote", *profile, *OF_THIS_CLUSTER, *too_little, **slurm.environment)

    def printed() -> str:
        return (tmp_path / "remote/printed.txt").read_text("utf-8")

    def at_work(rule: str) -> str:
        """The job of the rule, once its script has begun."""

        def is_at_work() -> bool:
            assert remote.poll() is None, printed()
            return any((tmp_path / f"remote/results/logs/{rule}").rglob("*.log")) and bool(slurm.jobs(rule, "running"))

        wait_until(is_at_work, 300, f"a job of {rule}")
        return slurm.jobs(rule, "running")[0]

    try:
        cancelled = at_work("extract_weights")
        slurm.run("scancel", cancelled)
        lost = at_work("project_directions")
        slurm.node_down()
        wait_until(lambda: slurm.state(lost) != "RUNNING", 60, "the node has lost its jobs")
        slurm.node_up()
        assert remote.wait(timeout=600) == 0, printed()
        assert local.wait(timeout=600) == 0, (tmp_path / "local/printed.txt").read_text("utf-8")
    finally:
        for process in (remote, local):
            process.terminate()
            process.wait()

    first, second = slurm.jobs("decompose_matrices")
    assert (slurm.memory(first), slurm.memory(second)) == (200, 1600)
    [log] = (tmp_path / "remote/.snakemake/slurm_logs").rglob(f"{first}.log")
    assert f"StepId={first}.0 exceeded memory limit" in log.read_text("utf-8")
    assert slurm.threads(first) == 4  # of the profile
    # By itself, a rule asks for twice as much at its second attempt.
    assert slurm.state(cancelled) == "CANCELLED"
    once, twice = (slurm.memory(job) for job in slurm.jobs("extract_weights"))
    assert 2 * once - 1 <= twice <= 2 * once
    for job in (first, cancelled):
        assert f"SLURM-job '{job}' failed, SLURM status is: '{slurm.state(job)}'" in printed()
    # Slurm itself started this one again.
    assert slurm.jobs("project_directions") == [lost]
    assert "Restarts=1" in slurm.run("scontrol", "show", "job", lost)

    wanted, made = (Workflow(PROJECT, tmp_path / name).artefacts() for name in ("local", "remote"))
    assert made.keys() == wanted.keys()
    assert [name for name in wanted if made[name] != wanted[name]] == []
