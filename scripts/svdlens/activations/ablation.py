"""A prompt with only some directions of a head kept, or without them: what becomes of the token that follows."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svdlens.edit.hooks import edited
from svdlens.edit.updates import Update, direction_update, head_rows
from svdlens.models.load import module_of, weight_of
from svdlens.spec.settings import Setting

WAYS = ("unchanged", "kept", "ablated", "head removed")
NOTHING = 1e-9
"""Singular values of what a head writes beyond some directions, in those of the head, at most which are rounding."""


def remainder(
    model: nn.Module, layer: int, head: int, vectors: Float[Tensor, "k d_model"]
) -> Float[Tensor, "r d_model"]:
    """An orthonormal basis of all that a head can write and that is orthogonal to `vectors`, which are orthonormal."""
    W = weight_of(module_of(model, "attn.W_O", layer)).double()
    W = W[head_rows(model, head, len(W))]
    vectors = vectors.double()
    _, values, right = torch.linalg.svd(W - W @ vectors.T @ vectors, full_matrices=False)
    return right[values > NOTHING * torch.linalg.matrix_norm(W, 2)]


def head_ablations(
    model: nn.Module,
    ids: Int[Tensor, "1 t"],
    target: int,
    setting: Setting,
    layer: int,
    head: int,
    vectors: Float[Tensor, "k d_model"],
) -> dict[str, Any]:
    """Log-probability of `target` after the prompt (nats), and the most probable token instead of it, for each of WAYS.

    vectors: the directions that are kept, all else that the head writes removed; or ablated, all else kept. Biases of
    W_O are no head's and stay.
    """

    def removing(*removed: Float[Tensor, "n d_model"]) -> list[Update]:
        return [direction_update(model, "ov", setting, layer, head, one, -1.0) for one in removed if len(one)]

    others = remainder(model, layer, head, vectors)
    ways: dict[str, Sequence[Update]] = {
        "unchanged": [],
        "kept": removing(others),
        "ablated": removing(vectors),
        "head removed": removing(remainder(model, layer, head, vectors[:0])),
    }
    columns: dict[str, Any] = {"way": list(ways), "log_probability": [], "best": []}
    for updates in ways.values():
        with edited(model, updates), torch.inference_mode():
            said = model(ids, use_cache=False).logits[0, -1].double().log_softmax(dim=-1)
        columns["log_probability"].append(float(said[target]))
        columns["best"].append(int(said.argmax()))
    return columns
