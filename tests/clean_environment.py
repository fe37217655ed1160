"""`make test-environment`: whether requirements.lock and environment.yml are all that svdlens needs, in a clean prefix.

For each Python (PYTHONS="python3.11 /path/to/python3.13"; those that are not there are named and left out): a virtual
environment of the lock in a temporary directory, `pip check`, an import of every module of the library, and a dry run
of the bundled models. The same of environment.yml where micromamba is at hand. Minutes, and a download of all packages.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]
IMPORTS = """
import importlib, pathlib, sys
sys.path.insert(0, "scripts")
names = [".".join(path.relative_to("scripts").with_suffix("").parts) for path in pathlib.Path("scripts/svdlens").rglob("*.py")]
for name in sorted(name.removesuffix(".__init__") for name in names):
    importlib.import_module(name)
print(len(names), "modules")
"""  # noqa: E501
LEAST = 2
"""Pythons that must be proven for the whole to succeed."""


def run(command: list[str], log: Path) -> str:
    """The last line that a command in the project prints. Ends with what it said where it fails."""
    # Nothing of the environment that this was started in.
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=PROJECT, env=kept, capture_output=True, text=True, check=False)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        print(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}", file=sys.stderr)
        raise SystemExit(1)
    return (done.stdout.strip().splitlines() or [""])[-1]


def prove(python: list[str], directory: Path) -> list[str]:
    """What was seen in an environment whose Python is started by the command `python`."""
    log = directory / "log"
    dry_run = ["-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--directory", str(directory), "--dry-run"]
    config = ["--cores", "1", "--quiet", "all", "--configfile", str(PROJECT / "profiles/demo/bundled.yaml")]
    run([*python, *dry_run, *config], log)
    return [
        run([*python, "--version"], log),
        run([*python, "-m", "pip", "check"], log),
        run([*python, "-c", IMPORTS], log),
        "a dry run",
    ]


def main(pythons: list[str]) -> None:
    proven = 0
    for python in pythons:
        found = shutil.which(python)
        works = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
        if not works:
            print(f"{python}: not here, left out")
            continue
        assert found is not None
        with tempfile.TemporaryDirectory() as name:
            directory, start = Path(name), time.monotonic()
            run([found, "-m", "venv", str(directory / "venv")], directory / "log")
            clean = str(directory / "venv/bin/python")
            install = ["-m", "pip", "install", "--disable-pip-version-check", "-r", "requirements.lock"]
            run([clean, *install], directory / "log")
            seen = prove([clean], directory)
        print(f"{python}: requirements.lock: {'; '.join(seen)}; {time.monotonic() - start:.0f} s", flush=True)
        proven += 1
    if shutil.which("micromamba"):
        with tempfile.TemporaryDirectory() as name:
            prefix = ["--yes", "--prefix", f"{name}/prefix"]
            run(["micromamba", "create", *prefix, "--file", "environment.yml"], Path(name) / "log")
            seen = prove(["micromamba", "run", "--prefix", f"{name}/prefix", "python"], Path(name))
        print(f"micromamba: environment.yml: {'; '.join(seen)}")
    else:
        print("micromamba: not here, so environment.yml was not installed; its pins are those of the lock (tested)")
    if proven < LEAST:
        raise SystemExit(f'{proven} of at least {LEAST} Pythons were at hand: name others, PYTHONS="python3.11 ..."')


if __name__ == "__main__":
    main(sys.argv[1:])
