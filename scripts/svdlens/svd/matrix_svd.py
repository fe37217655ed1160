"""Singular value decompositions of single matrices and of products, with deterministic signs.

Convention: activations are rows, x @ W. So `left` lives where the matrix reads and `right` where it writes, and
W = left^T diag(values) right with singular vectors as rows of `left` and `right`. Products take leading batch
dimensions, which a GPU wants; on a CPU each matrix is done by itself (layers.py).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.spec.matrix_kinds import MATRIX_KINDS

SIGN_TIE = 1e-6

UNIT_ROUNDOFF = 2.0**-53  # of float64
VALUE_TOLERANCE = 1e-7
"""Relative error that a shortcut through A^T A may bring into a singular value: about that of the stored float32."""
CENTRED = 1e-12
"""Share of a matrix along the ones vector that counts as the rounding of a mean that was subtracted. Where the Gram
matrix is accurate enough, the smallest value is above sqrt(u m / 2 VALUE_TOLERANCE) = 2e-5 sqrt(m) of the whole, so
this is less than VALUE_TOLERANCE of it."""


class Decomposition(NamedTuple):
    """left [k, d_in], values [rank], right [k, d_out]: every singular value, the leading k vectors."""

    left: Float[Tensor, "... k d_in"]
    values: Float[Tensor, "... rank"]
    right: Float[Tensor, "... k d_out"]


def decompose(factors: list[Tensor], directions: int | None) -> Decomposition:
    """SVD of the one matrix in `factors`, or of the product of the two; `directions` None keeps every vector."""
    if len(factors) == 2:
        return decompose_product(factors[0], factors[1], directions)
    return decompose_dense(factors[0], directions)


def decompose_product(
    first: Float[Tensor, "... d_in inner"], second: Float[Tensor, "... inner d_out"], directions: int | None
) -> Decomposition:
    """SVD of first @ second, float64, without the dense product: QR of both factors, SVD of the small core.

    The post multiplies the factors out (Millidge & Black 2022); the values are the same.
    """
    first_basis, first_core = orthonormal_basis(first)
    second_basis, second_core = orthonormal_basis(second.mT)
    left, values, right = torch.linalg.svd(first_core @ second_core.mT, full_matrices=False)
    return Decomposition(
        first_basis.combine(left[..., :directions]).mT, values, second_basis.combine(right.mT[..., :directions]).mT
    )


class Basis(NamedTuple):
    """Orthonormal columns Q = columns @ transform, not multiplied out: only some combinations of them are wanted."""

    columns: Float[Tensor, "... n inner"]
    transform: Float[Tensor, "... inner rank"]

    def combine(self, weights: Float[Tensor, "... rank k"]) -> Float[Tensor, "... n k"]:
        return self.columns @ (self.transform @ weights)


def orthonormal_basis(matrix: Float[Tensor, "... n inner"]) -> tuple[Basis, Float[Tensor, "... rank inner"]]:
    """Q with orthonormal columns and R with matrix = Q R, float64.

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
    moved = (n + inner + 1) * UNIT_ROUNDOFF * matrix.square().sum(dim=(-2, -1)) + underflow
    # A bound that is NaN has not held either.
    wrong = (info != 0) | ~(moved * inverse_square <= VALUE_TOLERANCE)
    columns = matrix
    if wrong.any():
        columns = matrix.clone()
        columns[wrong], core[wrong] = torch.linalg.qr(matrix[wrong])
        transform[wrong] = identity_like(core, inner)
    return Basis(columns, transform), core


def identity_like(core: Tensor, size: int) -> Tensor:
    return torch.eye(size, dtype=core.dtype, device=core.device)


def decompose_dense(weight: Float[Tensor, "d_in d_out"], directions: int | None) -> Decomposition:
    """SVD of one matrix, float64: through its Gram matrix where that is accurate enough, else through QR."""
    if weight.shape[0] > weight.shape[1]:
        left, values, right = decompose_dense(weight.mT, directions)
        return Decomposition(right, values, left)
    found = decompose_by_gram(weight, directions)
    if found is not None:
        return found
    # QR of the longer side first: the SVD that is left is square.
    basis, core = torch.linalg.qr(weight.mT)
    left, values, right = torch.linalg.svd(core.mT)
    return Decomposition(left[:, :directions].mT, values, right[:directions] @ basis.mT)


