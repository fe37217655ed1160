"""What a spectrum says about its singular vectors: gaps, blocks of crowded values, null space, sign margins."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

NULL_SPACE = 1e-6
"""Values below this share of the first are null space: rounding errors, whose vectors mean nothing."""


class Spectrum(NamedTuple):
    """One entry for each singular value. Null space has block -1 and gap NaN."""

    energy: Float[np.ndarray, " rank"]
    gap: Float[np.ndarray, " rank"]
    block: Int[np.ndarray, " rank"]
    block_spread: Float[np.ndarray, " rank"]


def describe_spectrum(values: Float[np.ndarray, " rank"], tolerance: float) -> Spectrum:
    """Describe singular values in descending order.

    energy: cumulative share of the sum of squares. gap: relative distance to the nearest neighbour,
    (s_i - s_{i+1}) / s_i taken on either side. block: number of the maximal run whose neighbours are less than
    `tolerance` apart; only vectors of blocks of size one are determined by the matrix. block_spread: relative
    distance between the first and the last value of the block.
    """
    values = np.asarray(values, dtype=np.float64)
    squares = np.cumsum(values**2)
    energy = squares / squares[-1] if squares[-1] > 0 else np.zeros_like(values)

    alive = int(np.sum(values > NULL_SPACE * values[0]))
    steps = (values[: alive - 1] - values[1:alive]) / values[: alive - 1] if alive > 1 else np.empty(0)
    gap = np.full(len(values), np.nan)
    block = np.full(len(values), -1)
    spread = np.full(len(values), np.nan)
    if alive:
        # The last value of all is as far from zero as a value can be: relative distance 1.
        gap[:alive] = np.minimum(np.append(steps, 1.0), np.append(1.0, steps))
        block[:alive] = np.append(0, np.cumsum(steps >= tolerance))
        for number in range(block[alive - 1] + 1):
            members = values[block == number]
            spread[block == number] = (members[0] - members[-1]) / members[0]
    return Spectrum(energy, gap, block, spread)


def sign_margins(vectors: Float[np.ndarray, "k d_model"]) -> Float[np.ndarray, " k"]:
    """How safely the sign rule decides: 1 - (largest negative coordinate) / (largest positive one), as magnitudes.

    `vectors` have their signs fixed already (decompose.fix_signs). Near 0, a small change of the weights can flip
    the direction.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    highest = vectors.max(axis=1)
    lowest = np.maximum(-vectors.min(axis=1), 0.0)
    return 1.0 - np.divide(lowest, highest, out=np.ones_like(highest), where=highest > 0)


def spectra_columns(
    values: Float[np.ndarray, "matrices rank"],
    deciding: Float[np.ndarray, "matrices k d_model"],
    layers: list[int],
    heads: list[int | None],
    matrix: str,
    tolerance: float,
    stability_noise: Float[np.ndarray, "matrices k"],
    stability_float32: Float[np.ndarray, "matrices k"],
) -> dict[str, object]:
    """Columns of the spectra table for all matrices of one kind; `deciding` are the vectors that fix the signs.

    What is said of vectors is empty beyond the stored ones, and for those of the null space.
    """
    n_matrices, rank = values.shape
    described = [describe_spectrum(row, tolerance) for row in values]
    alive = np.stack([one.block >= 0 for one in described])
    of_vectors = {
        "sign_margin": np.stack([sign_margins(vectors) for vectors in deciding]),
        "stability_noise": stability_noise,
        "stability_float32": stability_float32,
    }
    padded = {}
    for name, known in of_vectors.items():
        padded[name] = np.full((n_matrices, rank), np.nan)
        padded[name][:, : known.shape[1]] = known
        padded[name][~alive] = np.nan
    blocks = np.concatenate([one.block for one in described])
    return {
        "matrix": [matrix] * (n_matrices * rank),
        "layer": np.repeat(layers, rank),
        "head": [head for head in heads for _ in range(rank)],
        "index": np.tile(np.arange(rank), n_matrices),
        "value": values.reshape(-1),
        "energy": np.concatenate([one.energy for one in described]),
        "gap": np.concatenate([one.gap for one in described]),
        "block": [None if number < 0 else int(number) for number in blocks],
        "block_spread": np.concatenate([one.block_spread for one in described]),
        **{name: known.reshape(-1) for name, known in padded.items()},
    }
