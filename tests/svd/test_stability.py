"""Stability of singular vectors: against draws of the noise, and planted gaps."""

import functools
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from random_weights import normal, orthonormal, write_steps, write_weights
from svdlens.models.gguf_rounding import SHARE, step_rows
from svdlens.models.gguf_tensors import GgufTensor
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.matrix_svd import decompose, fix_signs
from svdlens.svd.model_stability import measure_layers
from svdlens.svd.stability import mixing_of_two, smallest_cosine, stability_in_float32, stability_under_noise
from svdlens.svd.weight_noise import WeightNoise
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile

seeds = st.integers(0, 2**32 - 1)


def planted(values: np.ndarray, n: int, m: int, seed: int) -> list[torch.Tensor]:
    rank = len(values)
    return [torch.from_numpy(orthonormal(seed, n, rank).T * values @ orthonormal(seed + 1, m, rank))]


def of_size(deviation: float, parts: list[Tensor]) -> list[Tensor]:
    """The variance of noise of this standard deviation on every weight."""
    return [torch.full((1, 1), deviation**2, dtype=torch.float64) for _ in parts]


def drawn(parts: list[Tensor], variances: list[Tensor], matrix: str, draws: int, seed: int) -> np.ndarray:
    """The oracle: root mean square of |cos| to the vectors after normal noise with these variances, drawn so often.

    Of two sides the smaller. By dense SVDs of numpy, of all draws together.
    """
    generator = np.random.default_rng(seed)
    rank = min(parts[0].shape + parts[-1].shape)

    def vectors(factors: list[np.ndarray]) -> dict[str, np.ndarray]:
        left, _, right = np.linalg.svd(functools.reduce(np.matmul, factors), full_matrices=False)
        return {"left": np.swapaxes(left, -1, -2)[..., :rank, :], "right": right[..., :rank, :]}

    exact = vectors([part.numpy() for part in parts])
    disturbed = vectors(
        [
            part.numpy() + variance.sqrt().numpy() * generator.standard_normal((draws, *part.shape))
            for part, variance in zip(parts, variances, strict=True)
        ]
    )
    sides = [side.array for side in MATRIX_KINDS[matrix].sides.values()]
    squares = [np.square(np.sum(exact[side] * disturbed[side], axis=-1)) for side in sides]
    return np.sqrt(np.minimum.reduce([np.mean(square, axis=0) for square in squares]))


def test_without_noise_nothing_changes() -> None:
    """Not even among equal values, and in a matrix of zeros."""
    parts = [torch.from_numpy(normal(1, 12, 5)), torch.from_numpy(normal(2, 5, 12))]
    equal, zeros = planted(np.ones(5), 8, 9, 0), [torch.zeros(4, 6, dtype=torch.float64)]
    for some, matrix in ((parts, "ov"), (parts, "qk"), (parts[:1], "mlp_in"), (equal, "mlp_in"), (zeros, "mlp_out")):
        exact = decompose(some, None)
        stability = stability_under_noise(some, exact, matrix, of_size(0, some), None)
        np.testing.assert_allclose(stability, 1, rtol=1e-7)


@settings(max_examples=12)
@given(
    matrix=st.sampled_from(["ov", "qk", "mlp_in", "mlp_out", "tall mlp_out"]),
    noise=st.floats(1e-3, 1e-2),
    even=st.booleans(),
    seed=seeds,
)
def test_it_is_what_many_draws_of_the_noise_give(matrix, noise, even, seed):
    """1 - cos^2, within what 1,000 draws are sure of; for noise of one size, and for any on each weight."""
    if matrix in ("ov", "qk"):
        parts = [torch.from_numpy(normal(seed, 14, 4)), torch.from_numpy(normal(seed + 1, 4, 11))]
    else:
        parts = [torch.from_numpy(normal(seed, *((11, 6) if matrix.startswith("tall") else (6, 11))))]
    matrix = matrix.split()[-1]
    generator = np.random.default_rng(seed)
    shapes = [(1, 1) if even else part.shape for part in parts]
    variances = [torch.from_numpy((noise * generator.uniform(0.5, 1.5, shape)) ** 2) for shape in shapes]
    stability = stability_under_noise(parts, decompose(parts, None), matrix, variances, None).numpy()
    draws = drawn(parts, variances, matrix, 1000, seed)
    determined = stability > 0.99
    ratio = (1 - stability**2) / (1 - draws**2)
    assert (ratio[determined] > 0.75).all() and (ratio[determined] < 1.35).all()
    np.testing.assert_allclose(stability, draws, atol=0.05)


@pytest.mark.parametrize("size", [0.003, 0.03, 0.1, 0.3, 3])
def test_two_close_values_turn_as_draws_say_whatever_the_noise(size: float) -> None:
    """From far less than their distance of 0.1 to far more; to 0.71, where either may stand for the other."""
    parts = planted(np.array([20.0, 19.9]), 2, 2, seed=3)
    stability = stability_under_noise(parts, decompose(parts, None), "mlp_in", of_size(size, parts), None).numpy()
    np.testing.assert_allclose(stability, drawn(parts, of_size(size, parts), "mlp_in", 2000, 0), atol=0.015)


