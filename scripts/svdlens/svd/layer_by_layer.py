"""Every matrix of one kind in a model, layer by layer: on the CPU in threads, on a device in batches of heads.

What is computed of a matrix is a function of its factors; decompositions (model_svd.py) and their stability
(model_stability.py) go through the model the same way.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.errors import SvdlensError
from svdlens.runtime.compute import full_precision, single_threaded_pool
from svdlens.runtime.progress import progress
from svdlens.spec.matrix_kinds import MATRIX_KINDS, Layer
from svdlens.spec.settings import Setting, shared_setting
from svdlens.weights.factors import count_heads, factors
from svdlens.weights.weight_files import WeightFile

logger = logging.getLogger(__name__)

Arrays = dict[str, Tensor]
"""What was computed, by name: of one matrix, of the heads of a layer, or of all layers."""


@dataclass(frozen=True)
class Task:
    """What to decompose: each `matrix` (a key of MATRIX_KINDS) in `setting`, of which the leading `directions` vectors
    are wanted (None: all); of attention matrices those of these `heads` (None: all)."""

    matrix: str
    setting: Setting
    directions: int | None
    heads: tuple[int, ...] | None = None


Compute = Callable[[list[Tensor], Task, Layer, Sequence[int]], Arrays]
"""Arrays of one matrix or of a batch of heads, from its float64 factors, the task, the layer, and the heads in it ([0]
where there is no batch)."""


def each_layer(
    compute: Compute, weights: WeightFile, task: Task, layers: Sequence[Layer], threads: int, device: str
) -> Arrays:
    """What `compute` gives for every matrix of `layers`: [n_layers, n_heads, ...] for ov and qk, else [n_layers, ...],
    [1, ...] of a kind that the model has one of. float32, singular `values` in float64.

    On the CPU, bytes do not depend on `threads`, nor on which layers are done together. Raises SvdlensError for weights
    that are not finite, and where `device` has no room for a single matrix.
    """
    if device == "cpu":
        computed = on_cpu(compute, weights, task, layers, threads)
    else:
        computed = on_device(compute, weights, task, layers, device)
    collected: Arrays = {}
    # SVDs are in float64, but the stability in float32 is that of float32, whatever torch was told to make of it.
    with full_precision():
        for i, arrays in enumerate(progress(computed, f"SVD of {task.matrix}", total=len(layers))):
            for name, array in arrays.items():
                # float32 at once, in place: all vectors in float64, twice, would be the peak of the job.
                if name not in collected:
                    dtype = torch.float64 if name == "values" else torch.float32
                    collected[name] = torch.empty((len(layers), *array.shape), dtype=dtype)
                collected[name][i] = array
    return collected


def on_cpu(
    compute: Compute, weights: WeightFile, task: Task, layers: Sequence[Layer], threads: int
) -> Iterator[Arrays]:
    """Arrays of each layer. One thread for each matrix, several matrices at a time: LAPACK's last bits depend on its
    threads."""
    torch.set_num_threads(1)
    with single_threaded_pool(threads) as pool:
        waiting: deque[list[Future[Arrays]]] = deque()
        for layer in layers:
            layer_factors = finite_factors(weights, task, layer)
            if MATRIX_KINDS[task.matrix].per_head:
                # Each matrix in memory of its own: LAPACK's last bits depend on how its input is aligned.
                heads = task.heads or range(len(layer_factors[0]))
                matrices = {head: [factor[head].clone() for factor in layer_factors] for head in heads}
            else:
                matrices = {0: layer_factors}
            waiting.append([pool.submit(compute, each, task, layer, [head]) for head, each in matrices.items()])
            # So many layers are in memory, and no more.
            if len(waiting) > threads:
                yield joined(waiting.popleft(), task)
        while waiting:
            yield joined(waiting.popleft(), task)


def joined(jobs: list[Future[Arrays]], task: Task) -> Arrays:
    """The arrays of one layer, from the jobs of its matrices: heads become the first dimension."""
    computed = [job.result() for job in jobs]
    if not MATRIX_KINDS[task.matrix].per_head:
        return computed[0]
    return {name: torch.stack([arrays[name] for arrays in computed]) for name in computed[0]}


def on_device(
    compute: Compute, weights: WeightFile, task: Task, layers: Sequence[Layer], device: str
) -> Iterator[Arrays]:
    """Arrays of each layer: all heads of a layer at once, and fewer from where the device runs out of memory.

    Raises OutOfMemory where it has no room for a single matrix.
    """
    at_once = None
    for layer in layers:
        layer_factors = finite_factors(weights, task, layer)
        if not MATRIX_KINDS[task.matrix].per_head:
            yield batch_on_device(compute, layer_factors, task, layer, [0], device)
            continue
        heads = list(task.heads or range(len(layer_factors[0])))
        all_at_once = len(heads)
        at_once = at_once or all_at_once
        batches: list[Arrays] = []
        while heads:
            chosen = heads[:at_once]
            try:
                batch = [factor[chosen] for factor in layer_factors]
                batches.append(batch_on_device(compute, batch, task, layer, chosen, device))
                heads = heads[at_once:]
            except OutOfMemory:
                if at_once == 1:
                    raise
                if at_once == all_at_once:
                    logger.warning("%s ran out of memory; going on with fewer heads at a time", device)
                at_once = (at_once + 1) // 2
        yield {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


class OutOfMemory(SvdlensError):
    """The device has no room for so much."""


def batch_on_device(
    compute: Compute, batch: list[Tensor], task: Task, layer: Layer, heads: Sequence[int], device: str
) -> Arrays:
    """`compute` on the device, its results on the CPU. Raises OutOfMemory."""
    try:
        arrays = compute([factor.to(device) for factor in batch], task, layer, heads)
        return {name: array.cpu() for name, array in arrays.items()}
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory(
            f"{device} has no room for {name_of(task.matrix, layer)}: {error}. Free its memory, or run on the CPU: "
            "leave the resource gpu of this rule at 0."
        ) from error


def finite_factors(weights: WeightFile, task: Task, layer: Layer) -> list[Float[Tensor, "... d_first d_last"]]:
    """weights.factors of one layer. Raises SvdlensError for weights that are not finite."""
    layer_factors = factors(weights, task.matrix, layer, task.setting)
    for factor in layer_factors:
        if not factor.isfinite().all():
            raise SvdlensError(
                f"{name_of(task.matrix, layer)} has {int((~factor.isfinite()).sum())} weights that are NaN or "
                "infinite; an SVD needs finite ones. Take a checkpoint without them."
            )
    return layer_factors


def name_of(matrix: str, layer: Layer) -> str:
    """A matrix in a message, without its head."""
    return matrix if layer is None else f"{matrix} of layer {layer}"


def chosen_numbers(
    weights: WeightFile, matrix: str, model: str, numbers: Mapping[str, Sequence[int]]
) -> tuple[Sequence[Layer], tuple[int, ...] | None]:
    """The layers to decompose ([None] of a kind that the model has one of), and the heads (None: all).

    `numbers` are what the configuration has for the model under `layers` and `heads`; without these, all.

    Raises SvdlensError for a number that the model does not have.
    """
    if not MATRIX_KINDS[matrix].in_layers:
        return [None], None
    counts = {"layers": weights.layers}
    if MATRIX_KINDS[matrix].per_head:
        counts["heads"] = count_heads(weights, matrix)
    for name, count in counts.items():
        if wrong := [number for number in numbers.get(name, []) if number >= count]:
            raise SvdlensError(
                f"{model} has {count} {name}, from 0, and `{name}` of models.{model}, or else of the sweep, asks for "
                f"{', '.join(map(str, wrong))}. Write others; a model may have its own, `models.{model}.{name}: [...]`."
            )
    return numbers.get("layers", range(weights.layers)), tuple(numbers["heads"]) if "heads" in numbers else None


def task_of_job(
    weights: WeightFile, wildcards: Mapping[str, str], directions: int | str, numbers: Mapping[str, Sequence[int]]
) -> tuple[Task, Sequence[Layer]]:
    """The task of a job with the wildcards model, matrix and SWITCHES, and the layers to do, all parts together.

    `directions` may be "all"; `numbers` and errors are those of chosen_numbers.
    """
    layers, heads = chosen_numbers(weights, wildcards["matrix"], wildcards["model"], numbers)
    setting = shared_setting(wildcards)
    return Task(wildcards["matrix"], setting, None if directions == "all" else int(directions), heads), layers


def number_arrays(numbers: Mapping[str, Sequence[int]]) -> Arrays:
    """`layers` and `heads` of an SVD file that has not all of its model, int32."""
    return {name: torch.tensor(chosen, dtype=torch.int32) for name, chosen in numbers.items()}
