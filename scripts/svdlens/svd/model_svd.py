"""The decompositions of every matrix of one kind in a model."""

from collections.abc import Sequence

from torch import Tensor

from svdlens.spec.matrix_kinds import Layer
from svdlens.svd.layer_by_layer import Arrays, Task, each_layer
from svdlens.svd.matrix_svd import decompose, fix_signs, in_single_precision
from svdlens.weights.weight_files import WeightFile


def decompose_layers(
    weights: WeightFile, task: Task, layers: Sequence[Layer], threads: int = 1, device: str = "cpu"
) -> Arrays:
    """left [k, d_in], values [rank] and right [k, d_out] of each matrix of `layers`, k at most the rank.

    float32, values in float64 with the digits of float32.

    With leading dimensions [n_layers, n_heads] for ov and qk, [n_layers] for MLPs, [1] for embed and unembed.
    Signs are fixed (fix_signs). On the
    CPU, bytes do not depend on `threads`, nor on which layers are done together. Raises SvdlensError for weights that
    are not finite, and where `device` ("cpu", "cuda") has no room for a single matrix.
    """
    return each_layer(decompose_matrix, weights, task, layers, threads, device)


def decompose_matrix(matrix_factors: list[Tensor], task: Task, layer: Layer, heads: Sequence[int]) -> Arrays:
    """See decompose_layers: arrays of one matrix, or of a batch of heads, float64."""
    found = fix_signs(decompose(matrix_factors, task.directions), task.matrix)
    return found._replace(values=in_single_precision(found.values))._asdict()