def test_equal_values_share_their_space() -> None:
    """m of them: the mean of cos^2 is 1 / m, as that of any vector of their space."""
    for m in (2, 3, 5):
        parts = planted(np.array([9.0] + [4.0] * m + [1.0]), m + 2, m + 2, seed=1)
        stability = stability_under_noise(parts, decompose(parts, None), "mlp_in", of_size(1e-7, parts), None)
        np.testing.assert_allclose(stability[1:-1], m**-0.5, rtol=1e-5)
        np.testing.assert_allclose(stability[[0, -1]], 1, rtol=1e-9)


def test_mixing_is_the_ratio_while_small_and_one_at_most() -> None:
    ratios = torch.tensor([0.0, 1e-12, 1e-6, 1e-4, 1e12, torch.inf], dtype=torch.float64)
    expected = torch.tensor([0.0, 1e-12, 1e-6, 1e-4, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(mixing_of_two(ratios), expected, rtol=1e-3, atol=1e-15)
    assert (mixing_of_two(torch.logspace(-20, 20, 500, dtype=torch.float64)).diff() >= -1e-10).all()


def test_isolated_values_are_stable_and_crowded_ones_are_not() -> None:
    """Four values 20 % apart, and four equal ones, of which noise makes other vectors."""
    values = np.array([8.0, 6.4, 5.1, 4.1, 2.0, 2.0, 2.0, 2.0])
    parts = planted(values, 40, 60, seed=0)
    exact = fix_signs(decompose(parts, None), "mlp_in")
    stability = stability_under_noise(parts, exact, "mlp_in", of_size(0.002, parts), 8).numpy()
    assert (stability[:4] > 0.99).all()
    assert stability[4:].max() < 0.6
    # Rounding to float32 is noise too, only a hundred thousand times weaker.
    in_float32 = stability_in_float32(parts, exact, "mlp_in").numpy()
    assert (in_float32[:4] > 1 - 1e-9).all()
    assert in_float32[4:].min() < 0.9


@settings(max_examples=20)
@given(batch=st.integers(1, 4), directions=st.none() | st.integers(1, 6), seed=seeds)
def test_a_batch_is_its_matrices_and_fewer_directions_are_the_first(batch, directions, seed):
    first, second = torch.from_numpy(normal(seed, batch, 9, 4)), torch.from_numpy(normal(seed + 1, batch, 4, 9))
    variances = [torch.from_numpy(normal(seed + 2, *part.shape) ** 2 * 1e-4) for part in (first, second)]
    exact = decompose([first, second], None)
    together = stability_under_noise([first, second], exact, "ov", variances, directions)
    assert together.shape == (batch, min(directions or 4, 4))
    for head in range(batch):
        parts = [first[head], second[head]]
        alone = stability_under_noise(parts, decompose(parts, None), "ov", [one[head] for one in variances], None)
        torch.testing.assert_close(alone[:directions], together[head], rtol=0, atol=1e-9)


@pytest.mark.parametrize("quantisation", ["Q4_0", "Q4_1", "Q5_1", "Q8_0"])
@pytest.mark.parametrize("matrix", ["mlp_in", "ov"])
def test_steps_say_how_far_quantisation_turned_the_vectors(quantisation: str, matrix: str) -> None:
    """Weights quantised by the library gguf itself: |cos| to the vectors of the weights before, over many matrices."""
    kind = gguf.GGMLQuantizationType[quantisation]
    predicted, found = [], []
    for seed in range(5):
        shapes = [(64, 96)] if matrix == "mlp_in" else [(64, 32), (32, 64)]
        # Columns from 10 to 1, so that singular values differ as trained weights' do.
        before = [normal(seed + 100 * i, *shape).astype(np.float32) for i, shape in enumerate(shapes)]
        before[0] = before[0] * np.geomspace(10, 1, shapes[0][1], dtype=np.float32)
        stored = [gguf.quantize(weight, kind) for weight in before]
        after = [torch.from_numpy(gguf.dequantize(blocks, kind)).double() for blocks in stored]
        variances = []
        for shape, blocks in zip(shapes, stored, strict=True):
            [steps] = step_rows(GgufTensor(quantisation, shape, blocks), np.arange(shape[0]))
            variances.append(torch.from_numpy(steps.repeat(SHARE, axis=1)).double().square() / 12)
        exact = decompose(after, None)
        predicted.append(stability_under_noise(after, exact, matrix, variances, 16).numpy())
        unrounded = decompose([torch.from_numpy(weight).double() for weight in before], None)
        found.append(smallest_cosine(exact, unrounded, matrix)[:16].numpy())
    predicted, found = np.stack(predicted), np.stack(found)
    # One draw of a skewed quantity: its median is below its mean. The extremes of a block are exact, besides.
    determined = predicted > 0.9
    ratio = (1 - found[determined] ** 2) / (1 - predicted[determined] ** 2)
    assert 0.5 < np.median(ratio) < 1
    assert (found[predicted > 0.99] > 0.95).all()


@pytest.mark.parametrize(("matrix", "shape"), [("mlp_in", (6, 20)), ("mlp_out", (20, 6)), ("mlp_in", (20, 6))])
def test_float32_agrees_with_a_plain_svd_in_float32(matrix: str, shape: tuple[int, int]) -> None:
    """Whichever way its vectors are exact: those with gaps are the same, to float32."""
    weight = planted(np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.5]), *shape, seed=3)
    exact = decompose(weight, 6)
    left, _, right = np.linalg.svd(weight[0].numpy().astype(np.float32), full_matrices=False)
    side = exact.left.numpy() @ left if matrix == "mlp_in" else exact.right.numpy() @ right.T
    stability = stability_in_float32(weight, exact, matrix)
    np.testing.assert_allclose(stability, np.abs(np.diag(side)), atol=1e-5)


