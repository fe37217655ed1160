"""SVDs on a device are those of the CPU and of a dense float64 SVD; the batched path runs on the CPU as well."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from devices import each_device, on_cuda, switches, without_memory
from random_weights import check_svd, no_steps, normal, orthonormal, write_weights
from svdlens.errors import SvdlensError
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.svd.layer_by_layer import Arrays, Compute, Task, batch_on_device, each_layer, on_device
from svdlens.svd.matrix_svd import SIGN_TIE, Decomposition
from svdlens.svd.model_stability import measure_matrix
from svdlens.svd.model_svd import decompose_layers, decompose_matrix
from svdlens.svd.weight_noise import WeightNoise
from svdlens.weights.weight_files import WeightFile

MATRICES = ("ov", "qk", "mlp_in", "mlp_out")
COMPUTES: dict[str, Compute] = {
    "decomposition": decompose_matrix,
    "stability": functools.partial(measure_matrix, noise=WeightNoise(0.01, weights=no_steps(), steps=no_steps())),
}


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> WeightFile:
    return write_weights(tmp_path_factory.mktemp("larger") / "weights.safetensors", 3, 4, 192, 48, 384, seed=2)


def decompose_on(device: str, factors: list[np.ndarray], matrix: str, directions: int | None = None) -> Decomposition:
    tensors = [torch.from_numpy(factor) for factor in factors]
    heads = range(len(tensors[0])) if tensors[0].ndim == 3 else [0]
    return Decomposition(
        **batch_on_device(decompose_matrix, tensors, Task(matrix, Setting(), directions), 0, heads, device)
    )


def check_signs(vectors: Tensor) -> None:
    """Of the coordinates that are as good as largest, the first is positive."""
    magnitudes = vectors.abs()
    first = (magnitudes >= magnitudes.amax(dim=-1, keepdim=True) * (1 - SIGN_TIE)).int().argmax(dim=-1, keepdim=True)
    assert (vectors.gather(-1, first) > 0).all()


# --- against the CPU


@each_device
@pytest.mark.parametrize("matrix", MATRICES)
def test_batches_on_a_device_are_the_matrices_of_the_cpu(matrix: str, device: str, larger: WeightFile) -> None:
    task = Task(matrix, Setting(), 16)
    for compute, tolerance in zip(COMPUTES.values(), (1e-5, 1e-4), strict=True):
        expected = each_layer(compute, larger, task, range(3), 1, "cpu")
        for layer, arrays in enumerate(on_device(compute, larger, task, range(3), device)):
            for name, array in arrays.items():
                # What float32 does to crowded vectors depends on every rounding, and is another number on each device.
                if name != "stability_float32":
                    torch.testing.assert_close(array.float(), expected[name][layer].float(), rtol=1e-6, atol=tolerance)


@on_cuda
@pytest.mark.parametrize("matrix", MATRICES)
def test_a_model_on_the_device_is_that_of_the_cpu(matrix: str, larger: WeightFile) -> None:
    """As the rule asks for it; torch's switches for low precision, on before, are on again after."""
    task, legacy = Task(matrix, Setting(), None), torch.backends.cuda.matmul
    expected = decompose_layers(larger, task, range(3))
    legacy.allow_tf32 = True
    try:
        before = switches()
        found = decompose_layers(larger, task, range(3), 2, "cuda")
        assert switches() == before
    finally:
        legacy.allow_tf32 = False
    assert list(found) == list(expected)
    torch.testing.assert_close(found["values"], expected["values"], rtol=1e-6, atol=1e-6)
    for name in ("left", "right"):
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-5)


# --- against a dense SVD


@each_device
@pytest.mark.parametrize(("heads", "d_model", "d_head"), [(1, 40, 8), (5, 96, 64), (12, 128, 16), (2, 24, 40)])
def test_factored_products_against_a_dense_svd(heads: int, d_model: int, d_head: int, device: str) -> None:
    """The last has heads wider than the residual stream."""
    W_V, W_O = normal(1, heads, d_model, d_head), normal(2, heads, d_head, d_model)
    found = decompose_on(device, [W_V, W_O], "ov")
    for head in range(heads):
        one = Decomposition(*(array[head] for array in found))
        check_svd(one, W_V[head] @ W_O[head], rank=min(d_head, d_model), relative=1e-7)
    check_signs(found.right)


