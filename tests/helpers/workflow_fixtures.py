"""Fixtures of the tests of the workflow, for a module that says `pytest_plugins = ["workflow_fixtures"]`."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow import Workflow, copy_project, new_workflow


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Others who want this lock wait, in whatever process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of pytest-xdist have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def project(shared_place: Path) -> Path:
    """A copy of the project; only for tests that leave it as it is."""
    target = shared_place / "finished/project"
    with lock(shared_place / "project.lock"):
        if not target.exists():
            copy_project(target)
    return target


@pytest.fixture
def tiny(project: Path, tmp_path: Path) -> Workflow:
    """A tiny model, nothing computed yet."""
    return new_workflow(project, tmp_path)


@pytest.fixture(scope="session")
def finished(project: Path, shared_place: Path) -> Workflow:
    """A finished sweep, once for all workers; only for tests that leave it as it is."""
    workflow, done = Workflow(project, project.parent / "run"), shared_place / "finished.done"
    with lock(shared_place / "finished.lock"):
        if not done.exists():
            new_workflow(project, project.parent).finish()
            done.touch()
    return workflow


@pytest.fixture
def finished_here(finished: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run, which is the working directory."""
    copy = tmp_path / "someone's run"
    shutil.copytree(finished.directory, copy, ignore=shutil.ignore_patterns(".snakemake", "svd", "weights"))
    monkeypatch.chdir(copy)
    return copy
