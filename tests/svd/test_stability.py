"""Stability of singular vectors: planted gaps, first-order perturbation theory, independence of the batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from random_weights import normal, orthonormal, write_weights
from svdlens.spec.settings import Setting
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.matrix_svd import decompose, fix_signs
from svdlens.svd.model_stability import measure_layers
from svdlens.svd.stability import normal_like, smallest_cosine, stability_in_float32, stability_under_noise
from svdlens.weights.factors import factors

seeds = st.integers(0, 2**32 - 1)


def planted(values: np.ndarray, n: int, m: int, seed: int) -> list[torch.Tensor]:
    rank = len(values)
    return [torch.from_numpy(orthonormal(seed, n, rank).T * values @ orthonormal(seed + 1, m, rank))]


def test_without_noise_nothing_changes() -> None:
    factors = [torch.from_numpy(normal(1, 12, 5)), torch.from_numpy(normal(2, 5, 12))]
    for parts, matrix in ((factors, "ov"), (factors, "qk"), (factors[:1], "mlp_in")):
        exact = decompose(parts, 5)
        np.testing.assert_allclose(stability_under_noise(parts, exact, matrix, 0.0, [[0, 0, 0]]), 1, rtol=1e-12)


def test_isolated_values_are_stable_and_crowded_ones_are_not() -> None:
    """Four values 20 % apart, and four equal ones, of which noise makes other vectors."""
    values = np.array([8.0, 6.4, 5.1, 4.1, 2.0, 2.0, 2.0, 2.0])
    parts = planted(values, 40, 60, seed=0)
    exact = fix_signs(decompose(parts, 8), "mlp_in")
    stability = stability_under_noise(parts, exact, "mlp_in", 0.01, [[0, 0, 0]]).numpy()
    assert (stability[:4] > 0.99).all()
    assert stability[4:].min() < 0.9
    # Rounding to float32 is noise too, only a hundred thousand times weaker.
    in_float32 = stability_in_float32(parts, exact, "mlp_in").numpy()
    assert (in_float32[:4] > 1 - 1e-9).all()
    assert in_float32[4:].min() < 0.9


@settings(max_examples=20)
@given(seed=seeds, noise=st.floats(1e-5, 1e-4))
def test_small_noise_turns_vectors_as_perturbation_theory_says(seed, noise):
    """1 - |cos| = half the squared length of the first-order change (Stewart & Sun 1990), for W = sum s u v^T + E."""
    values = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    parts = planted(values, 5, 5, seed)
    exact = decompose(parts, 5)
    stability = stability_under_noise(parts, exact, "mlp_in", noise, [[1, 2, 3]]).numpy()
    weight = parts[0].numpy()
    change = noise * weight.std() * normal_like(parts[0], 0, [[1, 2, 3]]).numpy()
    inner = exact.left.numpy() @ change @ exact.right.numpy().T
    for i in range(5):
        first_order = sum(
            ((values[i] * inner[j, i] + values[j] * inner[i, j]) / (values[i] ** 2 - values[j] ** 2)) ** 2
            for j in range(5)
            if j != i
        )
        assert 1 - stability[i] == pytest.approx(first_order / 2, rel=0.05, abs=1e-13)


@settings(max_examples=20)
@given(batch=st.integers(1, 4), seed=seeds)
def test_the_noise_of_a_matrix_does_not_depend_on_its_batch(batch, seed):
    first, second = torch.from_numpy(normal(seed, batch, 9, 4)), torch.from_numpy(normal(seed + 1, batch, 4, 9))
    places = [[7, 3, head] for head in range(batch)]
    exact = decompose([first, second], 4)
    together = stability_under_noise([first, second], exact, "ov", 0.05, places)
    for head, place in enumerate(places):
        parts = [first[head], second[head]]
        alone = stability_under_noise(parts, decompose(parts, 4), "ov", 0.05, [place])
        torch.testing.assert_close(alone, together[head], rtol=0, atol=1e-9)
    # Another seed, layer or head is other noise, and so is the second factor.
    drawn = [normal_like(first[0], place, [seed]) for seed in ([7, 3, 0], [8, 3, 0], [7, 4, 0]) for place in (0, 1)]
    assert len({tensor.numpy().tobytes() for tensor in drawn}) == 6


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


def test_every_matrix_of_a_model_is_measured_as_it_is_alone(tmp_path: Path) -> None:
    """With the noise of its own layer and head, and against the float64 vectors, to float32."""
    weights = write_weights(tmp_path / "weights.safetensors", 2, 3, 10, 4, 15, seed=1)
    for matrix, n_heads in (("ov", 3), ("qk", 3), ("mlp_in", 0), ("mlp_out", 0)):
        measured = measure_layers(weights, Task(matrix, Setting(), 3), range(2), noise=0.01, seed=7)
        assert list(measured) == ["stability_noise", "stability_float32"]
        for layer in range(2):
            layer_factors = factors(weights, matrix, layer, Setting())
            for head in range(n_heads or 1):
                alone = [factor[head] for factor in layer_factors] if n_heads else layer_factors
                index = (layer, head) if n_heads else (layer,)
                exact = decompose(alone, 3)
                expected = {
                    "stability_noise": stability_under_noise(alone, exact, matrix, 0.01, [[7, layer, head]]),
                    "stability_float32": stability_in_float32(alone, exact, matrix),
                }
                for name, cosines in expected.items():
                    assert measured[name].shape == ((2, n_heads, 3) if n_heads else (2, 3))
                    torch.testing.assert_close(measured[name][index], cosines.float(), rtol=1e-6, atol=1e-6)
