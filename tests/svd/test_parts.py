"""Decompositions in several jobs: every layer once and in order, and joined the arrays of the whole."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svdlens.spec.settings import SWITCHES
from svdlens.svd.parts import join_parts, layers_of_part
from svdlens.weights.weight_files import save_tensors
from workflow import Workflow

pytest_plugins = ["workflow_fixtures"]


@given(st.lists(st.integers(0, 99), unique=True, min_size=1).map(sorted), st.integers(1, 20))
def test_every_layer_is_in_one_part_in_order_and_parts_are_even(layers: list[int], parts: int) -> None:
    pieces = [layers_of_part(layers, part, parts) for part in range(1, parts + 1)]
    assert [layer for piece in pieces for layer in piece] == layers
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_are_joined_to_the_whole(parts: int, tmp_path: Path) -> None:
    whole = {"left": torch.randn(5, 3, 4, 2), "values": torch.rand(5, 3, 4, dtype=torch.float64)}
    files = []
    for part in range(1, parts + 1):
        files.append(tmp_path / f"{part}.safetensors")
        layers = layers_of_part(range(5), part, parts)
        save_tensors(files[-1], {name: array[list(layers)] for name, array in whole.items()} if layers else {})
    joined = join_parts(files)
    assert joined.keys() == whole.keys()
    assert all(torch.equal(joined[name], array) and joined[name].dtype == array.dtype for name, array in whole.items())


@pytest.mark.slow
@pytest.mark.workflow
def test_a_sweep_in_parts_has_the_files_of_one_that_is_whole(finished: Workflow, tiny: Workflow) -> None:
    switches = "/".join(f"{name}=off" for name in SWITCHES)
    paths = [f"results/{kind}/model=tiny/{switches}/mlp_in.safetensors" for kind in ("svd", "stability")]
    paths.append(f"results/by_switches/tokens/model=tiny/{switches}/mlp_in.parquet")
    run = tiny.finish(*paths, config={"svd_parts": 2, "readout_parts": 3})
    # Of a single layer one part has it, and the others are empty.
    once = ("fetch_model", "extract_weights", "decompose_matrices", "measure_stability")
    assert run.counts == {
        **dict.fromkeys((*once, "decode_tokens", "project_directions"), 1),
        **dict.fromkeys(("decompose_part", "measure_part"), 2),
        "project_part": 3,
    }
    for path in paths:
        assert (tiny.directory / path).read_bytes() == (finished.directory / path).read_bytes()
