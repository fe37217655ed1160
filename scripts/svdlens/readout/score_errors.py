"""How far scores may be off: bounds on the errors of products."""

import torch
from jaxtyping import Float
from torch import Tensor


def upper_norms(vectors: Float[Tensor, "n d_model"]) -> Float[Tensor, " n"]:
    """Norms of rows, float64, not too small whatever is lost in computing them (in float32, unless in float64)."""
    if vectors.dtype == torch.float64:
        # Squares of what is under 1e-154 are lost.
        return torch.linalg.vector_norm(vectors, dim=1) * (1 + 1e-9) + 1e-153 * vectors.shape[1]
    # d_model 2^-24 for the sum, and squares of what is under 1e-19 are lost.
    return torch.linalg.vector_norm(vectors.float(), dim=1).double() * (1 + 1e-3) + 1e-19 * vectors.shape[1]


def error_bound(
    norm: Float[Tensor, "*#shape"],
    low_norm: Float[Tensor, "*#shape"],
    residual_norm: Float[Tensor, "*#shape"],
    *,
    residual: Float[Tensor, "*#shape"],
    size: Float[Tensor, "*#shape"],
    d_model: int,
) -> Float[Tensor, "*shape"]:
    """How far the sum x' w', in float32, may be from x w, where x' and w' are x and w rounded.

    norm, low_norm and residual_norm are |w|, |w'| and |w - w'|, residual and size |x - x'| and |x'|; all broadcast.
    x w - x' w' = (x - x') w + x' (w - w'), by norms. The sum of d_model products has a relative error of d_model 2^-24
    (Higham 2002, section 3.1), twice that where a processor rounds otherwise than to the nearest, and what is too
    small for float32 is lost.
    """
    return residual * norm + size * residual_norm + d_model * (2.0**-23 * size * low_norm + 2.0**-126)


def product_error(
    norm: Float[Tensor, "*#shape"], size: Float[Tensor, "*#shape"], d_model: int
) -> Float[Tensor, "*shape"]:
    """How far the sum x w of d_model products may be from x w in float64, in whatever order it is made; norm and size
    are |w| and |x|. Twice the relative error of d_model 2^-53 (Higham 2002, section 3.1), and what underflow takes."""
    return d_model * (2.0**-52 * size * norm + 2.0**-1021)
