"""How far a singular vector can be trusted: what noise on the weights, and float32 arithmetic, do to it.

Both are |cos| between the vector and the one of the same index in another SVD, on each side that lives in the residual
stream; of two sides the smaller counts. 1: nothing changes. Vectors whose singular values are closer than the noise can
tell apart turn within their common space, and have values far below 1.

What noise does is not drawn but computed, by perturbation theory (Stewart & Sun 1990, chapter V): the mean over all
draws, for less than the price of one.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.svd.matrix_svd import Decomposition


def stability_under_noise(
    factors: list[Float[Tensor, "... _ _"]],
    exact: Decomposition,
    matrix: str,
    variances: list[Float[Tensor, "... _ _"]],
    directions: int | None,
) -> Float[Tensor, "... k"]:
    """|cos| (root mean square) of the leading vectors of `exact` to those after independent noise on each weight.

    exact: the SVD of the factors, with all vectors. matrix: a key of MATRIX_KINDS. variances: of the noise, in a shape
    that broadcasts to that of each factor. directions: how many vectors are asked for (None: all).

    To first order, noise E on the matrix adds to u_i the multiple (s_i u_j^T E v_i + s_j u_i^T E v_j) / (s_i^2 - s_j^2)
    of each other u_j, so that cos^2 = 1 / (1 + the sum of their squares); for v_i, s_i and s_j change places. The two
    products are taken as uncorrelated, as they are where all weights of a factor have one variance. Where the noise
    reaches the distance of two values, the square is that of the two by themselves (mixing_of_two): a vector that is
    any of a space of m dimensions has cos^2 = 1 / m.
    """
    values = exact.values
    k = values.shape[-1] if directions is None else min(directions, values.shape[-1])
    tiny = torch.finfo(values.dtype).tiny
    scale = torch.where(values[..., :1] > 0, values[..., :1], 1.0)
    squares = (values / scale).square()
    own, other = squares[..., :k, None], squares[..., None, :]
    distances = (own - other).square().clamp(min=tiny)

    forth, beside_left = mean_squares(factors, variances, exact.left, exact.right, k)
    back, beside_right = mean_squares(
        [factor.mT for factor in reversed(factors)],
        [variance.mT for variance in reversed(variances)],
        exact.right,
        exact.left,
        k,
    )
    multiples = {
        "left": ((own * forth + other * back) / distances, beside_left),
        "right": ((other * forth + own * back) / distances, beside_right),
    }
    cosines = []
    for side in MATRIX_KINDS[matrix].sides.values():
        within, beside = multiples[side.array]
        within = mixing_of_two(within / scale[..., None].square())
        within.diagonal(dim1=-2, dim2=-1).zero_()
        # What is orthogonal to all vectors has singular values of 0.
        beside = beside / (squares[..., :k].clamp(min=tiny) * scale.square())
        n_beside = getattr(exact, side.array).shape[-1] - values.shape[-1]
        cosines.append((1 + within.sum(dim=-1) + beside.clamp(max=n_beside)).rsqrt())
    return torch.stack(cosines).amin(dim=0)


def mixing_of_two(ratios: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Mean square of sin over that of cos by which noise turns two vectors into each other, between 0 and 1.

    ratios: the mean square of the first-order multiple. Noise puts a normal number on the distance of the two and
    another on what couples them, of one size where their values are close; then twice the angle is that of a normal
    vector in the plane around (distance, 0), whose mean cosine is known (projected normal distribution, Mardia & Jupp
    2000). Small ratios stay as they are; without any distance each vector is as far from either, which gives 1.
    """
    # Half the distance in standard deviations. No ratio is 0, lest infinity be multiplied by 0.
    distance = 0.5 * ratios.clamp(min=1e-18).rsqrt()
    z = distance.square() / 4
    cosine = math.sqrt(math.pi / 8) * distance * (torch.special.i0e(z) + torch.special.i1e(z))
    sine_square = (1 - cosine).clamp(min=0) / 2
    return sine_square / (1 - sine_square)


def mean_squares(
    factors: list[Float[Tensor, "... _ _"]],
    variances: list[Float[Tensor, "... _ _"]],
    left: Float[Tensor, "... rank d_in"],
    right: Float[Tensor, "... rank d_out"],
    k: int,
) -> tuple[Float[Tensor, "... k rank"], Float[Tensor, "... k"]]:
    """Means of (u_j^T E v_i)^2, for the k leading i and all j, and of the square of what E v_i has beside all u_j.

    `variances` are those of the noise on each factor; E is what it makes of their product, to first order.
    """
    first, *second = factors
    read = right[..., :k, :] @ second[0].mT if second else right[..., :k, :]
    of_coordinates = read.square() @ variances[0].expand(first.shape).mT
    means = of_coordinates @ left.square().mT
    beside = (of_coordinates.sum(dim=-1) - means.sum(dim=-1)).clamp(min=0)
    if second:
        of_inner = right[..., :k, :].square() @ variances[1].expand(second[0].shape).mT
        means = means + of_inner @ (left @ first).square().mT
    return means, beside


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
