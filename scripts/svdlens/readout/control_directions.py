"""Directions that are no singular vectors of the model, to be read the same way: what comes out for no reason at all.

random_unit   random unit vectors, the primary null: is a direction better than any direction?
rotated       random combinations of a matrix's own leading singular vectors: is it better than others of its subspace?
gaussian      singular vectors of Gaussian matrices, the post's control (Millidge & Black 2022)
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Rotated(NamedTuple):
    """directions [n, d_model], of unit length, and for each the side and the number of the matrix (in the order of the
    SVD file) in whose subspace it lies."""

    directions: Float[Tensor, "n d_model"]
    sides: list[str]
    matrices: list[int]


def seeded(seed: int, *names: str) -> np.random.Generator:
    """A generator of random numbers that depend on the seed and the names, and on nothing else."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def random_unit_directions(n: int, d_model: int, generator: np.random.Generator) -> Float[Tensor, "n d_model"]:
    """Independent directions, uniform on the unit sphere: normalised Gaussians (Muller 1959). float64."""
    directions = generator.standard_normal((n, d_model))
    return torch.from_numpy(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def gaussian_directions(n: int, d_model: int, generator: np.random.Generator) -> Float[Tensor, "n d_model"]:
    """Leading right singular vectors of a Gaussian d_model x d_model matrix; of further ones where n is more. float64.

    The post's control (Millidge & Black 2022). Each is uniform on the sphere, and those of one matrix are orthogonal.
    """
    vectors: list[Tensor] = []
    for start in range(0, n, d_model):
        matrix = torch.from_numpy(generator.standard_normal((d_model, d_model)))
        vectors.append(torch.linalg.svd(matrix)[2][: n - start])
    return torch.cat(vectors)


def rotated_directions(
    vectors: dict[str, Float[Tensor, "matrices k d_model"]],
    live: Sequence[int],
    n: int,
    generator: np.random.Generator,
) -> Rotated:
    """Rows of random rotations of the leading singular vectors of a matrix, for each side and matrix as many.

    `live` says for each matrix how many of its k vectors are not null space: these are rotated. The rotations are
    uniform over all (QR of a Gaussian matrix; Stewart 1980). Of a rotation all rows are used before the next is drawn.
    Where there are more sides and matrices than n, n of them are chosen; a matrix of zeros has none. float64.
    """
    subspaces = [(side, matrix) for side in vectors for matrix, size in enumerate(live) if size]
    if not subspaces:
        return Rotated(next(iter(vectors.values()))[0, :0].double(), [], [])
    counts = np.full(len(subspaces), n // len(subspaces))
    counts[generator.permutation(len(subspaces))[: n % len(subspaces)]] += 1
    rows: list[Tensor] = []
    for (side, matrix), count in zip(subspaces, counts, strict=True):
        leading = vectors[side][matrix, : live[matrix]].double()
        for start in range(0, int(count), len(leading)):
            normal = torch.from_numpy(generator.standard_normal((len(leading), len(leading))))
            rotation, triangle = torch.linalg.qr(normal)
            # With the signs of the diagonal taken out, no rotation is likelier than another.
            rotation *= triangle.diagonal().sign()
            rows.append(rotation[: count - start] @ leading)
    chosen = [subspace for subspace, count in zip(subspaces, counts, strict=True) for _ in range(count)]
    return Rotated(torch.cat(rows), [side for side, _ in chosen], [matrix for _, matrix in chosen])
