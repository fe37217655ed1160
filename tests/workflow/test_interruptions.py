"""Runs that are killed and disks that fill up: what is finished stays, and the next run goes on to the same bytes."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from workflow import AFTER_SVD, Workflow, copy_run, environment, messages, mounted

pytest_plugins = ["workflow_fixtures"]


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
    stages = ("models/", "svd/", "vocabulary/tiny/tokens.", "by_switches/tokens/", "tokens/", "controls/")
    expected = {name for name in wanted if name.startswith(stages)}
    assert after.keys() == expected
    assert [name for name in after if after[name] != wanted[name]] == []


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
