"""The steps of quantised weights: against the grid on which dequantised weights lie, and the errors of quantising."""

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svdlens.models import gguf_tensors
from svdlens.models.gguf_rounding import BLOCK_LAYOUTS, SHARE, has_steps, step_rows, steps_shape
from svdlens.models.gguf_tensors import GgufTensor


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


def all_steps(tensor: GgufTensor) -> np.ndarray:
    return np.concatenate(list(step_rows(tensor, np.arange(tensor.shape[0]))))


@pytest.mark.parametrize("quantisation", BLOCK_LAYOUTS)
def test_weights_of_one_step_lie_on_its_grid(quantisation: str) -> None:
    tensor = random_blocks(quantisation, 0)
    weights = gguf.dequantize(tensor.data, gguf.GGMLQuantizationType[quantisation]).astype(np.float64)
    steps = all_steps(tensor)
    assert steps.dtype == np.float32 and (steps >= 0).all()
    assert steps.shape == steps_shape(tensor, transposed=False) == steps_shape(tensor, transposed=True)[::-1]
    weights, steps = weights.reshape(-1, SHARE), steps.astype(np.float64).reshape(-1, 1)
    some = steps[:, 0] > 0
    numbers = (weights - weights.min(axis=1, keepdims=True))[some] / steps[some]
    np.testing.assert_allclose(numbers, np.round(numbers), atol=1e-2)
    # Random numbers have all differences, so that no larger step would do.
    common = np.gcd.reduce(np.round(numbers).astype(int), axis=1)
    assert np.median(common) == 1


@pytest.mark.parametrize("quantisation", BLOCK_LAYOUTS)
def test_rows_come_in_order_however_many_at_a_time(quantisation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = random_blocks(quantisation, 1)
    order = np.array([4, 0, 5, 1, 3, 2])
    expected = all_steps(tensor)[order]
    for values in (1, 3 * tensor.shape[1]):
        monkeypatch.setattr(gguf_tensors, "VALUES_AT_ONCE", values)
        np.testing.assert_array_equal(np.concatenate(list(step_rows(tensor, order))), expected)


@given(seed=st.integers(0, 2**32), quantisation=st.sampled_from(["Q4_1", "Q5_1", "Q8_0"]))
def test_a_weight_is_rounded_by_half_a_step_at_most(seed: int, quantisation: str) -> None:
    kind = gguf.GGMLQuantizationType[quantisation]
    weights = np.random.default_rng(seed).standard_normal((4, 64), np.float32)
    stored = gguf.quantize(weights, kind)
    steps = all_steps(GgufTensor(quantisation, (4, 64), stored)).repeat(SHARE, axis=1)
    error = np.abs(gguf.dequantize(stored, kind) - weights)
    # The scale itself was rounded, to float16: up to 255 numbers of it are off by 2^-11 each.
    assert (error <= (0.5 + 255 * 2**-11) * steps).all()
    assert np.abs(error).max() > 0.1 * steps.min()


def test_what_is_not_quantised_and_other_grids_have_no_steps() -> None:
    for quantisation in ("F32", "F16", "BF16", "IQ4_NL", "IQ2_XS"):
        assert not has_steps(GgufTensor(quantisation, (1, 256), np.zeros((1, 18), np.uint8)))
    assert has_steps(GgufTensor("Q4_0", (1, 32), np.zeros((1, 18), np.uint8)))
    assert not has_steps(GgufTensor("Q4_0", (32,), np.zeros(18, np.uint8)))
