"""Tokens as vectors of the residual stream, for a query."""

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.spec.settings import Setting
from svdlens.spec.token_vectors import TOKEN_VECTORS
from svdlens.weights.factors import embedding, unembed
from svdlens.weights.weight_files import WeightFile


def token_vectors(weights: WeightFile, setting: Setting, name: str) -> Float[Tensor, "d_vocab d_model"]:
    """A vector for each token, as `name` of TOKEN_VECTORS has it, of the weights as the setting wants them. float64.

    pinv_W_U: the rows of the pseudo-inverse of W_U; the smallest vectors whose logits come closest, by least squares,
    to 1 for one token and 0 for the others. W_U: its columns. W_E: its rows.
    """
    entry = TOKEN_VECTORS[name]
    if entry.weights == "W_E":
        return embedding(weights, setting)
    W_U = unembed(weights, setting)
    if not entry.pseudo_inverse:
        return W_U.T
    # pinv(A) = A^T pinv(A A^T). What a centred W_U has along the ones vector is rounding, and is cut off.
    return W_U.T @ torch.linalg.pinv(W_U @ W_U.T, rtol=1e-12, hermitian=True)