def test_of_two_sides_the_smaller_cosine_counts() -> None:
    exact = decompose(planted(np.array([2.0, 1.0]), 2, 2, seed=0), 2)
    turned = exact._replace(right=exact.right.flip(0))
    assert smallest_cosine(exact, turned, "mlp_in").tolist() == pytest.approx([1, 1])
    assert smallest_cosine(exact, turned, "ov").tolist() == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize("read_gain", [False, True])
@pytest.mark.parametrize("rounded", [(), ("attn.W_V", "attn.W_K", "mlp.W_in"), ("attn.W_O", "attn.W_Q", "mlp.W_out")])
def test_every_matrix_of_a_model_is_measured_as_it_is_alone(
    rounded: tuple[str, ...], read_gain: bool, tmp_path: Path
) -> None:
    """With the noise of its own layer and head, and against the float64 vectors, to float32."""
    weights = write_weights(tmp_path / "weights.safetensors", 2, 4, 10, 4, 15, seed=1, key_value_heads=2)
    steps = write_steps(tmp_path / "steps.safetensors", weights, rounded, seed=2)
    setting = Setting(read_gain=read_gain)
    for matrix, n_heads in (("ov", 4), ("qk", 4), ("mlp_in", 0), ("mlp_out", 0)):
        noise = WeightNoise(0.01, weights, steps)
        measured = measure_layers(noise, Task(matrix, setting, 3), range(2))
        assert list(measured) == ["stability_noise", "stability_float32"]
        for layer in range(2):
            layer_factors = factors(weights, matrix, layer, setting)
            # Steps are weights that are as much larger or smaller: a gain scales them, heads share them.
            layer_steps = factors(both(steps, weights), matrix, layer, setting)
            names = {"ov": ("attn.W_V", "attn.W_O"), "qk": ("attn.W_Q", "attn.W_K")}
            names |= {"mlp_in": ("mlp.W_in",), "mlp_out": ("mlp.W_out",)}
            for head in range(n_heads or 1):
                alone = [factor[head] for factor in layer_factors] if n_heads else layer_factors
                own_steps = [step[head] for step in layer_steps] if n_heads else layer_steps
                variances = [
                    step**2 / 12 if name in rounded else (0.01 * factor.std(correction=0)).square().reshape(1, 1)
                    for name, step, factor in zip(names[matrix], own_steps, alone, strict=True)
                ]
                index = (layer, head) if n_heads else (layer,)
                exact = decompose(alone, None)
                expected = {
                    "stability_noise": stability_under_noise(alone, exact, matrix, variances, 3),
                    "stability_float32": stability_in_float32(alone, decompose(alone, 3), matrix),
                }
                for name, cosines in expected.items():
                    assert measured[name].shape == ((2, n_heads, 3) if n_heads else (2, 3))
                    torch.testing.assert_close(measured[name][index], cosines.float(), rtol=1e-6, atol=1e-6)


def both(steps: WeightFile, weights: WeightFile) -> WeightFile:
    """Weights of which those that have steps are the steps."""

    class Both(WeightFile):
        def __init__(self) -> None:
            self.names = weights.names

        def __getitem__(self, name: str) -> Tensor:
            return steps[name] if name in steps.names else weights[name]

    return Both()


def test_the_noise_is_named_factor_by_factor(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights.safetensors", 3, 2, 8, 4, 16, seed=1)
    steps = write_steps(tmp_path / "steps.safetensors", weights, ("attn.W_O", "0.attn.W_V", "2.attn.W_V"), seed=2)
    noise = WeightNoise(0.02, weights, steps)
    assert noise.said(Task("ov", Setting(), 3), range(3)) == {
        "attn.W_V": "rounding of the stored weights in layers 0, 2, else normal, 0.02 standard deviations",
        "attn.W_O": "rounding of the stored weights",
    }
    assert noise.said(Task("mlp_in", Setting(), 3), range(3)) == {"mlp.W_in": "normal, 0.02 standard deviations"}
