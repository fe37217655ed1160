"""Every case of the benchmarks runs, and its contenders do comparable work; at sizes that take no time."""

import csv
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

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


# --- on a GPU


@pytest.fixture
def gpu(monkeypatch) -> Iterator[ModuleType]:
    """benchmarks/gpu.py, which times nothing for long and starts no tests."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = importlib.import_module("gpu")
    monkeypatch.setattr(script, "ENOUGH", 0.0)
    monkeypatch.setattr(script, "run_tests", lambda *arguments: "7 passed in 1s")
    threads = torch.get_num_threads()
    yield script
    torch.set_num_threads(threads)


def rows_of(directory: Path) -> list[dict[str, str]]:
    with (directory / "gpu.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_for_a_gpu_can_be_tried_out_without(gpu: ModuleType, tmp_path: Path, capsys) -> None:
    assert gpu.main(["--device", "cpu", "--tiny", "--output", str(tmp_path)]) == 0
    rows = rows_of(tmp_path)
    measured = {(row["case"], row["shape"], row["who"]) for row in rows if float(row["seconds"]) > 0}
    layer = {(case, who) for case in ("ov_layer", "mlp") for who in ("gpu", "cpu")}
    layer |= {("readout_layer", who) for who in ("gpu", "product", "cpu")}
    expected = {*layer, ("readout_model", "gpu"), ("readout_model", "product")}
    assert measured == {(case, shape, who) for shape in gpu.TINY for case, who in expected}
    assert len(measured) == len(rows)
    report = (tmp_path / "gpu.md").read_text("utf-8")
    assert report in capsys.readouterr().out
    assert report.count("\n| `") == 8 and "Tests: 7 passed" in report


def test_as_many_directions_are_read_as_the_configuration_keeps(gpu: ModuleType) -> None:
    """gpt2-xl: both sides of 25 heads, MLP-in and MLP-out, of each of 48 layers."""
    assert gpu.SHAPES["gpt2-xl"].directions(48) == [48 * 25 * 64, 48 * 25 * 64, 48 * 64, 48 * 64]


def test_what_is_over_the_budget_is_left_out_and_named(gpu: ModuleType, tmp_path: Path) -> None:
    assert gpu.main(["--device", "cpu", "--tiny", "--budget", "0", "--output", str(tmp_path)]) == 0
    assert all(row["note"].startswith("left out: ") and not row["seconds"] for row in rows_of(tmp_path))
    assert "* `readout_model` 7B gpu: left out" in (tmp_path / "gpu.md").read_text("utf-8")


def test_a_measurement_that_fails_takes_no_other_with_it(gpu: ModuleType, tmp_path: Path, monkeypatch) -> None:
    def full(size, device):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(gpu, "random_readout", full)
    assert gpu.main(["--device", "cpu", "--tiny", "--output", str(tmp_path)]) == 1
    for row in rows_of(tmp_path):
        if row["case"] == "readout_layer":
            assert row["note"] == "failed: OutOfMemoryError: CUDA out of memory."
        elif row["case"] != "readout_model":
            assert not row["note"]


def test_no_gpu_is_one_plain_message(gpu: ModuleType, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(SystemExit, match=r"^torch \S+ finds no CUDA device here\. Run this on .* --device cpu --tiny"):
        gpu.main(["--output", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()


def test_every_test_for_a_gpu_is_run_where_little_is_installed(tmp_path: Path, monkeypatch) -> None:
    """The command of the script, on a machine without Snakemake, TransformerLens and beartype; it only collects."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = importlib.import_module("gpu")
    for package in ("snakemake", "transformer_lens", "beartype", "playwright", "xdist"):
        (tmp_path / f"{package}.py").write_text(f"raise ImportError('{package} is not installed')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    script.run_tests(tmp_path, "cuda", 60)
    collected = {
        line.split("::")[0] for line in (tmp_path / "tests.txt").read_text("utf-8").splitlines() if "::test_" in line
    }
    marked = {
        str(path.relative_to(BENCHMARKS.parent))
        for path in (BENCHMARKS.parent / "tests").glob("*/test_*.py")
        if re.search(r"^from devices import", path.read_text("utf-8"), re.MULTILINE)
    }
    assert collected == marked == set(map(str, script.TEST_FILES)) != set()