def decompose_by_gram(weight: Float[Tensor, "n m"], directions: int | None) -> Decomposition | None:
    """SVD of a matrix with n <= m through the eigenvectors of W W^T, or None where that may be too inexact.

    Rounding moves an eigenvalue by at most m u |W|_F^2 (the product; Higham 2002, section 3.5) and n u |W|_2^2 (the
    eigenvalue solver), and by what underflows, so a singular value s by half of that over s. Where this exceeds
    VALUE_TOLERANCE for the smallest one, the answer is None. Several times as fast as an SVD.

    A matrix centred over its rows has one more singular value of exactly 0, which no Gram matrix can show: it is
    taken out first.
    """
    n, m = weight.shape
    total = weight.square().sum()
    centred = n > 1 and bool(weight.sum(dim=0).square().sum() <= n * CENTRED**2 * total)
    rest = without_ones(weight) if centred else weight
    if directions is None:
        directions = n
    # Beyond that, squares overflow within the eigenvalue solver. Weights in float32 are far from it.
    if directions > len(rest) or not bool(total < 1e300):
        return None

    squares, vectors = torch.linalg.eigh(lower_gram(rest), UPLO="L")
    squares, left = squares.flip(0), vectors.flip(1).mT[:directions].contiguous()
    error = UNIT_ROUNDOFF * (m * total + n * squares[0]) + n * m * torch.finfo(weight.dtype).tiny
    # Not so either if anything is NaN.
    if not bool(error <= 2 * VALUE_TOLERANCE * squares[-1]):
        return None
    values = squares.sqrt()
    right = (left @ rest) / values[:directions, None]
    if centred:
        values = torch.cat([values, values.new_zeros(1)])
        left = with_ones(left)
    return Decomposition(left, values, right)


def lower_gram(weight: Float[Tensor, "n m"]) -> Float[Tensor, "n n"]:
    """W W^T on and below its diagonal, in four strips: 5/8 of the products of the whole. Above, what is not needed."""
    gram = weight.new_zeros(len(weight), len(weight))
    strip = -(-len(weight) // 4)
    for start in range(0, len(weight), strip):
        gram[start:, start : start + strip] = weight[start:] @ weight[start : start + strip].mT
    return gram


def without_ones(weight: Float[Tensor, "n m"]) -> Float[Tensor, "n-1 m"]:
    """The matrix in an orthonormal basis of what is orthogonal to the ones vector: reflected, less the first row."""
    reflector = reflector_of_ones(len(weight), weight)
    return (weight - torch.outer(reflector, reflector @ weight))[1:]


def with_ones(left: Float[Tensor, "k n-1"]) -> Float[Tensor, "k n"]:
    """Vectors in the basis of without_ones as they were before."""
    left = torch.nn.functional.pad(left, (1, 0))
    reflector = reflector_of_ones(left.shape[1], left)
    return left - torch.outer(left @ reflector, reflector)


def reflector_of_ones(n: int, like: Tensor) -> Float[Tensor, " n"]:
    """w with I - w w^T a reflection that takes the ones vector to a multiple of the first coordinate (Householder)."""
    reflector = torch.full((n,), n**-0.5, dtype=like.dtype, device=like.device)
    reflector[0] += 1
    return reflector * (2 / reflector.square().sum()).sqrt()


def fix_signs(decomposition: Decomposition, matrix: str) -> Decomposition:
    """Flip `left` and `right` together so that the largest coordinate on the sign side of its kind is positive.

    Among magnitudes within SIGN_TIE (relative) of the largest the lowest index decides.
    """
    deciding = getattr(decomposition, MATRIX_KINDS[matrix].sign_array)
    magnitudes = deciding.abs()
    near_largest = magnitudes >= magnitudes.amax(dim=-1, keepdim=True) * (1 - SIGN_TIE)
    first = near_largest.int().argmax(dim=-1, keepdim=True)
    signs = torch.where(deciding.gather(-1, first) < 0, -1.0, 1.0).to(deciding.dtype)
    return decomposition._replace(left=decomposition.left * signs, right=decomposition.right * signs)