def near_singular(rows: int, columns: int) -> np.ndarray:
    """With singular values from 1 to 1e-9, so that no Gram matrix will do."""
    values = np.geomspace(1, 1e-9, rows)
    return orthonormal(3, rows, rows).T @ (values[:, None] * orthonormal(4, columns, rows))


MLPS: dict[str, Callable[[], np.ndarray]] = {
    "wide": lambda: normal(1, 64, 256),
    "tall": lambda: normal(1, 256, 64),
    "centred": lambda: (weight := normal(2, 64, 256)) - weight.mean(axis=0),
    "near_singular": lambda: near_singular(48, 100),
}


@each_device
@pytest.mark.parametrize("make", MLPS.values(), ids=MLPS)
def test_mlps_against_a_dense_svd(make: Callable[[], np.ndarray], device: str) -> None:
    weight = make()
    found = decompose_on(device, [weight], "mlp_in")
    check_svd(found, weight, rank=min(weight.shape), relative=1e-7)
    check_signs(found.left)
    leading = decompose_on(device, [weight], "mlp_in", 10)
    torch.testing.assert_close(leading.values, found.values, rtol=1e-7, atol=1e-12)
    for name in ("left", "right"):
        torch.testing.assert_close(getattr(leading, name), getattr(found, name)[:10], rtol=0, atol=1e-6)


@each_device
@pytest.mark.parametrize("matrix", ["ov", "mlp_in"])
def test_near_degenerate_clusters_have_the_planted_subspaces(matrix: str, device: str) -> None:
    """Vectors of values that coincide to nine digits may be any of their subspace, which is the same everywhere."""
    values = np.array([9.0, 7.0, 7.0 - 1e-9, 7.0 - 2e-9, 5.0, 4.0, 4.0 - 1e-9, 3.0, 2.0, 1.0])
    left, right = orthonormal(5, 64, 10), orthonormal(6, 96 if matrix == "mlp_in" else 64, 10)
    if matrix == "ov":
        found = decompose_on(device, [(left.T * np.sqrt(values))[None], (np.sqrt(values)[:, None] * right)[None]], "ov")
        found = Decomposition(*(array[0] for array in found))
    else:
        found = decompose_on(device, [left.T @ (values[:, None] * right)], "mlp_in", 10)
    np.testing.assert_allclose(found.values[:10].numpy(), values, rtol=1e-7)
    for first, end in ((0, 1), (1, 4), (4, 5), (5, 7), (7, 8), (8, 9), (9, 10)):
        for vectors, planted in ((found.left.numpy(), left), (found.right.numpy(), right)):
            projector = vectors[first:end].T @ vectors[first:end]
            np.testing.assert_allclose(projector, planted[first:end].T @ planted[first:end], rtol=0, atol=1e-6)


@each_device
@pytest.mark.parametrize("compute", COMPUTES.values(), ids=COMPUTES)
@pytest.mark.parametrize("matrix", MATRICES)
def test_two_runs_on_a_device_give_the_same_bytes(
    matrix: str, compute: Compute, device: str, larger: WeightFile
) -> None:
    def run() -> list[Arrays]:
        return list(on_device(compute, larger, Task(matrix, Setting(), 16), range(3), device))

    for one, other in zip(run(), run(), strict=True):
        assert {name: array.numpy().tobytes() for name, array in one.items()} == {
            name: array.numpy().tobytes() for name, array in other.items()
        }


@on_cuda
@pytest.mark.parametrize("matrix", ["ov", "mlp_in"])
def test_no_room_on_the_device_is_said(matrix: str) -> None:
    factors = [torch.ones(1, 2048, 2048, dtype=torch.float64)] * (2 if MATRIX_KINDS[matrix].per_head else 1)
    task = Task(matrix, Setting(), 16)
    with (
        without_memory(),
        pytest.raises(SvdlensError, match=rf"^cuda has no room for {matrix} of layer 3: CUDA out of memory.*the CPU"),
    ):
        batch_on_device(decompose_matrix, factors, task, 3, [0], "cuda")
