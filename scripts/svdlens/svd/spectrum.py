"""What a spectrum says about its singular vectors: gaps, near-degenerate clusters, null space, sign margins.

Vectors of values that nearly coincide are determined only together: a small change of the weights turns them within
their common space (Davis & Kahan 1970, where the gap is in the denominator). Null space has no determined vectors.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from svdlens.spec.matrix_kinds import Layer
from svdlens.svd.null_space import null_space


class Spectrum(NamedTuple):
    """One entry for each singular value, as describe_spectrum says. Null space has cluster -1, gap and spread NaN."""

    energy: Float[np.ndarray, " rank"]
    gap: Float[np.ndarray, " rank"]
    cluster: Int[np.ndarray, " rank"]
    cluster_spread: Float[np.ndarray, " rank"]


def describe_spectrum(values: Float[np.ndarray, " rank"], tolerance: float) -> Spectrum:
    """Describe singular values in descending order. Everything is relative, nothing has a unit.

    energy: cumulative share of the sum of squares, 0.0 throughout if that sum is 0. gap: relative distance to the
    nearest neighbour, (s_i - s_{i+1}) / s_i taken on either side. cluster: number of the maximal run whose neighbours
    are less than `tolerance` (relative) apart; only vectors of clusters of size one are determined by the matrix.
    cluster_spread: relative distance between the first and the last value of the cluster.
    """
    values = np.asarray(values, dtype=np.float64)
    # Scaled before they are squared: the largest square is 1.
    squares = np.cumsum((values / values[0]) ** 2) if values[0] > 0 else np.zeros_like(values)
    energy = squares / squares[-1] if squares[-1] > 0 else squares

    alive = int(np.sum(~null_space(values)))
    steps = (values[: alive - 1] - values[1:alive]) / values[: alive - 1] if alive > 1 else np.empty(0)
    gap = np.full(len(values), np.nan)
    cluster = np.full(len(values), -1)
    spread = np.full(len(values), np.nan)
    if alive:
        # The last value of all is as far from zero as a value can be: relative distance 1.
        gap[:alive] = np.minimum(np.append(steps, 1.0), np.append(1.0, steps))
        cluster[:alive] = np.append(0, np.cumsum(steps >= tolerance))
        for number in range(cluster[alive - 1] + 1):
            members = values[cluster == number]
            spread[cluster == number] = (members[0] - members[-1]) / members[0]
    return Spectrum(energy, gap, cluster, spread)


def sign_margins(vectors: Float[np.ndarray, "k d_model"]) -> Float[np.ndarray, " k"]:
    """How safely the sign rule decides: 1 - (largest negative coordinate) / (largest positive one), as magnitudes.

    `vectors` are rows, their signs fixed already (matrix_svd.fix_signs). Between 0 and 1; near 0, a small change of the
    weights can flip the direction.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    highest = vectors.max(axis=1)
    lowest = np.maximum(-vectors.min(axis=1), 0.0)
    return 1.0 - np.divide(lowest, highest, out=np.ones_like(highest), where=highest > 0)


def spectra_columns(
    values: Float[np.ndarray, "matrices rank"],
    sign_vectors: Float[np.ndarray, "matrices k d_model"],
    layers: list[Layer],
    heads: list[int | None],
    matrix: str,
    tolerance: float,
    stability_noise: Float[np.ndarray, "matrices k"] | None = None,
    stability_float32: Float[np.ndarray, "matrices k"] | None = None,
) -> dict[str, object]:
    """Columns of the spectra table (artefacts/table_schemas.py) for all matrices of one kind, one after the other.

    `layers` and `heads` name the matrices, `sign_vectors` are those that fix the signs (MatrixKind.sign_array), and
    `tolerance` is that of describe_spectrum. What is said of vectors is NaN beyond the k stored ones and for those of
    the null space; stability, where it was not measured, for all.
    """
    n_matrices, rank = values.shape
    described = [describe_spectrum(row, tolerance) for row in values]
    clusters = np.stack([spectrum.cluster for spectrum in described])
    known_of_vectors = {
        "sign_margin": np.stack([sign_margins(vectors) for vectors in sign_vectors]),
        "stability_noise": stability_noise,
        "stability_float32": stability_float32,
    }
    columns_of_vectors = {}
    for name, known in known_of_vectors.items():
        column = np.full((n_matrices, rank), np.nan)
        if known is not None:
            column[:, : known.shape[1]] = known
        column[clusters < 0] = np.nan
        columns_of_vectors[name] = column.reshape(-1)
    return {
        "matrix": [matrix] * (n_matrices * rank),
        "layer": [layer for layer in layers for _ in range(rank)],
        "head": [head for head in heads for _ in range(rank)],
        "index": np.tile(np.arange(rank), n_matrices),
        "value": values.reshape(-1),
        "energy": np.concatenate([spectrum.energy for spectrum in described]),
        "gap": np.concatenate([spectrum.gap for spectrum in described]),
        "cluster": [None if number < 0 else int(number) for number in clusters.reshape(-1)],
        "cluster_spread": np.concatenate([spectrum.cluster_spread for spectrum in described]),
        **columns_of_vectors,
    }
