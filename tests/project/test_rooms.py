"""The folders of the library stand one above the other as the stages of the workflow do (docs/architecture.md)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
# What a folder imports stands before it.
ROOMS = [
    *("spec", "artefacts", "runtime", "models", "weights", "svd", "readout", "edit", "vocabulary", "labels"),
    "activations",
    *("sweep", "evaluation", "trace", "effects", "figures", "explorer", "export", "report"),
    *("comparison", "publication", "interactive"),
]
# What the Snakefile imports, in every cluster job.
LIGHT = [
    *("svdlens.spec.architectures", "svdlens.spec.matrix_kinds", "svdlens.spec.settings", "svdlens.spec.readouts"),
    *("svdlens.sweep.plan", "svdlens.sweep.config_checks", "svdlens.sweep.config_files", "svdlens.sweep.asked_files"),
    *("svdlens.sweep.code_hash", "svdlens.labels.registry", "svdlens.labels.llm.attempts"),
    *("svdlens.figures.registry", "svdlens.figures.files", "svdlens.report.not_made", "svdlens.report.paper_figures"),
]
HEAVY = {"torch", "transformers", "numpy", "pandas", "pyarrow", "scipy", "matplotlib", "seaborn"}
# Imports each module in a process of its own, forked from one that has the heavy libraries, and prints what came along.
IMPORTS = """
import importlib, json, os, sys
import matplotlib.figure, pandas, pyarrow.parquet, safetensors.torch, scipy.sparse, torch
for name in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(name)
        others = [other for other in sys.modules if other.startswith("svdlens.") and other != name]
        os.write(1, (json.dumps([name, others]) + "\\n").encode())
        os._exit(0)
    assert os.wait()[1] == 0, name
"""


def python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_folder_imports_only_what_stands_before_it() -> None:
    files = [path.relative_to(SCRIPTS).with_suffix("") for path in (SCRIPTS / "svdlens").rglob("*.py")]
    modules = [".".join(file.parts) for file in files if file.name != "__init__"]
    assert {module.split(".")[1] for module in modules} == {*ROOMS, "errors"}
    upwards = [
        (module, other)
        for module, others in map(json.loads, python(IMPORTS, *modules).splitlines())
        for other in others
        if module != "svdlens.errors"
        and other != "svdlens.errors"
        and ROOMS.index(other.split(".")[1]) > ROOMS.index(module.split(".")[1])
    ]
    assert upwards == []


def test_what_the_snakefile_imports_is_light() -> None:
    code = "import importlib, json, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    loaded = json.loads(python(code + "print(json.dumps(list(sys.modules)))", *LIGHT))
    assert HEAVY & set(loaded) == set()
