"""Subspaces of leading singular vectors in the basis that makes the scores of tokens sparse: varimax (Kaiser 1958).

Among all orthonormal bases of a subspace the singular vectors are those of the weights alone. This one is chosen by
what it says of tokens: in each direction few tokens score far from 0, and most hardly at all.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.readout.top_tokens import ReadoutMatrix
from svdlens.runtime.compute import full_precision, single_threaded_pool
from svdlens.svd.matrix_svd import power_of_two, signs_of_largest
from svdlens.svd.null_space import null_space

MOST_STEPS = 300
STEPS_BACK, LEAST_GAIN = 10, 1e-3
"""The search ends where the criterion has grown by less than this share in so many steps; going on for hundreds more
adds less than 1 % (benchmarks/bases.py)."""

Vectors = dict[str, Float[Tensor, "matrices k d_model"]]


def varimax_rotation(scores: Float[Tensor, "d_vocab k"]) -> Float[Tensor, "k k"]:
    """An orthogonal R for which scores @ R has columns of high variance of their squares. float64.

    The criterion is sum over columns of sum y^4 - (sum y^2)^2 / d_vocab (Kaiser 1958, the raw varimax). From R = 1,
    each step takes the orthogonal matrix nearest to the gradient (Jennrich 2001), at a point ahead in the direction of
    the last step (Nesterov 1983), which starts anew where the criterion falls. It finds a local maximum near the basis
    that is given. Scores are to be centred over the vocabulary: a constant in all of them is nothing to a list.
    """
    rotation = ahead = torch.eye(scores.shape[1], dtype=torch.float64)
    if not scores.numel():
        return rotation
    # Fourth powers of small or large scores are beyond float32.
    scores = scores / power_of_two(scores)
    criteria: list[float] = []
    age = 0
    for _ in range(MOST_STEPS):
        rotated = scores @ ahead.to(scores.dtype)
        squares = rotated.square()
        gradient = (scores.T @ (rotated * (squares - squares.mean(dim=0)))).double()
        criteria.append(float((ahead * gradient).sum()))
        if len(criteria) > STEPS_BACK and criteria[-1] <= (1 + LEAST_GAIN) * criteria[-1 - STEPS_BACK]:
            break
        age = 0 if criteria[-1] < max(criteria) else age + 1
        last, rotation = rotation, nearest_orthogonal(gradient)
        ahead = nearest_orthogonal(rotation + age / (age + 3) * (rotation - last))
    # Of scores that are all 0 no basis is better than another.
    return rotation if max(criteria) > 0 else torch.eye(scores.shape[1], dtype=torch.float64)


def nearest_orthogonal(matrix: Float[Tensor, "k k"]) -> Float[Tensor, "k k"]:
    """The orthogonal matrix at the smallest distance (Schönemann 1966)."""
    left, _, right = torch.linalg.svd(matrix)
    return left @ right


def varimax_vectors(
    vectors: Vectors, as_read: Vectors, values: Float[Tensor, "matrices rank"], matrix: ReadoutMatrix, threads: int
) -> Vectors:
    """The varimax basis of each side and matrix, float64 and orthonormal where `vectors` are.

    `vectors` are singular vectors; `as_read` the same as the read-out takes them (projection.residual_vectors), from
    whose scores the rotation is. `values` are singular values. Directions come in descending order of the length of
    what the matrix makes of them, |W v| = sqrt(sum of (s_i R_ij)^2), which for singular vectors is the singular value;
    each has the sign in which its largest coordinate is positive. Vectors of null space stay as they are, the last of
    all. Bytes do not depend on `threads`.
    """
    live = (~null_space(values.numpy())).sum(axis=1).tolist()
    columns = (matrix.columns - matrix.mean).float()

    def of_matrix(side: str, number: int) -> Tensor:
        scores = columns @ as_read[side][number, : live[number]].T.float()
        rotation = varimax_rotation(scores)
        # Values as shares of the first: squares of small ones would be 0.
        shares = values[number, : len(rotation), None].double() / values[number, 0].double()
        strengths = (shares * rotation).square().sum(dim=0).sqrt()
        order = strengths.argsort(descending=True, stable=True)
        leading, rest = vectors[side][number].double().tensor_split([live[number]])
        directions = torch.cat([rotation.T[order] @ leading, rest])
        return directions * signs_of_largest(directions)

    places = [(side, number) for side in vectors for number in range(len(vectors[side]))]
    with full_precision(), single_threaded_pool(threads) as pool:
        rotated = dict(zip(places, pool.map(lambda place: of_matrix(*place), places), strict=True))
    return {
        side: torch.stack([rotated[side, number] for number in range(len(matrices))])
        for side, matrices in vectors.items()
    }


def random_varimax_directions(
    n: int, k: int, matrix: ReadoutMatrix, generator: np.random.Generator, threads: int
) -> Float[Tensor, "n d_model"]:
    """Directions of the varimax bases of random subspaces of k dimensions, as many subspaces as it takes. float64.

    The subspaces are uniform over all (QR of Gaussian matrices; Stewart 1980).
    """
    normal = torch.from_numpy(generator.standard_normal((-(-n // k), len(matrix.mean), k)))
    subspaces = {"all": torch.linalg.qr(normal)[0].mT}
    # No matrix is there to tell one direction from another.
    values = torch.ones(len(normal), k)
    return varimax_vectors(subspaces, subspaces, values, matrix, threads)["all"].flatten(0, 1)[:n]
