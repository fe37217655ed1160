"""Updates as forward hooks: nothing is copied, and the weights stay as they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svdlens.edit.updates import Update, active, updates_by_module
from svdlens.models.load import model_type, module_of
from svdlens.spec.architectures import ARCHITECTURES

PATHS = ("total", "direct")
"""total: all later layers see the change; direct: only the final norm and the unembedding do."""


@contextmanager
def edited(model: nn.Module, updates: Sequence[Update], path: str = "total") -> Iterator[None]:
    """Within this block forward passes of `model` (load_model) are those of the edited model.

    path: one of PATHS. The direct path takes updates of weights that write into the residual stream and a model that
    adds what they write to it as it is (has_direct_path).
    """
    handles: list[Any] = []
    changes: list[Tensor] = []

    def hook_of(found: list[Update]) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            change = output_change(inputs[0], found)
            if path == "total":
                return output + change
            changes.append(change)
            return None

        return hook

    def before_final_norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        residual = inputs[0] + sum(changes)
        changes.clear()
        return (residual, *inputs[1:])

    try:
        for (layer, weight), found in updates_by_module(active(updates)).items():
            handles.append(module_of(model, weight, layer).register_forward_hook(hook_of(found)))
        if path == "direct" and handles:
            handles.append(module_of(model, "ln_final").register_forward_pre_hook(before_final_norm))
        yield
    finally:
        for handle in handles:
            handle.remove()


def output_change(inputs: Float[Tensor, "*batch d_in"], updates: Sequence[Update]) -> Float[Tensor, "*batch d_out"]:
    """What updates of one module add to its output."""
    total = torch.zeros((), dtype=inputs.dtype)
    for update in updates:
        read, write = update.read.to(inputs.dtype), (update.eps[:, None] * update.write).to(inputs.dtype)
        acting = inputs[..., update.rows]
        if update.offset is not None:
            acting = acting - update.offset.to(inputs.dtype)
        total = total + (acting @ read.T) @ write
    return total


def has_direct_path(model: nn.Module, weight: str) -> bool:
    """Whether what `weight` writes is added to the residual stream as it is: not where a norm comes between."""
    if weight not in ("attn.W_O", "mlp.W_out"):
        return False
    return not ARCHITECTURES[model_type(model)].post_norm
