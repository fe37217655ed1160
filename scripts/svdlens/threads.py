"""Threads whose results do not depend on how many there are."""

from concurrent.futures import ThreadPoolExecutor

import torch


def single_threaded_pool(workers: int) -> ThreadPoolExecutor:
    """Threads that each run LAPACK and matrix products on one thread, whose number would change the last bits.

    Each has to be told: torch.set_num_threads reaches other threads only after their first operation.
    """
    return ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
