"""Fixtures of the tests of the workflow, for a module that says `pytest_plugins = ["workflow_fixtures"]`."""

from pathlib import Path

import pytest

from workflow import Workflow, copy_project, new_workflow


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def tiny(project: Path, tmp_path: Path) -> Workflow:
    """A tiny model, nothing computed yet."""
    return new_workflow(project, tmp_path / "run")


@pytest.fixture(scope="session")
def finished(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A finished sweep; only for tests that leave it as it is."""
    # As far from the project as its copies are, whose inputs from there (the lexicon) then have the same relative path.
    workflow = new_workflow(project, tmp_path_factory.mktemp("finished") / "run")
    workflow.finish()
    return workflow
