"""How coarsely the weights of a GGUF file are rounded: the step of each weight.

Quantised weights are whole multiples of a step that a few neighbours in a row share, plus an offset. Where they were
rounded to the nearest, a weight is off by up to half a step, which is the noise that its quantisation put on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from svdlens.models.gguf_tensors import GgufTensor, stored_rows

SHARE = 16
"""So many neighbours in a row have one step, in all types of BLOCK_LAYOUTS."""


@dataclass(frozen=True)
class BlockLayout:
    """Where a block of a type keeps its whole numbers; the other bytes are scales and offsets.

    numbers: first and last byte, the last excluded. low: those of them with the lowest bits. ones: a byte of these in
    which each number is 1. ggml-common.h of ggml has the layouts.
    """

    numbers: tuple[int, int]
    low: tuple[int, int]
    ones: int


BLOCK_LAYOUTS = {
    "Q4_0": BlockLayout((2, 18), (2, 18), 0x11),
    "Q4_1": BlockLayout((4, 20), (4, 20), 0x11),
    "Q5_0": BlockLayout((2, 22), (6, 22), 0x11),
    "Q5_1": BlockLayout((4, 24), (8, 24), 0x11),
    "Q8_0": BlockLayout((2, 34), (2, 34), 0x01),
    "Q2_K": BlockLayout((16, 80), (16, 80), 0x55),
    "Q3_K": BlockLayout((0, 96), (32, 96), 0x55),
    "Q4_K": BlockLayout((16, 144), (16, 144), 0x11),
    "Q5_K": BlockLayout((16, 176), (48, 176), 0x11),
    "Q6_K": BlockLayout((0, 192), (0, 128), 0x11),
}


def has_steps(tensor: GgufTensor) -> bool:
    """Whether it is a matrix that was rounded to steps: of a type of BLOCK_LAYOUTS.

    Not so F32, F16 and BF16, which are not quantised, and types whose weights lie on no even grid (IQ4_NL and others).
    """
    return len(tensor.shape) == 2 and tensor.quantisation in BLOCK_LAYOUTS


def steps_shape(tensor: GgufTensor, transposed: bool) -> tuple[int, ...]:
    """The shape of the steps of an [n, m] tensor, one for every SHARE neighbours in a row."""
    n, m = tensor.shape
    return (m // SHARE, n) if transposed else (n, m // SHARE)


def step_rows(tensor: GgufTensor, order: np.ndarray) -> Iterator[np.ndarray]:
    """The steps of an [n, m] tensor that has some: [rows, m / SHARE], float32 and at least 0, some rows at a time.

    What the library gguf makes of blocks in which all whole numbers are 1, less what it makes of those in which all are
    0. order: [n], which row of the file comes when.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    kind = GGMLQuantizationType[tensor.quantisation]
    layout = BLOCK_LAYOUTS[tensor.quantisation]
    for rows in stored_rows(tensor, order):
        zeros = np.array(rows).reshape(len(rows), -1, GGML_QUANT_SIZES[kind][1])
        zeros[..., slice(*layout.numbers)] = 0
        ones = zeros.copy()
        ones[..., slice(*layout.low)] = layout.ones
        # As whole rows: of many short ones the library takes its time.
        low, high = (dequantize(blocks.reshape(rows.shape), kind) for blocks in (zeros, ones))
        yield np.abs(high - low)[:, ::SHARE]
