"""How coarsely the weights of a GGUF file are rounded: the step of each weight.

Quantised weights are whole multiples of a step that a few neighbours in a row share, plus an offset. Where they were
rounded to the nearest, a weight is off by up to half a step, which is the noise that its quantisation put on it.
"""

from dataclasses import dataclass

import numpy as np

from svdlens.errors import SvdlensError
from svdlens.models.gguf_conversion import GgufTensor


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


def rounding_steps(tensor: GgufTensor) -> np.ndarray:
    """The step of each weight, float32 and at least 0, in the shape and the order of rows of the file (row_order).

    What the library gguf makes of blocks in which all whole numbers are 1, less what it makes of those in which all are
    0. Of F16 and BF16 the distance between a weight and the next larger one of that type, of F32, which rounds nothing,
    0. Holds the whole tensor. Raises SvdlensError for types whose weights lie on no even grid (IQ4_NL and others).
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    if tensor.quantisation == "F32":
        return np.zeros(tensor.shape, np.float32)
    if tensor.quantisation == "F16":
        return np.spacing(np.abs(tensor.data)).astype(np.float32)
    kind = GGMLQuantizationType[tensor.quantisation]
    if tensor.quantisation == "BF16":
        _, exponents = np.frexp(dequantize(np.asarray(tensor.data), kind))
        return np.ldexp(np.float32(1), exponents - 8)  # 8 bits, the first of which is not stored
    if tensor.quantisation not in BLOCK_LAYOUTS:
        raise SvdlensError(
            f"weights of type {tensor.quantisation} lie on no even grid, so that they have no step. Types with one: "
            f"{', '.join(BLOCK_LAYOUTS)}. Use a file of the model with such types."
        )
    layout = BLOCK_LAYOUTS[tensor.quantisation]
    zeros = np.array(tensor.data).reshape(-1, GGML_QUANT_SIZES[kind][1])
    zeros[:, slice(*layout.numbers)] = 0
    ones = zeros.copy()
    ones[:, slice(*layout.low)] = layout.ones
    return np.abs(dequantize(ones, kind) - dequantize(zeros, kind)).reshape(tensor.shape)
