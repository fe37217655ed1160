"""Where, how parallel and how exactly a job computes: threads whose results do not depend on how many there are, the
GPU, and torch's switches for products in less than the precision of their operands."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from svdlens.errors import SvdlensError


def single_threaded_pool(workers: int) -> ThreadPoolExecutor:
    """Threads that each run LAPACK and matrix products on one thread, whose number would change the last bits.

    Each has to be told: torch.set_num_threads reaches other threads only after their first operation.
    """
    return ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))


def device_for(gpus: int) -> str:
    """The device for a job with the resource `gpu`. Raises SvdlensError where a GPU is asked for and there is none."""
    if not gpus:
        return "cpu"
    if not torch.cuda.is_available():
        raise SvdlensError(
            f"the resource gpu is {gpus}, but torch {torch.__version__} finds no CUDA device here. Send the job to a "
            "machine that has one, with a CUDA build of torch, or leave the resource gpu at 0."
        )
    return "cuda"


ONE_AT_A_TIME = threading.RLock()
"""Held in full_precision: torch's switches belong to the whole process."""


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Within it, torch multiplies float32 as float32 and sums products of bfloat16 in float32, in every thread.

    TF32 (on CUDA) and bfloat16 (on CPUs) for float32 are options of torch's, and sums in bfloat16 are its default on
    CUDA; all of them are as they were afterwards.
    """
    cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    with ONE_AT_A_TIME:
        precisions = cuda.fp32_precision, cpu.fp32_precision
        try:
            float32_precision = torch.get_float32_matmul_precision()
        except RuntimeError:  # it was set for one of the two alone
            float32_precision = "highest"
        sums = cuda.allow_bf16_reduced_precision_reduction
        split = getattr(cuda, "allow_bf16_reduced_precision_reduction_split_k", None)  # newer than torch 2.9
        torch.set_float32_matmul_precision("highest")
        cuda.allow_bf16_reduced_precision_reduction = False
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(float32_precision)
            cuda.fp32_precision, cpu.fp32_precision = precisions
            cuda.allow_bf16_reduced_precision_reduction = sums if split is None else (sums, split)
