"""Weight files with random numbers in them, and what every decomposition must be."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file

from svdlens.svd.matrix_svd import Decomposition
from svdlens.weights.weight_files import WeightFile


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def orthonormal(seed: int, size: int, count: int) -> np.ndarray:
    """`count` orthonormal rows."""
    return np.linalg.qr(normal(seed, size, count))[0].T


def write_weights(
    path: Path,
    layers: int,
    heads: int,
    d_model: int,
    d_head: int,
    d_mlp: int,
    seed: int,
    key_value_heads: int | None = None,
) -> WeightFile:
    """A weight file with attention and MLP; gains are not one."""
    generator = np.random.default_rng(seed)
    shapes = {
        "attn.W_Q": (heads, d_model, d_head),
        **{f"attn.W_{name}": (key_value_heads or heads, d_model, d_head) for name in "KV"},
        "attn.W_O": (heads, d_head, d_model),
        "ln1.w": (d_model,),
        "mlp.W_in": (d_model, d_mlp),
        "mlp.W_out": (d_mlp, d_model),
        "ln2.w": (d_model,),
    }
    tensors = {
        f"blocks.{layer}.{name}": torch.from_numpy(generator.standard_normal(shape).astype(np.float32))
        for layer in range(layers)
        for name, shape in shapes.items()
    }
    save_file(tensors, path)
    return WeightFile(path)


def write_steps(path: Path, weights: WeightFile, rounded: tuple[str, ...], seed: int) -> WeightFile:
    """A file of rounding steps, for the weights of which the name ends in one of `rounded`."""
    generator = np.random.default_rng(seed)
    names = sorted(name for name in weights.names if rounded and name.endswith(rounded))
    save_file({name: torch.from_numpy(generator.uniform(0.01, 0.3, weights[name].shape)) for name in names}, path)
    return WeightFile(path)


def no_steps() -> WeightFile:
    """A file of rounding steps with none in it."""
    with TemporaryDirectory() as directory:
        save_file({}, Path(directory) / "steps.safetensors")
        return WeightFile(Path(directory) / "steps.safetensors")  # open, it outlives its name


def check_svd(found: Decomposition, dense: np.ndarray, rank: int, relative: float = 1e-10) -> None:
    """`found` has every direction of `dense`, up to `rank` of them, to a `relative` tolerance."""
    left, values, right = (part.numpy() for part in found)
    expected = np.linalg.svd(dense, compute_uv=False)
    tolerance = relative * max(expected[0], 1e-300)
    assert values.shape == (rank,)
    assert left.shape == (rank, dense.shape[0])
    assert right.shape == (rank, dense.shape[1])
    assert left.dtype == values.dtype == right.dtype == np.float64
    np.testing.assert_allclose(values, expected[:rank], rtol=0, atol=tolerance)
    assert (expected[rank:] <= tolerance).all()
    assert (np.diff(values) <= 0).all()
    assert (values >= 0).all()
    np.testing.assert_allclose(left.T @ np.diag(values) @ right, dense, rtol=0, atol=tolerance)
    for vectors in (left, right):
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(rank), rtol=0, atol=relative)
