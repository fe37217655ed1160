"""The explorer's JavaScript without a browser: its types, and `node --test` on what it computes.

Node comes as Debian's nodejs; TypeScript, for the types, with `npm ci --ignore-scripts`, which `make lint-js` runs.
"""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from made_up_sweep import Shape, label_again, write_agreement, write_examples, write_sweep
from svdlens.explorer.build import build_explorer

PROJECT = Path(__file__).parents[2]
TESTS = sorted((PROJECT / "tests/explorer_js").glob("*.test.js"))
MODELS = {
    "a model": Shape(layers=2, heads=2, directions=4, matrices=("ov", "mlp_in")),
    "deeper": Shape(layers=5, heads=2, readouts=("W_U", "W_E"), matrices=("qk",), tables=(("raw", 0),)),
}


def node() -> str:
    """Node of this machine; a test that asks is skipped where there is none."""
    found = shutil.which("node")
    if not found:
        pytest.skip("no Node here: apt-get install nodejs")
    return found


def run(*command: str | Path, **environment: str) -> None:
    """Run a command in the project, and fail with what it said if it failed."""
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scripts_compute_what_they_should(tmp_path):
    executable = node()
    sources = write_sweep(tmp_path / "results", MODELS, controls=40)
    examples = tmp_path / "results/examples.parquet"
    write_examples(examples, MODELS["a model"])
    # In one setting of one model; the others have none.
    sources = [
        replace(source, examples=examples) if (source.model, source.setting) == ("a model", "fold") else source
        for source in sources
    ]
    raw = [source for source in sources if source.setting == "raw"]
    label_again(raw, "llm", sign=1, directions=3)
    label_again([source for source in raw if source.tokens.stem != "mlp_in"], "manual", every=3)
    agreement, explorer = write_agreement(sources), tmp_path / "explorer"
    build_explorer(sources, tmp_path / "results/tables/fractions.parquet", [], explorer, agreement)
    pairs = pq.ParquetFile(agreement).read().filter(pc.field("second").is_valid()).to_pylist()
    (explorer / "agreement.json").write_text(json.dumps(pairs))
    run(executable, "--test", *TESTS, SVDLENS_EXPLORER=str(tmp_path / "explorer"))


@pytest.mark.slow
def test_the_types_of_the_scripts_fit():
    executable = node()
    compiler = PROJECT / "node_modules/.bin/tsc"
    if not compiler.exists():
        pytest.skip("no TypeScript here: make lint-js installs it")
    run(executable, compiler)
