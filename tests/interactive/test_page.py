"""docs/python.md and its notebook run as they stand, and show what they say."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import svdlens
from svdlens.interactive import tables

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/python.md").read_text("utf-8")
NOTEBOOK = PROJECT / "docs/notebooks/from_python.ipynb"


@pytest.mark.slow
def test_the_code_of_the_page_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(PROJECT)
    names: dict[str, Any] = {}
    printed = []
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/python.md", "exec"), names)
        printed.append(capsys.readouterr().out)
    assert len(printed[1].splitlines()) == 10
    assert "random_unit" in printed[2]
    assert len(names["values"].query("index == 0")) == 8


def test_the_page_has_every_argument_with_its_default() -> None:
    arguments = tables.directions.__kwdefaults__
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    listed = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed.keys() == arguments.keys()
    for name, value in arguments.items():
        if isinstance(value, str | bool) or type(value) in (int, float):
            assert str(value) in listed[name], name


def test_names_are_imported_when_they_are_asked_for() -> None:
    assert {"directions", "spectra", "SvdlensError"} <= set(dir(svdlens))
    assert svdlens.directions is tables.directions
    with pytest.raises(AttributeError, match="has no attribute 'direction'"):
        svdlens.direction  # noqa: B018


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code"), "clear its outputs"
    monkeypatch.setenv("PYTHONPATH", str(PROJECT / "scripts"))
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert any("image/png" in output.get("data", {}) for output in outputs["plot"])
    assert "mlp_out" in outputs["fractions"][-1]["data"]["text/plain"]
    assert len(outputs["head"][-1]["data"]["text/plain"].splitlines()) >= 17
