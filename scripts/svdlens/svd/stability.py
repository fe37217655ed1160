"""How far a singular vector can be trusted: what noise on the weights, and float32 arithmetic, do to it.

Both are measured as |cos| between the vector and the one of the same index in another SVD, on each side that lives in
the residual stream; of two sides the smaller counts. 1: nothing changes. Vectors whose singular values are crowded
turn within their cluster, or change places, and have values near 0 (first-order perturbation theory: Stewart & Sun
1990, chapter V).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.svd.matrix_svd import Decomposition, decompose


def stability_under_noise(
    factors: list[Float[Tensor, "... _ _"]], exact: Decomposition, matrix: str, noise: float, seeds: list[list[int]]
) -> Float[Tensor, "... k"]:
    """|cos| of the vectors of `exact`, the SVD of the factors, to those after normal noise on each factor.

    `matrix` is a key of MATRIX_KINDS, `noise` in standard deviations of the factor. `seeds` has one seed for each
    matrix of the batch (one if there is no batch dimension), so that the noise of a matrix does not depend on what it
    is computed together with.
    """
    disturbed = [
        factor + noise * factor.std(dim=(-2, -1), keepdim=True, correction=0) * normal_like(factor, position, seeds)
        for position, factor in enumerate(factors)
    ]
    return smallest_cosine(exact, decompose(disturbed, exact.left.shape[-2]), matrix)


def normal_like(factor: Float[Tensor, "*shape"], position: int, seeds: list[list[int]]) -> Float[Tensor, "*shape"]:
    """Standard normal numbers in the shape of the factor; `position` is 0 for the first factor and 1 for the second."""
    shape = tuple(factor.shape[-2:])
    drawn = [np.random.default_rng([*seed, position]).standard_normal(shape, dtype=np.float32) for seed in seeds]
    return torch.from_numpy(np.stack(drawn)).reshape(factor.shape).to(factor)


def stability_in_float32(
    factors: list[Float[Tensor, "... _ _"]], exact: Decomposition, matrix: str
) -> Float[Tensor, "... k"]:
    """|cos| of the vectors of `exact`, the SVD of the factors, to those of an SVD done in float32, as most programs do.

    `matrix` is a key of MATRIX_KINDS.
    """
    factors = [factor.float() for factor in factors]
    directions = exact.left.shape[-2]
    if len(factors) == 2:
        first_basis, first_core = torch.linalg.qr(factors[0])
        second_basis, second_core = torch.linalg.qr(factors[1].mT)
        left, values, right = torch.linalg.svd(first_core @ second_core.mT, full_matrices=False)
        left, right = first_basis @ left, right @ second_basis.mT
    else:
        left, values, right = svd_of_residual_side(factors[0], matrix)
    single = Decomposition(left[..., :directions].mT, values, right[..., :directions, :])
    return smallest_cosine(exact, Decomposition(*(array.double() for array in single)), matrix)


def svd_of_residual_side(
    weight: Float[Tensor, "d_in d_out"], matrix: str
) -> tuple[Float[Tensor, "_ _"], Float[Tensor, " rank"], Float[Tensor, "_ _"]]:
    """Thin SVD (left as columns, values, right as rows), of which only the side in the residual stream is valid.

    That side is the shorter one in every MLP that is wider than the residual stream. Then the triangular factor of
    the longer side has the same vectors, and its SVD takes a fraction of the time (Chan 1982).
    """
    [side] = MATRIX_KINDS[matrix].sides.values()
    if side.array == "left" and weight.shape[0] < weight.shape[1]:
        return torch.linalg.svd(torch.linalg.qr(weight.mT, mode="r")[1].mT)
    if side.array == "right" and weight.shape[1] < weight.shape[0]:
        return torch.linalg.svd(torch.linalg.qr(weight, mode="r")[1])
    return torch.linalg.svd(weight, full_matrices=False)


def smallest_cosine(exact: Decomposition, other: Decomposition, matrix: str) -> Float[Tensor, "... k"]:
    """|cos| between vectors of the same index, the smaller of those on the sides in the residual stream."""
    cosines = [
        torch.cosine_similarity(getattr(exact, side.array), getattr(other, side.array), dim=-1).abs().clamp(max=1.0)
        for side in MATRIX_KINDS[matrix].sides.values()
    ]
    return torch.stack(cosines).amin(dim=0)
