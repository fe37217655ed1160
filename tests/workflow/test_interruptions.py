"""Runs that are killed and disks that fill up: what is finished stays, and the next run goes on to the same bytes."""

import base64
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from workflow import (
    AFTER_SVD,
    JOB,
    Job,
    Run,
    Workflow,
    copy_run,
    environment,
    messages,
    mount,
    mounted,
    new_workflow,
    unmount,
)

pytest_plugins = ["workflow_fixtures"]


JOBS_AT_A_TIME = 2


class Interrupted:
    """A run that is started and then disturbed."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow, self.log = workflow, workflow.directory / "printed"
        with self.log.open("w") as log:
            self.process = psutil.Popen(
                workflow.command("--cores", str(JOBS_AT_A_TIME)),
                env=environment(),
                start_new_session=True,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def printed(self) -> str:
        return self.log.read_text("utf-8")

    def wait_for(self, happened: Callable[[], object]) -> bool:
        """Whether it happens before the run ends."""
        deadline = time.monotonic() + 300
        while self.process.poll() is None and not happened():
            assert time.monotonic() < deadline, self.printed()
            time.sleep(0.02)
        return self.process.poll() is None

    def jobs(self) -> list[psutil.Process]:
        """Processes of jobs, not the shells that wait for them."""
        started = self.process.children(recursive=True) if self.process.is_running() else []
        return [job for job in started if "/scripts/tmp" in " ".join(command_of(job))]

    def disturb(self, how: str, moment: random.Random) -> None:
        if how == "kill a job":  # what the kernel does when memory runs out
            if self.wait_for(self.jobs) and (jobs := self.jobs()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    moment.choice(jobs).kill()
        elif how == "kill Snakemake":
            os.kill(self.process.pid, signal.SIGKILL)
        elif how == "kill everything":  # as when a machine goes down: no process has time to tidy up
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            filler = self.workflow.directory / "filler"
            fill(filler)
            self.process.wait(300)
            filler.unlink()
        self.process.wait(300)


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


# Twenty moments in the tier `long`.
@pytest.mark.parametrize("sequence", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 3, 4))])
def test_a_run_that_is_disturbed_five_times_ends_with_the_same_bytes(
    sequence: int, finished: Workflow, project: Path, tmp_path: Path
) -> None:
    """And nothing that is finished is done again, and every call is the same: nobody unlocks anything."""
    seed = os.environ.get("SVDLENS_SEED") or f"{time.time_ns()}"
    print(f"SVDLENS_SEED={seed}, sequence {sequence}")
    moment = random.Random(f"{seed} {sequence}")
    hows = ["kill a job", "kill Snakemake", "kill everything", "fill the disk", "kill Snakemake"]
    moment.shuffle(hows)
    wanted = finished.artefacts()
    done: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        if mount(tmp_path / "run", "size=100m"):
            stack.callback(unmount, tmp_path / "run")
        else:
            hows = ["kill a job" if how == "fill the disk" else how for how in hows]
        workflow = new_workflow(project, tmp_path)
        for how in [*hows, None]:
            after, delay = moment.randint(0, 12), moment.uniform(0, 1.5)
            run = Interrupted(workflow)
            if how is not None:
                print(f"{how}, {delay:.2f} s after job {after} of this run has started")
                if run.wait_for(lambda run=run, after=after: len(JOB.findall(run.printed())) >= after):
                    time.sleep(delay)
                if run.process.poll() is None:
                    run.disturb(how, moment)
                else:  # it was done before the moment came
                    assert run.process.returncode == 0, run.printed()
                if how == "kill Snakemake":  # its jobs go on, and some come to their end
                    time.sleep(moment.uniform(0, 3))
                else:
                    whole = {name: content for name, content in workflow.artefacts().items() if is_result(name)}
                    assert whole == {name: wanted[name] for name in whole}, "what has its final name is whole"
            else:
                if run.wait_for(lambda run=run: JOB.findall(run.printed())):
                    beside = workflow.run()
                    assert "--unlock" in beside.printed or run.process.poll() is not None, beside.printed
                assert run.process.wait(600) == 0, run.printed()
            jobs = Run(0, run.printed()).jobs
            again = [job.rule for job in jobs for path in job.paths("output") if path in done]
            assert not again, f"{again} were finished before {how}\n{run.printed()}"
            numbers = set(re.findall(r"^Finished jobid: (\d+) ", run.printed(), re.MULTILINE))
            print(f"{len(jobs)} jobs started, {len(numbers)} finished")
            done |= {path: job.rule for job in jobs if number_of(job) in numbers for path in job.paths("output")}
        assert set(workflow.artefacts()) == set(wanted)
        assert [name for name, content in workflow.artefacts().items() if content != wanted[name]] == []
        assert workflow.finish("--dry-run").jobs == []


def is_result(name: str) -> bool:
    return not Path(name).name.startswith(".") and ".partial" not in Path(name).parts


def number_of(job: Job) -> str:
    return re.search(r"jobid: (\d+)", job.description)[1]


def test_a_disk_that_fills_late_keeps_what_is_finished(finished: Workflow, tmp_path: Path) -> None:
    # A finished sweep on a disk without any room, and a further setting, which has the same SVDs.
    workflow = copy_run(finished, tmp_path, leave_out="results")
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


@pytest.mark.parametrize("content", [b"", b"\xb0\x90"])
def test_what_snakemake_has_lost_its_metadata_of_is_made_again(
    content: bytes, finished: Workflow, tmp_path: Path
) -> None:
    """As after a power failure. Without, it would stay as it is, whatever changes in the configuration."""
    workflow, table = copy_run(finished, tmp_path), "results/tables/tokens.parquet"
    name = base64.urlsafe_b64encode(table.encode()).decode()
    record = workflow.directory / ".snakemake/metadata" / name
    assert record.exists()
    record.write_bytes(content)
    run = workflow.finish(table)
    assert run.counts == {"collect_tokens": 1}
    assert "damaged in .snakemake/metadata: 1." in run.printed
    assert workflow.artefacts() == finished.artefacts()
    assert workflow.finish("--dry-run", table).jobs == []


def check_by_coreutils(results: Path) -> subprocess.CompletedProcess[str]:
    """The command of docs/artefacts.md."""
    records = "find checksums -name '*.sha256' ! -path 'checksums/weights/*' -exec cat {} +"
    command = f"{records} | sha256sum --check --strict --quiet"
    return subprocess.run(command, shell=True, cwd=results, capture_output=True, text=True)


def test_damaged_intermediates_are_found_and_only_they_and_what_follows_are_made_again(
    finished: Workflow, tmp_path: Path
) -> None:
    """A run names them; the next one makes them anew, although what follows from them is there and was made when they
    were sound."""
    workflow, wanted = copy_run(finished, tmp_path), finished.artefacts()
    assert (done := check_by_coreutils(workflow.results)).returncode == 0, done.stdout + done.stderr
    records = [path.read_text("utf-8") for path in workflow.results.glob("checksums/**/*.sha256")]
    recorded = {line.split("  ", 1)[1] for record in records for line in record.splitlines()}
    made = {name for name in wanted if not name.startswith("models/") and not Path(name).name.startswith(".")}
    assert {name for name in recorded if not name.startswith("weights/")} == made | {"models/tiny/provenance.json"}

    # One is cut short. In the other one bit is another.
    [svd] = workflow.results.glob("svd/**/mlp_in.safetensors")
    [lists] = workflow.results.glob("by_switches/tokens/**/ov.parquet")
    svd.write_bytes(svd.read_bytes()[:-10])
    content = bytearray(lists.read_bytes())
    content[len(content) // 2] ^= 1
    lists.write_bytes(content)
    stopped = workflow.run("--keep-going")
    assert stopped.status != 0
    said = {message.split(" is damaged or edited: it has ")[0] for message in messages(stopped)}
    assert said == {str(path.relative_to(workflow.directory)) for path in (svd, lists)}
    assert all("Run again" in message for message in messages(stopped))

    again = workflow.finish()
    assert again.rules == {"decompose_matrices"} | AFTER_SVD
    of_one, of_two = (
        ("decompose_matrices", "tabulate_spectra"),
        ("project_directions", "label_directions", "view_labels"),
    )
    assert {again.counts[rule] for rule in of_one} == {1} and {again.counts[rule] for rule in of_two} == {2}
    after = workflow.artefacts()
    assert [name for name in after.keys() | wanted.keys() if after.get(name) != wanted.get(name)] == []
    assert check_by_coreutils(workflow.results).returncode == 0
    assert not workflow.finish("--dry-run").jobs
