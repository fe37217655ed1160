"""Every case of the benchmarks runs, and its contenders do comparable work; at sizes that take no time."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from made_up_sweep import Shape

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

# Runs every contender of every case on a model of one layer, and counts SVDs and read-outs of nine settings.
EVERY_CASE = """
import json, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import cases
cases.DIRECTIONS, cases.TOKENS = 8, 20
cases.SHAPES = {"tiny": cases.Shape(n_layers=1, n_heads=2, d_model=24, d_head=8, d_vocab=300)}
ran = {}
for name, case in cases.CASES.items():
    ran[name] = []
    for who in ("ours", *case.peers):
        work, share = case.prepare("tiny", who)
        work()
        assert share >= 1
        ran[name].append(who)
counts = {"svd": [], "readout": []}
decompose_model, top_tokens = cases.decompose_model, cases.top_tokens
cases.decompose_model = lambda *arguments: counts["svd"].append(arguments[2]) or decompose_model(*arguments)
cases.top_tokens = lambda *arguments: counts["readout"].append(1) or top_tokens(*arguments)
cases.nine_settings("tiny", "ours")[0]()
svd = {matrix: counts["svd"].count(matrix) for matrix in cases.MATRICES}
print(json.dumps([ran, svd, len(counts["readout"]), len(cases.SETTINGS)]))
"""


@pytest.mark.slow
def test_every_case_runs_and_nine_settings_share_what_they_can() -> None:
    command = [sys.executable, "-c", EVERY_CASE, str(BENCHMARKS), str(BENCHMARKS.parent / "scripts")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ran, svd, readouts, n_settings = json.loads(done.stdout.splitlines()[-1])
    assert n_settings == 9
    assert svd == {"ov": 5, "mlp_in": 3, "mlp_out": 2}
    assert readouts == 5 * 2 + 3 + 4  # both sides of OV
    assert {"ov_layer", "mlp_leading", "readout", "whole_model", "nine_settings"} <= set(ran)
    assert all(len(contenders) > 1 for contenders in ran.values())


def test_every_script_finds_what_it_imports() -> None:
    """What a script takes from the library may have another name by now, and not every script has tests of its own."""
    names = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
    code = "import importlib, sys; sys.path[:0] = sys.argv[1:3]; [importlib.import_module(one) for one in sys.argv[3:]]"
    command = [sys.executable, "-c", code, str(BENCHMARKS), str(BENCHMARKS.parent / "scripts"), *names]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_case_that_is_none_is_named() -> None:
    command = [sys.executable, str(BENCHMARKS / "bench.py"), "ov_layr"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "'ov_layr' is no case. Cases: ov_layer, " in done.stderr
    assert "Did you mean 'ov_layer'?" in done.stderr


@pytest.mark.slow
def test_the_explorer_is_built_and_every_action_shows_something(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = importlib.import_module("explorer")
    # The head that an action chooses is there, and little else.
    models = {"small": Shape(layers=11, heads=8, directions=4, tables=benchmark.NINE)}
    seconds, gib = benchmark.build(tmp_path / "results", models, tmp_path / "explorer")
    assert seconds > 0 and gib > 0 and benchmark.megabytes(tmp_path / "explorer") > 0
    measured = list(benchmark.clicks("small", tmp_path / "explorer/index.html", most=60))
    assert len(measured) == 1 + len(benchmark.ACTIONS)
    assert all(0 < one.value < one.limit for one in measured[1:])


@pytest.mark.slow
def test_requests_and_look_ups_are_measured(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = importlib.import_module("llm")
    overhead = benchmark.measure_overhead(tmp_path, n=40, in_flight=4, service=0.01)
    assert overhead.value > 0  # nobody is faster than the server
    assert all(0 < one.value < one.limit for one in benchmark.measure_look_ups(tmp_path, rows=400))
