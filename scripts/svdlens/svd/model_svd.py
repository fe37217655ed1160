"""The decompositions of every matrix of one kind in a model: read, decomposed and kept layer by layer."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from torch import Tensor

from svdlens.errors import SvdlensError
from svdlens.runtime.compute import single_threaded_pool
from svdlens.runtime.progress import progress
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.svd.matrix_svd import decompose, fix_signs
from svdlens.svd.stability import stability_in_float32, stability_under_noise
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile

logger = logging.getLogger(__name__)

Arrays = dict[str, Tensor]
"""left, values, right, stability_noise and stability_float32 of one matrix or of many."""


@dataclass(frozen=True)
class Task:
    """What to find: of each `matrix` in `setting` the leading `directions` vectors (None: all), and what `noise` (in
    standard deviations of each factor), drawn from `seed`, does to them."""

    matrix: str
    setting: Setting
    directions: int | None
    noise: float
    seed: int


def decompose_layers(
    weights: WeightFile, task: Task, layers: Sequence[int], threads: int = 1, device: str = "cpu"
) -> Arrays:
    """Arrays of all `layers`, float32: [n_layers, n_heads, ...] for ov and qk, [n_layers, ...] for MLPs.

    left [k, d_in], values [rank], right [k, d_out], stability_noise [k] and stability_float32 [k] of each matrix, k at
    most the rank. On the CPU, bytes do not depend on `threads`, nor on which layers are done together. Raises
    SvdlensError for weights or values that are not finite, and where `device` has no room for a single matrix.
    """
    work = on_cpu(weights, task, layers, threads) if device == "cpu" else on_device(weights, task, layers, device)
    collected: Arrays = {}
    for place, arrays in enumerate(progress(work, f"SVD of {task.matrix}", total=len(layers))):
        for name, array in arrays.items():
            # float32 at once, in place: all vectors in float64, twice, would be the peak of the job.
            if name not in collected:
                collected[name] = torch.empty((len(layers), *array.shape), dtype=torch.float32)
            collected[name][place] = array
    return collected


def finite_factors(weights: WeightFile, task: Task, layer: int) -> list[Tensor]:
    """weights.factors of one layer. Raises SvdlensError for weights that are not finite."""
    parts = factors(weights, task.matrix, layer, task.setting)
    for part in parts:
        if not part.isfinite().all():
            raise SvdlensError(
                f"{task.matrix} of layer {layer} has {int((~part.isfinite()).sum())} weights that are NaN or infinite; "
                "an SVD needs finite ones. Take a checkpoint without them."
            )
    return parts


def decompose_and_test(parts: list[Tensor], task: Task, layer: int, heads: Sequence[int]) -> Arrays:
    """Everything about one matrix, or about a batch of `heads`."""
    found = fix_signs(decompose(parts, task.directions), task.matrix)
    if not found.values.float().isfinite().all():
        raise SvdlensError(
            f"{task.matrix} of layer {layer} has a singular value of {found.values.max().item():.3g}, and float32 ends "
            "at 3.4e38. Such weights are damaged; take another checkpoint."
        )
    seeds = [[task.seed, layer, head] for head in heads]
    return {
        **found._asdict(),
        "stability_noise": stability_under_noise(parts, found, task.matrix, task.noise, seeds),
        "stability_float32": stability_in_float32(parts, found, task.matrix),
    }


def on_cpu(weights: WeightFile, task: Task, layers: Sequence[int], threads: int) -> Iterator[Arrays]:
    """One thread for each matrix, several matrices at a time: LAPACK's last bits depend on its threads."""
    torch.set_num_threads(1)
    with single_threaded_pool(threads) as pool:
        waiting: deque[list[Future[Arrays]]] = deque()
        for layer in layers:
            parts = finite_factors(weights, task, layer)
            if MATRIX_KINDS[task.matrix].per_head:
                # Each matrix in memory of its own: LAPACK's last bits depend on how its input is aligned.
                matrices = [[part[head].clone() for part in parts] for head in range(len(parts[0]))]
            else:
                matrices = [parts]
            jobs = [
                pool.submit(decompose_and_test, matrix, task, layer, [head]) for head, matrix in enumerate(matrices)
            ]
            waiting.append(jobs)
            # So many layers are in memory, and no more.
            if len(waiting) > threads:
                yield results(waiting.popleft(), task)
        while waiting:
            yield results(waiting.popleft(), task)


def results(jobs: list[Future[Arrays]], task: Task) -> Arrays:
    found = [job.result() for job in jobs]
    if not MATRIX_KINDS[task.matrix].per_head:
        return found[0]
    return {name: torch.stack([arrays[name] for arrays in found]) for name in found[0]}


def on_device(weights: WeightFile, task: Task, layers: Sequence[int], device: str) -> Iterator[Arrays]:
    """All heads of a layer at once, and fewer from where the device runs out of memory."""
    at_once = None
    for layer in layers:
        parts = finite_factors(weights, task, layer)
        if not MATRIX_KINDS[task.matrix].per_head:
            yield on_device_at_once(parts, task, layer, [0], device)
            continue
        heads = list(range(len(parts[0])))
        at_once = at_once or len(heads)
        pieces: list[Arrays] = []
        while heads:
            chosen = heads[:at_once]
            try:
                batch = [part[chosen[0] : chosen[-1] + 1] for part in parts]
                pieces.append(on_device_at_once(batch, task, layer, chosen, device))
                heads = heads[at_once:]
            except OutOfMemory:
                if at_once == 1:
                    raise
                if at_once == len(parts[0]):
                    logger.warning("%s ran out of memory; going on with fewer heads at a time", device)
                at_once = (at_once + 1) // 2
        yield {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}


class OutOfMemory(SvdlensError):
    """The device has no room for so much."""


def on_device_at_once(parts: list[Tensor], task: Task, layer: int, heads: Sequence[int], device: str) -> Arrays:
    try:
        arrays = decompose_and_test([part.to(device) for part in parts], task, layer, heads)
        return {name: array.cpu() for name, array in arrays.items()}
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory(
            f"{device} has no room for {task.matrix} of layer {layer}: {error}. Free its memory, or run on the CPU: "
            "leave the resource gpu of decompose_matrices at 0."
        ) from error
