"""On what activation of the raw model the directions of a setting act: that which MatrixKind.hook_of names."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svdlens.models.load import gain_and_bias
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting


@dataclass(frozen=True)
class Acting:
    """Vectors that act on what a module of a layer gives: (output - offset) @ vectors^T.

    module: its name for module_of. vectors [k, d_model] and offset [d_model] or None, float32.
    """

    layer: int
    module: str
    vectors: Float[Tensor, "k d_model"]
    offset: Float[Tensor, " d_model"] | None = None


def acting(
    model: nn.Module, matrix: str, side: str, setting: Setting, layer: int, vectors: Float[Tensor, "k d_model"]
) -> Acting:
    """What the `vectors` of one side of a matrix act on.

    A side that reads acts on what the norm before gives: with its gain, or, where the setting has the gain in the
    matrix, before it. A side that writes acts on what attention or the MLP of the layer writes, all heads together,
    biases included. Where a gain is 0 the matrix with the gain in it reads nothing, nor do the vectors.
    """
    kind = MATRIX_KINDS[matrix]
    vectors = vectors.double()
    if not kind.sides[side].reads:
        return Acting(layer, kind.factors[-1].weight, vectors.float())
    if not setting.read_gain:
        return Acting(layer, kind.norm, vectors.float())
    gain, bias = gain_and_bias(model, kind.norm, layer)
    divided = torch.where(gain == 0, 0.0, vectors / torch.where(gain == 0, 1.0, gain))
    return Acting(layer, kind.norm, divided.float(), None if bias is None else bias.float())
