"""Where and how parallel a job computes: threads whose results do not depend on how many there are, and the GPU."""

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
