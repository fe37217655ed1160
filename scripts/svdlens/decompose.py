"""Singular value decompositions of a model's matrices, with deterministic signs.

Convention: activations are rows, x @ W. So `left` lives where the matrix reads and `right` where it writes, and
W = left^T diag(values) right with singular vectors as rows of `left` and `right`.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.errors import SvdlensError
from svdlens.settings import HEAD_MATRICES, SIGN_SIDE, Setting
from svdlens.weights import WeightFile, factors

SIGN_TIE = 1e-6


class Decomposition(NamedTuple):
    """left [k, d_in], values [rank], right [k, d_out]: every singular value, the leading k vectors, float64."""

    left: Float[Tensor, "k d_in"]
    values: Float[Tensor, " rank"]
    right: Float[Tensor, "k d_out"]


def decompose_product(
    first: Float[Tensor, "d_in rank"], second: Float[Tensor, "rank d_out"], directions: int
) -> Decomposition:
    """SVD of first @ second without the dense product: QR of both factors, SVD of the small core.

    The post multiplies the factors out (Millidge & Black 2022); the values are the same.
    """
    first_basis, first_core = torch.linalg.qr(first)
    second_basis, second_core = torch.linalg.qr(second.mT)
    left, values, right = torch.linalg.svd(first_core @ second_core.mT, full_matrices=False)
    return Decomposition((first_basis @ left[:, :directions]).mT, values, right[:directions] @ second_basis.mT)


def decompose_dense(weight: Float[Tensor, "d_in d_out"], directions: int) -> Decomposition:
    """Thin SVD of one matrix."""
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    return Decomposition(left[:, :directions].mT, values, right[:directions])


def fix_signs(decomposition: Decomposition, matrix: str) -> Decomposition:
    """Flip `left` and `right` together so that the largest coordinate on the side SIGN_SIDE is positive.

    Among magnitudes within SIGN_TIE (relative) of the largest the lowest index decides.
    """
    deciding = getattr(decomposition, SIGN_SIDE[matrix])
    magnitudes = deciding.abs()
    near_largest = magnitudes >= magnitudes.amax(dim=1, keepdim=True) * (1 - SIGN_TIE)
    first = near_largest.int().argmax(dim=1, keepdim=True)
    signs = torch.where(deciding.gather(1, first) < 0, -1.0, 1.0).to(deciding.dtype)
    return decomposition._replace(left=decomposition.left * signs, right=decomposition.right * signs)


def decompose_layer(
    weights: WeightFile, matrix: str, layer: int, setting: Setting, directions: int, pool: ThreadPoolExecutor
) -> list[Decomposition]:
    """The decompositions of one layer: one for each head (ov, qk), or one (mlp_in, mlp_out).

    `pool` is a threads.single_threaded_pool. Raises SvdlensError for weights that are not finite.
    """
    parts = factors(weights, matrix, layer, setting)
    for part in parts:
        if not part.isfinite().all():
            raise SvdlensError(
                f"{matrix} of layer {layer} has {int((~part.isfinite()).sum())} weights that are NaN or infinite; "
                "an SVD needs finite ones. Take a checkpoint without them."
            )
    if matrix in HEAD_MATRICES:
        # Each matrix in memory of its own: LAPACK's last bits depend on how its input is aligned.
        futures = [
            pool.submit(decompose_product, first.clone(), second.clone(), directions)
            for first, second in zip(*parts, strict=True)
        ]
    else:
        futures = [pool.submit(decompose_dense, parts[0], directions)]
    return [fix_signs(future.result(), matrix) for future in futures]


def stack_layers(layers: Iterable[list[Decomposition]], matrix: str) -> dict[str, Tensor]:
    """left, values, right of all layers as float32: [n_layers, n_heads, ...] for ov and qk, [n_layers, ...] for MLPs.

    Layers are converted one at a time, so that only float32 copies of the vectors are kept.
    """
    stacked: dict[str, list[Tensor]] = {"left": [], "values": [], "right": []}
    for decompositions in layers:
        for name, tensors in stacked.items():
            parts = [getattr(one, name).float() for one in decompositions]
            tensors.append(torch.stack(parts) if matrix in HEAD_MATRICES else parts[0])
    return {name: torch.stack(tensors).contiguous() for name, tensors in stacked.items()}
