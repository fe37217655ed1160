"""Singular value decompositions of single matrices and of products, with deterministic signs.

Convention: activations are rows, x @ W. So `left` lives where the matrix reads and `right` where it writes, and
W = left^T diag(values) right with singular vectors as rows of `left` and `right`. Products take leading batch
dimensions, which a GPU wants; on a CPU each matrix is done by itself (layer_by_layer.py).

All functions raise torch.linalg.LinAlgError where LAPACK does not converge, as with values that are not finite.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.spec.matrix_kinds import MATRIX_KINDS

SIGN_TIE = 1e-6
"""Relative distance to the largest magnitude within which coordinates count as equally large. It is far above what
rounding moves, so that two correct SVDs give a direction the same sign."""
UNIT_ROUNDOFF = 2.0**-53  # of float64
VALUE_TOLERANCE = 1e-7
"""Relative error that a shortcut through A^T A may bring into a singular value: about that of the stored float32."""
CENTRED = 1e-12
"""Share of a matrix along the ones vector that counts as the rounding of a mean that was subtracted. Where the Gram
matrix is accurate enough, the smallest value is above sqrt(u m / 2 VALUE_TOLERANCE) = 2e-5 sqrt(m) of the whole, so
this is less than VALUE_TOLERANCE of it."""


class Decomposition(NamedTuple):
    """left [k, d_in], values [rank], right [k, d_out]: every singular value, descending, and the leading k vectors.

    Vectors are rows of unit length, `values` have the unit of the weights. All may have leading batch dimensions.
    """

    left: Float[Tensor, "... k d_in"]
    values: Float[Tensor, "... rank"]
    right: Float[Tensor, "... k d_out"]


def decompose(factors: list[Float[Tensor, "... _ _"]], directions: int | None) -> Decomposition:
    """SVD of the one matrix [d_in, d_out] in `factors`, or of the product of the two, float64.

    The leading `directions` vectors are kept, or all where it is None or more than the rank; signs are as they come.
    Weights may be as small or as large as float32 has them: factors are scaled before anything is squared.
    """
    sizes = [power_of_two(factor) for factor in factors]
    scaled = [factor / size for factor, size in zip(factors, sizes, strict=True)]
    if len(factors) == 2:
        found = decompose_product(scaled[0], scaled[1], directions)
    else:
        found = decompose_dense(scaled[0], directions)
    return found._replace(values=found.values * math.prod(size[..., 0] for size in sizes))


def power_of_two(matrix: Float[Tensor, "... _ _"]) -> Float[Tensor, "... 1 1"]:
    """The power of two next above the largest magnitude of each matrix, 1 for one of zeros: dividing by it rounds
    nothing."""
    largest = matrix.abs().amax(dim=(-2, -1), keepdim=True)
    mantissas, _ = torch.frexp(largest)
    return torch.where(largest > 0, largest / mantissas, 1.0)


def in_single_precision(values: Float[Tensor, "... rank"]) -> Float[Tensor, "... rank"]:
    """Descending values to the digits of float32, in float64: those of a product may be beyond what float32 holds."""
    size = power_of_two(values[..., :1, None])[..., 0]
    return (values / size).float().double() * size


def decompose_product(
    first: Float[Tensor, "... d_in inner"], second: Float[Tensor, "... inner d_out"], directions: int | None
) -> Decomposition:
    """SVD of first @ second, float64, without the dense product: QR of both factors, SVD of the small core.

    With first = Q1 R1 and second^T = Q2 R2 the product is Q1 (R1 R2^T) Q2^T, and R1 R2^T = U S V^T gives its vectors
    Q1 U and Q2 V (Chan 1982, for one factor). The post multiplies the factors out (Millidge & Black 2022); the values
    are the same.
    """
    first_basis, first_core = orthonormal_basis(first)
    second_basis, second_core = orthonormal_basis(second.mT)
    left, values, right = torch.linalg.svd(first_core @ second_core.mT, full_matrices=False)
    return Decomposition(
        first_basis.combine(left[..., :directions]).mT, values, second_basis.combine(right.mT[..., :directions]).mT
    )


class Basis(NamedTuple):
    """Orthonormal columns Q [n, rank] = columns @ transform, not multiplied out: only some combinations are wanted."""

    columns: Float[Tensor, "... n inner"]
    transform: Float[Tensor, "... inner rank"]

    def combine(self, weights: Float[Tensor, "... rank k"]) -> Float[Tensor, "... n k"]:
        """Q @ weights."""
        return self.columns @ (self.transform @ weights)


def orthonormal_basis(matrix: Float[Tensor, "... n inner"]) -> tuple[Basis, Float[Tensor, "... rank inner"]]:
    """Q [n, rank] with orthonormal columns and R [rank, inner] with matrix = Q R, float64.

    Cholesky-QR where it is accurate enough: Q = A R^-1 with R^T R = A^T A, all of it matrix products. Rounding moves
    A^T A by at most (n + inner + 1) u |A|_F^2 (product and Cholesky; Higham 2002, sections 3.5 and 10.1), so Q^T Q by
    that times |R^-1|_2^2, and every singular value, relatively, by half of it (Ostrowski). Where this exceeds
    VALUE_TOLERANCE, as with dependent columns, the matrix gets Householder's QR.
    """
    n, inner = matrix.shape[-2:]
    if inner > n:
        columns, core = torch.linalg.qr(matrix)
        return Basis(columns, identity_like(core, n)), core
    core, info = torch.linalg.cholesky_ex(matrix.mT @ matrix, upper=True)
    transform = torch.linalg.solve_triangular(core, identity_like(core, inner), upper=True)
    # The product of these two norms is at least the square of the 2-norm.
    inverse_square = torch.linalg.matrix_norm(transform, 1) * torch.linalg.matrix_norm(transform, torch.inf)
    underflow = n * inner * torch.finfo(matrix.dtype).tiny
    gram_error = (n + inner + 1) * UNIT_ROUNDOFF * matrix.square().sum(dim=(-2, -1)) + underflow
    # A bound that is NaN has not held either.
    inexact = (info != 0) | ~(gram_error * inverse_square <= VALUE_TOLERANCE)
    columns = matrix
    if inexact.any():
        columns = matrix.clone()
        columns[inexact], core[inexact] = torch.linalg.qr(matrix[inexact])
        transform[inexact] = identity_like(core, inner)
    return Basis(columns, transform), core


def identity_like(core: Tensor, size: int) -> Float[Tensor, "{size} {size}"]:
    """The identity, in the type and on the device of `core`."""
    return torch.eye(size, dtype=core.dtype, device=core.device)


def decompose_dense(weight: Float[Tensor, "d_in d_out"], directions: int | None) -> Decomposition:
    """SVD of one matrix, float64: through its Gram matrix where that is accurate enough, else by QR (Chan 1982)."""
    if weight.shape[0] > weight.shape[1]:
        left, values, right = decompose_dense(weight.mT, directions)
        return Decomposition(right, values, left)
    by_gram = decompose_by_gram(weight, directions)
    if by_gram is not None:
        return by_gram
    # QR of the longer side first: the SVD that is left is square.
    basis, core = torch.linalg.qr(weight.mT)
    left, values, right = torch.linalg.svd(core.mT)
    return Decomposition(left[:, :directions].mT, values, right[:directions] @ basis.mT)


def decompose_by_gram(weight: Float[Tensor, "n m"], directions: int | None) -> Decomposition | None:
    """SVD of a matrix with n <= m through the eigenvectors of W W^T, or None where that may be too inexact.

    Rounding moves an eigenvalue by at most m u |W|_F^2 (the product; Higham 2002, section 3.5) and n u |W|_2^2 (the
    eigenvalue solver), and by what underflows, so a singular value s by half of that over s. Where this exceeds
    VALUE_TOLERANCE (relative) for the smallest one, the answer is None. Several times as fast as an SVD.

    A matrix centred over its rows has one more singular value of exactly 0, which no Gram matrix can show: it is
    taken out first.
    """
    n, m = weight.shape
    total = weight.square().sum()
    is_centred = n > 1 and bool(weight.sum(dim=0).square().sum() <= n * CENTRED**2 * total)
    reduced = without_ones(weight) if is_centred else weight
    if directions is None:
        directions = n
    # Beyond that, squares overflow within the eigenvalue solver. Weights in float32 are far from it.
    if not bool(total < 1e300):
        return None

    squares, vectors = torch.linalg.eigh(lower_gram(reduced), UPLO="L")
    squares, left = squares.flip(0), vectors.flip(1).mT[:directions].contiguous()
    error = UNIT_ROUNDOFF * (m * total + n * squares[0]) + n * m * torch.finfo(weight.dtype).tiny
    # A NaN is not within the bound either.
    if not bool(error <= 2 * VALUE_TOLERANCE * squares[-1]):
        return None
    values = squares.sqrt()
    right = (left @ reduced) / values[: len(left), None]
    if is_centred:
        values = torch.cat([values, values.new_zeros(1)])
        left = with_ones(left)
        if directions >= n:
            left = torch.cat([left, torch.full_like(left[:1], n**-0.5)])
            right = torch.cat([right, vector_beside(right)[None]])
    return Decomposition(left, values, right)


def lower_gram(weight: Float[Tensor, "n m"]) -> Float[Tensor, "n n"]:
    """W W^T on and below its diagonal, in four strips: 5/8 of the products of the whole. Above is nothing valid."""
    gram = weight.new_zeros(len(weight), len(weight))
    strip = -(-len(weight) // 4)
    for start in range(0, len(weight), strip):
        gram[start:, start : start + strip] = weight[start:] @ weight[start : start + strip].mT
    return gram


def vector_beside(rows: Float[Tensor, "k m"]) -> Float[Tensor, " m"]:
    """A unit vector that is orthogonal to the orthonormal `rows`, k < m: the coordinate that they reach least, less
    its part in their space, taken away twice so that rounding leaves none of it."""
    vector = torch.zeros_like(rows[0])
    vector[rows.square().sum(dim=0).argmin()] = 1
    for _ in range(2):
        vector = vector - (rows @ vector) @ rows
    return vector / vector.norm()


def without_ones(weight: Float[Tensor, "n m"]) -> Float[Tensor, "n-1 m"]:
    """The columns in an orthonormal basis of what is orthogonal to the ones vector: reflected, less the first row."""
    reflector = reflector_of_ones(len(weight), weight)
    return (weight - torch.outer(reflector, reflector @ weight))[1:]


def with_ones(left: Float[Tensor, "k reduced"]) -> Float[Tensor, "k reduced+1"]:
    """Rows that are vectors in the basis of without_ones, in the coordinates that the matrix had before it."""
    left = torch.nn.functional.pad(left, (1, 0))
    reflector = reflector_of_ones(left.shape[1], left)
    return left - torch.outer(left @ reflector, reflector)


def reflector_of_ones(n: int, like: Tensor) -> Float[Tensor, " n"]:
    """w with I - w w^T a reflection that takes the ones vector to a multiple of the first coordinate.

    Householder's reflector, in the type and on the device of `like`.
    """
    reflector = torch.full((n,), n**-0.5, dtype=like.dtype, device=like.device)
    reflector[0] += 1
    return reflector * (2 / reflector.square().sum()).sqrt()


def fix_signs(decomposition: Decomposition, matrix: str) -> Decomposition:
    """Flip `left` and `right` together so that the largest coordinate on the sign side of its kind is positive.

    `matrix` is a key of MATRIX_KINDS. As scikit-learn's svd_flip, which knows no ties.
    """
    signs = signs_of_largest(getattr(decomposition, MATRIX_KINDS[matrix].sign_array))
    return decomposition._replace(left=decomposition.left * signs, right=decomposition.right * signs)


def signs_of_largest(vectors: Float[Tensor, "... k n"]) -> Float[Tensor, "... k 1"]:
    """1 or -1: the sign of the largest coordinate of each vector, by magnitude.

    Among magnitudes within SIGN_TIE (relative) of the largest the lowest index decides.
    """
    magnitudes = vectors.abs()
    near_largest = magnitudes >= magnitudes.amax(dim=-1, keepdim=True) * (1 - SIGN_TIE)
    deciding = near_largest.int().argmax(dim=-1, keepdim=True)
    return torch.where(vectors.gather(-1, deciding) < 0, -1.0, 1.0).to(vectors.dtype)
