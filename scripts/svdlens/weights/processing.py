"""The six switches of a setting as pure functions on raw weights.

Each reproduces one step of TransformerLens' weight processing (`enable_compatibility_mode`), which is the oracle
in tests/weights/test_processing.py. Shapes and types of the weights stay what they are. The convention is x @ W, with
x a row of the residual stream.
"""

from jaxtyping import Float
from torch import Tensor

from svdlens.spec.settings import Setting


def process_reading(
    weight: Float[Tensor, "... d_model d_inner"], gain: Float[Tensor, " d_model"] | None, setting: Setting
) -> Float[Tensor, "... d_model d_inner"]:
    """W_Q, W_K, W_V, W_in or W_gate as the setting wants it: gain * W, then minus its mean over d_model.

    `gain` is that of the norm before it, None where the setting does not ask for it.
    """
    if setting.read_gain:
        assert gain is not None
        weight = weight * gain[:, None]
    if setting.read_center:
        weight = weight - weight.mean(dim=-2, keepdim=True)
    return weight


def process_writing(
    weight: Float[Tensor, "... d_inner d_model"], setting: Setting
) -> Float[Tensor, "... d_inner d_model"]:
    """W_O, W_out or W_E as the setting wants it: minus its mean over d_model."""
    if setting.write_center:
        weight = weight - weight.mean(dim=-1, keepdim=True)
    return weight


def process_unembed(
    W_U: Float[Tensor, "d_model d_vocab"], gain: Float[Tensor, " d_model"] | None, setting: Setting
) -> Float[Tensor, "d_model d_vocab"]:
    """W_U as the setting wants it: gain * W_U, minus its mean over d_model, minus its mean over the vocabulary.

    `gain` is that of the final norm, None where the setting does not ask for it.
    """
    if setting.unembed_gain:
        assert gain is not None
        W_U = W_U * gain[:, None]
    if setting.unembed_center:
        W_U = W_U - W_U.mean(dim=0, keepdim=True)
    if setting.vocab_center:
        W_U = W_U - W_U.mean(dim=1, keepdim=True)
    return W_U
