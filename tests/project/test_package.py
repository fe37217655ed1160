"""What `pip install` makes of the project works by itself: elsewhere, without Snakemake, from what the wheel has."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
WITHOUT_WORKFLOW = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import svdlens
assert not {{"torch", "pandas", "numpy"}} & set(sys.modules)
assert svdlens.__file__.startswith(sys.prefix)
"""
IMPORT_NAMES = {"pyyaml": "yaml", "snakemake-executor-plugin-slurm": "snakemake_executor_plugin_slurm"}
# Those of the extra that transformers and others import where they find them; a person has them anyway.
OF_OTHERS = {"filelock", "httpx2", "jinja2", "psutil", "pyyaml"}


def first_code() -> str:
    return re.findall(r"```python\n(.*?)```", (PROJECT / "docs/python.md").read_text("utf-8"), re.DOTALL)[0]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel, beside the packages that the tests run with."""
    place = tmp_path_factory.mktemp("package")
    venv.create(place / "venv", with_pip=False)
    python = place / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    [packages] = (place / "venv").rglob("site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    # A copy, because setuptools builds beside what it is given.
    copy_of_sources(place / "source")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(place / "source")]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


def copy_of_sources(target: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("scripts", "resources/lexicon"):
        shutil.copytree(PROJECT / name, target / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, target / name)


@pytest.mark.slow
def test_the_first_code_of_the_page_runs_elsewhere_without_snakemake(python: Path, tmp_path: Path) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = set(project["optional-dependencies"]["workflow"]) - OF_OTHERS
    absent = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in extra}
    assert "snakemake" in absent
    code = first_code().replace("resources/models", str(PROJECT / "resources/models"))
    code = f"{WITHOUT_WORKFLOW.format(absent=sorted(absent))}\n{code}\nprint(len(table), table['label'].notna().sum())"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=environment | nowhere, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows, labelled = map(int, done.stdout.split()[-2:])
    assert rows > labelled > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_module_is_in_the_wheel(python: Path) -> None:
    [installed] = python.parents[1].rglob("site-packages/svdlens")
    modules = {path.relative_to(PROJECT / "scripts/svdlens") for path in (PROJECT / "scripts/svdlens").rglob("*.py")}
    assert {path for path in modules if not (installed / path).exists()} == set()
    assert (installed / "py.typed").exists() and (installed / "__init__.pyi").exists()
