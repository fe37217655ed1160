"""The recipe of the container: by hadolint where it is installed, and that it has all that a sweep needs."""

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
CONTAINERS = PROJECT / "resources/containers"


def lines(name: str) -> list[str]:
    found = (CONTAINERS / name).read_text("utf-8").splitlines()
    return [line for line in found if line and not line.startswith("#")]


def test_a_linter_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if not hadolint:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, CONTAINERS / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_its_python_is_that_of_the_environment() -> None:
    [image] = [line.split()[1] for line in lines("Dockerfile") if line.startswith("FROM ")]
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text("utf-8"))
    assert image == f"python:{environment['dependencies'][0].removeprefix('python=')}-slim"


def test_what_is_copied_plans_a_sweep_and_nothing_else_is(tmp_path: Path) -> None:
    """A project of just these files, in which Snakemake finds every rule, script and bundled model."""
    first, *others = lines("Dockerfile.dockerignore")
    kept = {line.removeprefix("!") for line in others if line.startswith("!")}
    left_out = [line for line in others if not line.startswith("!")]
    assert first == "*" and all((PROJECT / name).exists() for name in kept)
    assert not kept & {".git", "results", "tests", ".venv", "node_modules"}
    ignored = shutil.ignore_patterns(*(line.removeprefix("**/") for line in left_out))
    for name in kept:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, tmp_path / "svdlens" / name, ignore=ignored)
        else:
            (tmp_path / "svdlens").mkdir(exist_ok=True)
            shutil.copy(PROJECT / name, tmp_path / "svdlens" / name)
    assert not [path for path in tmp_path.rglob("*") if fnmatch.fnmatch(path.name, "__pycache__")]
    [entry] = [line for line in lines("Dockerfile") if line.startswith("ENTRYPOINT")]
    assert re.findall(r'"([^"]+)"', entry) == ["python", "-m", "snakemake", "--snakefile", "/svdlens/Snakefile"]
    # As there: bash, sh and which, but no git; another working directory; a home that is not the user's.
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(tmp_path / "svdlens/Snakefile"), "--dry-run"]
    command += [
        "--cores",
        "1",
        "--quiet",
        "rules",
        "--configfile",
        str(tmp_path / "svdlens/profiles/demo/bundled.yaml"),
    ]
    (tmp_path / "work").mkdir()
    (tmp_path / "bin").mkdir()
    for program in ("bash", "sh", "which"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or pytest.skip(f"{program} is not installed"))
    environment = {
        "PATH": str(tmp_path / "bin"),
        "HOME": str(tmp_path),
        "GIT_PYTHON_REFRESH": "quiet",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
