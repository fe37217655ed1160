"""The tensors of a GGUF file: read, and dequantised some rows at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from svdlens.errors import SvdlensError

VALUES_AT_ONCE = 1 << 20

ANOTHER = "Use a file that llama.cpp's converter wrote, or a directory with safetensors."


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of a GGUF file.

    quantisation: its type, such as Q4_1. shape: rows first. data: [..., bytes of a row], or the values themselves where
    they are F32 or F16; mapped from the file, not read.
    """

    quantisation: str
    shape: tuple[int, ...]
    data: np.ndarray


def read_gguf(path: Path, where: str) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
    """Metadata by key, None for arrays, and tensors by name, of a file that has passed check_gguf."""
    from gguf import GGUFReader, GGUFValueType

    try:
        reader = GGUFReader(path)
        metadata = {
            key: None if field.types[0] == GGUFValueType.ARRAY else field.contents()
            for key, field in reader.fields.items()
        }
    except Exception as error:  # check_gguf should have said it better
        raise SvdlensError(f"{where}: the library gguf cannot read {path.name} ({error}). {ANOTHER}") from error
    tensors = {
        tensor.name: GgufTensor(tensor.tensor_type.name, tuple(map(int, reversed(tensor.shape))), tensor.data)
        for tensor in reader.tensors
    }
    return metadata, tensors


def float32_rows(tensor: GgufTensor, order: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """The values of a tensor as float32, some rows at a time.

    order: [n_rows], which row comes when; as they are stored, if None.
    """
    from gguf import GGMLQuantizationType, dequantize

    kind = GGMLQuantizationType[tensor.quantisation]
    order = np.arange(tensor.shape[0]) if order is None else order
    if len(tensor.shape) == 1:
        yield dequantize(np.asarray(tensor.data), kind)[order]
        return
    for rows in stored_rows(tensor, order):
        yield dequantize(rows, kind)


def stored_rows(tensor: GgufTensor, order: np.ndarray) -> Iterator[np.ndarray]:
    """What is stored of a tensor with more than one dimension, some rows at a time, in this order."""
    rows_at_once = max(1, VALUES_AT_ONCE // math.prod(tensor.shape[1:]))
    for row in range(0, len(order), rows_at_once):
        yield tensor.data[order[row : row + rows_at_once]]
