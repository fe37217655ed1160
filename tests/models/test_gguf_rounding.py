"""The steps of quantised weights: against the grid on which dequantised weights lie, and the errors of quantising."""

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svdlens.errors import SvdlensError
from svdlens.models.gguf_conversion import GgufTensor
from svdlens.models.gguf_rounding import BLOCK_LAYOUTS, rounding_steps

# How many neighbours share a step.
SHARE = {"Q2_K": 16, "Q3_K": 16, "Q6_K": 16}


def random_blocks(quantisation: str, seed: int) -> GgufTensor:
    """Random bits, but for scales that are finite."""
    values_in_block, bytes_in_block = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[quantisation]]
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, (6, 2 * bytes_in_block), np.uint8)
    blocks = data.reshape(-1, bytes_in_block)
    layout = BLOCK_LAYOUTS[quantisation]
    # float16 stands at the beginning or the end, beside the whole numbers; its exponent is in the higher byte.
    n_halves = {"Q4_1": 2, "Q5_1": 2, "Q2_K": 2, "Q4_K": 2, "Q5_K": 2}.get(quantisation, 1)
    first = 0 if layout.numbers[0] > 0 and quantisation != "Q2_K" else bytes_in_block - 2 * n_halves
    for half in range(n_halves):
        blocks[:, first + 2 * half + 1] = random.integers(0x20, 0x30, len(blocks))
    return GgufTensor(quantisation, (6, 2 * values_in_block), data)


@pytest.mark.parametrize("quantisation", BLOCK_LAYOUTS)
def test_weights_of_one_step_lie_on_its_grid(quantisation: str) -> None:
    tensor = random_blocks(quantisation, 0)
    weights = gguf.dequantize(tensor.data, gguf.GGMLQuantizationType[quantisation]).astype(np.float64)
    steps = rounding_steps(tensor).astype(np.float64)
    assert steps.shape == tensor.shape and (steps >= 0).all()
    group = (-1, SHARE.get(quantisation, 32))
    weights, steps = weights.reshape(group), steps.reshape(group)
    np.testing.assert_allclose(steps, steps[:, :1].repeat(group[1], axis=1), rtol=1e-4)
    some = steps[:, 0] > 0
    numbers = (weights - weights.min(axis=1, keepdims=True))[some] / steps[some]
    np.testing.assert_allclose(numbers, np.round(numbers), atol=1e-2)
    # Random numbers have all differences, so that no larger step would do.
    differences = np.diff(np.sort(np.round(numbers), axis=1), axis=1)
    assert np.median(np.where(differences == 0, 99, differences).min(axis=1)) == 1


@given(seed=st.integers(0, 2**32), quantisation=st.sampled_from(["Q4_1", "Q5_1", "Q8_0", "F16", "BF16"]))
def test_a_weight_is_rounded_by_half_a_step_at_most(seed: int, quantisation: str) -> None:
    kind = gguf.GGMLQuantizationType[quantisation]
    weights = np.random.default_rng(seed).standard_normal((4, 64), np.float32)
    stored = gguf.quantize(weights, kind)
    steps = rounding_steps(GgufTensor(quantisation, (4, 64), stored))
    error = np.abs(gguf.dequantize(stored, kind) - weights)
    # The scale itself was rounded, to float16: up to 255 numbers of it are off by 2^-11 each.
    assert (error <= (0.5 + 255 * 2**-11) * steps).all()
    assert np.abs(error).max() > 0.1 * steps.min()


def test_float32_is_not_rounded_and_other_grids_have_no_step() -> None:
    assert not rounding_steps(GgufTensor("F32", (2, 3), np.ones((2, 3), np.float32))).any()
    with pytest.raises(SvdlensError, match=r"IQ4_NL lie on no even grid.*Q4_0, Q4_1"):
        rounding_steps(GgufTensor("IQ4_NL", (1, 32), np.zeros((1, 18), np.uint8)))
