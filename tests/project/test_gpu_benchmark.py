"""The script for a GPU: tried without one."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu.py"


def test_it_measures_and_compares_every_case(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--device", "cpu", "--tiny", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "gpu.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["ov_layer", "mlp_matrix", "readout", "whole_readout"]
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert [row["agrees"] for row in rows] == ["True"] * 3 + [""]
    for row in rows:
        assert f"| {row['case']} | tiny | {row['seconds']} |" in done.stdout


def test_what_there_is_no_time_for_is_named(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--device", "cpu", "--tiny", "--minutes", "0", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "No time was left for ov_layer of tiny, mlp_matrix of tiny, readout of tiny, whole_readout" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--output", tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "finds no CUDA device here" in done.stderr and "CUDA build of torch" in done.stderr
    assert not list(tmp_path.iterdir())
