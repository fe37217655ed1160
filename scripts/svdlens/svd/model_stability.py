"""The stability of the singular vectors of every matrix of one kind in a model; a job beside their decomposition."""

import functools
from collections.abc import Sequence

from torch import Tensor

from svdlens.svd.layer_by_layer import Arrays, Task, each_layer, finite_svd
from svdlens.svd.stability import stability_in_float32, stability_under_noise
from svdlens.weights.weight_files import WeightFile


def measure_layers(
    weights: WeightFile,
    task: Task,
    layers: Sequence[int],
    noise: float,
    seed: int,
    threads: int = 1,
    device: str = "cpu",
) -> Arrays:
    """stability_noise [k] and stability_float32 [k] of each matrix of `layers`, k as in decompose_layers; float32.

    With leading dimensions [n_layers, n_heads] for ov and qk, [n_layers] for MLPs. `noise` is in standard deviations of
    each factor, drawn from `seed`, layer and head. Every matrix is decomposed once more: stored vectors are rounded to
    float32, and a cosine with them is another number. On the CPU, bytes do not depend on `threads`, nor on which layers
    are done together. Raises SvdlensError as decompose_layers does.
    """
    compute = functools.partial(measure_matrix, noise=noise, seed=seed)
    return each_layer(compute, weights, task, layers, threads, device)


def measure_matrix(
    matrix_factors: list[Tensor], task: Task, layer: int, heads: Sequence[int], noise: float, seed: int
) -> Arrays:
    """See measure_layers: arrays of one matrix, or of a batch of heads, float64."""
    exact = finite_svd(matrix_factors, task, layer)
    seeds = [[seed, layer, head] for head in heads]
    return {
        "stability_noise": stability_under_noise(matrix_factors, exact, task.matrix, noise, seeds),
        "stability_float32": stability_in_float32(matrix_factors, exact, task.matrix),
    }
