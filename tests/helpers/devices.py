"""Where tests compute: on the CPU, and where there is one on a CUDA device (marker `cuda`).

Tests of devices are in files `test_*_on_devices.py`, which benchmarks/gpu.py runs where little more than torch is
installed: they and what they import do without Snakemake, TransformerLens, transformers and beartype.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

NEEDS_CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])


def on_cuda(test):
    """A test of what only a CUDA device does."""
    for mark in NEEDS_CUDA:
        test = mark(test)
    return test


def switches() -> list[object]:
    """Torch's switches for products in less than the precision of their operands, as they are now."""
    cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    try:
        float32_precision = torch.get_float32_matmul_precision()
    except RuntimeError:
        float32_precision = "differs"
    sums = [
        cuda.allow_bf16_reduced_precision_reduction,
        getattr(cuda, "allow_bf16_reduced_precision_reduction_split_k", None),
    ]
    return [float32_precision, cuda.fp32_precision, cpu.fp32_precision, *sums]


@contextmanager
def without_memory() -> Iterator[None]:
    """A CUDA device on which this process finds no more room."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
