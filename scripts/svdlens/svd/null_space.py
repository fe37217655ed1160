"""Which singular values are null space."""

import numpy as np
from jaxtyping import Bool, Float

NULL_SPACE = 1e-6
"""Values of at most this share of the first are null space: rounding errors, whose vectors mean nothing."""


def null_space(values: Float[np.ndarray, "*matrices rank"]) -> Bool[np.ndarray, "*matrices rank"]:
    """Which singular values of each matrix, in descending order, are null space: of a matrix of zeros all."""
    return values <= NULL_SPACE * values[..., :1]
