"""The stability of the singular vectors of every matrix of one kind in a model; a job beside their decomposition."""

import functools
from collections.abc import Sequence

from torch import Tensor

from svdlens.spec.matrix_kinds import Layer
from svdlens.svd.layer_by_layer import Arrays, Task, each_layer
from svdlens.svd.matrix_svd import Decomposition, decompose, power_of_two
from svdlens.svd.stability import stability_in_float32, stability_under_noise
from svdlens.svd.weight_noise import WeightNoise


def measure_layers(
    noise: WeightNoise, task: Task, layers: Sequence[Layer], threads: int = 1, device: str = "cpu"
) -> Arrays:
    """stability_noise [k] and stability_float32 [k] of each matrix of `layers`, k as in decompose_layers; float32.

    With leading dimensions [n_layers, n_heads] for ov and qk, [n_layers] for MLPs, [1] for embed and unembed.
    `noise` is that on the weights, and
    has them. Every matrix is decomposed once more: stored vectors are rounded to float32, and a cosine with them is
    another number. On the CPU, bytes do not depend on `threads`, nor on which layers are done together. Raises
    SvdlensError as decompose_layers does.
    """
    compute = functools.partial(measure_matrix, noise=noise)
    return each_layer(compute, noise.weights, task, layers, threads, device)


def measure_matrix(
    matrix_factors: list[Tensor], task: Task, layer: Layer, heads: Sequence[int], noise: WeightNoise
) -> Arrays:
    """See measure_layers: arrays of one matrix, or of a batch of heads, float64."""
    variances = noise.variances(matrix_factors, task, layer, heads)
    # Stability has no unit. In float32 the squares of small weights would be 0, and the product of two.
    sizes = [power_of_two(factor) for factor in matrix_factors]
    scaled = [factor / size for factor, size in zip(matrix_factors, sizes, strict=True)]
    variances = [variance / size.square() for variance, size in zip(variances, sizes, strict=True)]
    # Noise mixes a vector with all others, those beyond the stored ones too.
    exact = decompose(scaled, None)
    stored = slice(task.directions)
    leading = Decomposition(exact.left[..., stored, :], exact.values, exact.right[..., stored, :])
    return {
        "stability_noise": stability_under_noise(scaled, exact, task.matrix, variances, task.directions),
        "stability_float32": stability_in_float32(scaled, leading, task.matrix),
    }
