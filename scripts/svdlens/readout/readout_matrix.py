"""What turns directions into scores of tokens, from the weights of a model."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting
from svdlens.weights.factors import embedding, unembed
from svdlens.weights.weight_files import WeightFile

ALIKE = 1e-12
"""A token vector this close to the mean of all, in lengths of the longest, is at the mean: that is rounding."""
NO_VARIANCE = 1e-12
"""Variance of the token vectors along a direction, in that of their first principal component, under which there is
none: what a matrix centred over d_model has along the ones vector, or one of lower rank, is rounding."""


def readout_matrix(weights: WeightFile, setting: Setting, readout: str) -> Float[Tensor, "d_model d_vocab"]:
    """What turns directions (rows) into scores of tokens, as the setting wants it, float64.

    W_U, whose scores of residual vectors are logits (Elhage et al. 2021); W_E transposed; pinv_W_E, whose scores are
    the combination of embeddings that comes closest to the direction, the smallest of those; of W_U and W_E also
    cosine_columns and whitened_columns. Raises SvdlensError for another `readout`, and for token vectors that these
    two cannot take.
    """
    if readout not in READOUTS:
        raise SvdlensError(
            f"{readout!r} is no read-out; use one of {', '.join(READOUTS)}.{did_you_mean(readout, READOUTS)}"
        )
    entry = READOUTS[readout]
    if entry.form == "pseudo_inverse":
        W_E = embedding(weights, setting)
        # pinv(A) = pinv(A^T A) A^T. What a centred W_E has along the ones vector is rounding, and is cut off.
        return torch.linalg.pinv(W_E.T @ W_E, rtol=1e-12, hermitian=True) @ W_E.T
    if entry.form == "product":
        return unembed(weights, setting) if entry.weights == "W_U" else embedding(weights, setting).T
    # Centred anyway: without the switch there is no second rounding that could tell settings apart.
    setting = replace(setting, vocab_center=False)
    vectors = unembed(weights, setting) if entry.weights == "W_U" else embedding(weights, setting).T
    return cosine_columns(vectors, readout) if entry.form == "cosine" else whitened_columns(vectors, readout)


def cosine_columns(
    vectors: Float[Tensor, "d_model d_vocab"], readout: str = "cosine"
) -> Float[Tensor, "d_model d_vocab"]:
    """c / |c| for the vector of each token, c being what it has beyond the mean over the vocabulary. float64, no unit.

    Uniform on the unit sphere, a direction u gives a token the score u c with mean 0 and standard deviation
    |c| / sqrt(d_model). So sqrt(d_model) u c / |c| is a standard score, whatever the length of c: long vectors do not
    fill every list. For one u it is the cosine of u and c. The Normed Lens takes the same from the logit lens.

    A token at the mean has the score 0. Raises SvdlensError, naming `readout`, where all of them are.
    """
    return unit_columns(centred_columns(vectors, readout))


def whitened_columns(
    vectors: Float[Tensor, "d_model d_vocab"], readout: str = "whitened"
) -> Float[Tensor, "d_model d_vocab"]:
    """y / |y| with y = C^(-1/2) c, where C is the covariance over the vocabulary of the vectors c of cosine_columns.

    Under uniform directions a standard score too, times sqrt(d_model). Beyond that the vectors y have the same variance
    along every direction, where all c have much of their length along a few: what u and most tokens have in common
    there no longer decides. The whitening is that of the causal inner product (Park, Choe & Veitch 2023, section 3),
    applied to the tokens alone. C^(-1/2) is the symmetric root; along directions of NO_VARIANCE it is 0, and so is
    every score.

    A token at the mean has the score 0. Raises SvdlensError, naming `readout`, where all of them are, and for no more
    tokens than dimensions: whitened, these are the corners of a simplex whatever the weights.
    """
    d_model, d_vocab = vectors.shape
    if d_vocab <= d_model:
        raise SvdlensError(
            f"{readout} whitens by the covariance of the token vectors, and {d_vocab} tokens of {d_model} dimensions "
            f"have none to whiten by: there must be more tokens than dimensions. Read through "
            f"{readout.replace('whitened', 'cosine')} instead, in `readouts`."
        )
    centred = centred_columns(vectors, readout)
    # d_model x d_model: no decomposition has the size of the vocabulary.
    variances, axes = torch.linalg.eigh(centred @ centred.T / d_vocab)
    kept = variances > NO_VARIANCE * variances[-1]
    root = torch.where(kept, variances, 1).rsqrt() * kept
    return unit_columns((axes * root) @ axes.T @ centred)


def centred_columns(vectors: Float[Tensor, "d_model d_vocab"], readout: str) -> Float[Tensor, "d_model d_vocab"]:
    """`vectors` without their mean over the vocabulary, exactly 0 for a token that is at the mean but for rounding.

    Raises SvdlensError, naming `readout`, where all are, or where there are values that are not finite.
    """
    mean = vectors.mean(dim=1, keepdim=True)
    if not mean.isfinite().all():
        raise SvdlensError(
            f"{readout} takes the mean over the vocabulary from every token vector, and the mean is not finite: there "
            "are values that are NaN or infinite. Take a checkpoint without such values."
        )
    centred = vectors - mean
    at_mean = torch.linalg.vector_norm(centred, dim=0) <= ALIKE * torch.linalg.vector_norm(vectors, dim=0).max()
    if at_mean.all():
        raise SvdlensError(
            f"{readout} takes the mean over the vocabulary from every token vector, and nothing is left: all "
            f"{vectors.shape[1]} are alike. Such weights are damaged; take another checkpoint."
        )
    return centred.masked_fill_(at_mean, 0)


def unit_columns(vectors: Float[Tensor, "d_model d_vocab"]) -> Float[Tensor, "d_model d_vocab"]:
    """Each column scaled to length 1, in place; those of zeros stay as they are."""
    lengths = torch.linalg.vector_norm(vectors, dim=0)
    return vectors.div_(torch.where(lengths > 0, lengths, 1))


def reading_gains(weights: WeightFile, matrix: str) -> Float[Tensor, "n_layers d_model"] | None:
    """The gain (no unit) of the norm before each layer's matrix, one row of a kind that the model has one of; None in a
    model that has no norm there. float64."""
    kind = MATRIX_KINDS[matrix]
    if kind.norm_gain(0 if kind.in_layers else None) not in weights.names:
        return None
    layers = range(weights.layers) if kind.in_layers else [None]
    return torch.stack([weights[kind.norm_gain(layer)] for layer in layers])
