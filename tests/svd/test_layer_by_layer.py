"""What is computed of every matrix of a model: same bytes for any threads and layers, weights not finite, memory."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from safetensors.torch import save_file

from random_weights import no_steps, write_steps, write_weights
from svdlens.errors import SvdlensError
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.svd.layer_by_layer import Arrays, Compute, Task, each_layer, on_cpu, on_device
from svdlens.svd.model_stability import measure_layers, measure_matrix
from svdlens.svd.model_svd import decompose_layers, decompose_matrix
from svdlens.svd.weight_noise import WeightNoise
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile

MATRICES = ("ov", "qk", "mlp_in", "mlp_out")
COMPUTES: dict[str, Compute] = {
    "decomposition": decompose_matrix,
    "stability": functools.partial(measure_matrix, noise=WeightNoise(0.01, weights=no_steps(), steps=no_steps())),
}
each_compute = pytest.mark.parametrize("compute", COMPUTES.values(), ids=COMPUTES)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """The number of torch threads is global, and jobs change it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> WeightFile:
    """Large enough for LAPACK to share the work out among threads, if it may."""
    return write_weights(tmp_path_factory.mktemp("larger") / "weights.safetensors", 3, 4, 192, 48, 384, seed=2)


def same_bytes(one: Arrays, other: Arrays) -> bool:
    assert list(one) == list(other)
    return all(one[name].numpy().tobytes() == other[name].numpy().tobytes() for name in one)


# --- the same bytes for any number of threads, and any layers


@each_compute
@pytest.mark.parametrize("matrix", MATRICES)
def test_everything_is_as_single_threaded_lapack_has_it(matrix: str, compute: Compute, larger: WeightFile) -> None:
    """In float64, where a difference cannot be rounded away. The first matrix of a new thread is the dangerous one."""
    torch.set_num_threads(1)
    task = Task(matrix, Setting(), 32)
    expected = []
    for layer in range(3):
        layer_factors = factors(larger, matrix, layer, Setting())
        if MATRIX_KINDS[matrix].per_head:
            matrices = [[factor[head].clone() for factor in layer_factors] for head in range(4)]
            heads = [compute(matrix_factors, task, layer, [head]) for head, matrix_factors in enumerate(matrices)]
            expected.append({name: torch.stack([arrays[name] for arrays in heads]) for name in heads[0]})
        else:
            expected.append(compute(layer_factors, task, layer, [0]))
    for n_threads in (1, 2):
        computed = list(on_cpu(compute, larger, task, range(3), n_threads))
        assert all(same_bytes(one, other) for one, other in zip(computed, expected, strict=True))


@each_compute
@pytest.mark.parametrize("matrix", MATRICES)
def test_some_of_the_layers_have_the_bytes_of_the_whole(matrix: str, compute: Compute, larger: WeightFile) -> None:
    task = Task(matrix, Setting(), 16)
    torch.set_num_threads(2)  # as Snakemake does before a script starts, through the environment
    whole = each_layer(compute, larger, task, range(3), 2, "cpu")
    for layers in ([2], [0, 2], [1]):
        some = each_layer(compute, larger, task, layers, 1, "cpu")
        assert same_bytes(some, {name: array[layers] for name, array in whole.items()})


@settings(max_examples=15)
@given(
    matrix=st.sampled_from(MATRICES),
    layers=st.integers(1, 4),
    heads=st.integers(1, 3),
    d_model=st.integers(2, 20),
    directions=st.none() | st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_neither_threads_nor_layers_change_a_model(tmp_path_factory, matrix, layers, heads, d_model, directions, seed):
    weights = write_weights(tmp_path_factory.mktemp("any") / "w.safetensors", layers, heads, d_model, 3, 11, seed)
    task = Task(matrix, Setting(), directions)
    steps = write_steps(tmp_path_factory.mktemp("any") / "s.safetensors", weights, ("W_V", "W_K", "W_in"), seed)
    noise = WeightNoise(0.05, weights, steps)
    for run in (functools.partial(decompose_layers, weights), functools.partial(measure_layers, noise)):
        whole = run(task, range(layers), threads=1)
        assert same_bytes(run(task, range(layers), threads=3), whole)
        for layer in range(layers):
            assert same_bytes(run(task, [layer]), {name: array[[layer]] for name, array in whole.items()})


# --- weights that are not finite


@each_compute
@pytest.mark.parametrize(
    ("matrix", "name", "value"),
    [
        ("ov", "attn.W_V", np.nan),
        ("ov", "attn.W_O", np.inf),
        ("qk", "attn.W_K", -np.inf),
        ("mlp_in", "mlp.W_in", np.nan),
        ("mlp_out", "mlp.W_out", np.inf),
    ],
)
def test_weights_that_are_not_finite_are_refused(
    matrix: str, name: str, value: float, compute: Compute, tmp_path: Path
) -> None:
    write_weights(tmp_path / "sound.safetensors", 2, 2, 8, 4, 16, seed=1)
    tensors = {name: torch.from_numpy(tensor) for name, tensor in load_file(tmp_path / "sound.safetensors").items()}
    tensors[f"blocks.1.{name}"].view(-1)[[3, 9]] = value
    save_file(tensors, tmp_path / "wrong.safetensors")
    weights, task = WeightFile(tmp_path / "wrong.safetensors"), Task(matrix, Setting(), 32)
    for device in ("cpu", "meta"):  # before anything is sent to a device
        with pytest.raises(SvdlensError, match=rf"^{matrix} of layer 1 has 2 weights that are NaN or.*checkpoint"):
            each_layer(compute, weights, task, [1], 2, device)


# --- a device without room


@each_compute
@pytest.mark.parametrize("fitting", [3, 1, 0])
def test_a_device_out_of_memory_gets_fewer_heads_at_a_time(
    fitting: int, compute: Compute, larger: WeightFile, caplog: pytest.LogCaptureFixture
) -> None:
    """A device on which `fitting` of the four heads find room, and the error that torch raises there."""
    task = Task("ov", Setting(), 16)
    tried = []

    def limited(batch: list[torch.Tensor], task: Task, layer: int, heads: Sequence[int]) -> Arrays:
        tried.append(len(heads))
        if len(heads) > fitting:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return compute(batch, task, layer, heads)

    if fitting == 0:
        with pytest.raises(SvdlensError, match=r"^cpu has no room for ov of layer 0: CUDA out of memory.*on the CPU"):
            list(on_device(limited, larger, task, range(3), "cpu"))
        return
    at_once = list(on_device(compute, larger, task, range(3), "cpu"))
    for arrays, expected in zip(on_device(limited, larger, task, range(3), "cpu"), at_once, strict=True):
        for name, array in arrays.items():
            if name != "stability_float32":
                torch.testing.assert_close(array, expected[name], rtol=1e-5, atol=1e-5)
    assert [record.message for record in caplog.records] == [
        "cpu ran out of memory; going on with fewer heads at a time"
    ]
    # What was found in the first layer is remembered: 4 fails, then 2 (and 1) at a time.
    assert tried == ([4, 2, 2, 2, 2, 2, 2] if fitting == 3 else [4, 2] + [1] * 12)
