"""What turns directions into scores of tokens, from the weights of a model."""

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting
from svdlens.weights.factors import embedding, unembed
from svdlens.weights.weight_files import WeightFile


def readout_matrix(weights: WeightFile, setting: Setting, readout: str) -> Float[Tensor, "d_model d_vocab"]:
    """What turns directions (rows) into scores of tokens, as the setting wants it, float64.

    W_U, whose scores of residual vectors are logits (Elhage et al. 2021); W_E transposed; or pinv_W_E, whose scores are
    the combination of embeddings that comes closest to the direction, the smallest of those. Raises SvdlensError for
    another `readout`.
    """
    if readout == "W_U":
        return unembed(weights, setting)
    if readout == "W_E":
        return embedding(weights, setting).T
    if readout == "pinv_W_E":
        W_E = embedding(weights, setting)
        # pinv(A) = pinv(A^T A) A^T. What a centred W_E has along the ones vector is rounding, and is cut off.
        return torch.linalg.pinv(W_E.T @ W_E, rtol=1e-12, hermitian=True) @ W_E.T
    raise SvdlensError(f"{readout!r} is no read-out; use {' or '.join(READOUTS)}.{did_you_mean(readout, READOUTS)}")


def reading_gains(weights: WeightFile, matrix: str) -> Float[Tensor, "n_layers d_model"] | None:
    """The gain (no unit) of the norm before each layer's matrix, None in a model that has no norm there. float64."""
    norm = MATRIX_KINDS[matrix].norm
    if f"blocks.0.{norm}.w" not in weights.names:
        return None
    return torch.stack([weights[f"blocks.{layer}.{norm}.w"] for layer in range(weights.layers)])
