"""Many directions of a layer removed together, chosen by labels or at random; and what a module writes replaced."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from svdlens.edit.passes import Passes
from svdlens.models.load import module_of

INTERPRETABLE, OTHERS, KEPT = "interpretable", "not interpretable", "all that are stored"
AS_MANY, AS_MUCH = "as many as {}, at random", "as much energy as {}, at random"


def with_controls(name: str) -> tuple[str, str, str]:
    """A choice by labels, and the random ones beside it."""
    return name, AS_MANY.format(name), AS_MUCH.format(name)


CHOICES = (*with_controls(INTERPRETABLE), *with_controls(OTHERS), KEPT)
"""What choices gives, by name."""
Module = tuple[int, str]
"""Layer, and the name of a weight as module_of has it."""


def choices(
    energy: Float[np.ndarray, " n"], interpretable: Bool[np.ndarray, " n"], random: np.random.Generator
) -> dict[str, Int[np.ndarray, " m"]]:
    """CHOICES of n directions, as their numbers. energy: the square of the singular value of each.

    Of the interpretable ones and of all others: themselves, as many at random, and so many of a random order that their
    energy comes closest. All random ones are of all n, so that they hold some of either kind.
    """
    found: dict[str, Any] = {}
    for name, members in ((INTERPRETABLE, interpretable), (OTHERS, ~interpretable)):
        order = random.permutation(len(energy))
        reached = np.concatenate([[0.0], energy[order].cumsum()])
        as_much = np.abs(reached - energy[members].sum()).argmin()
        chosen = np.flatnonzero(members), order[: members.sum()], order[:as_much]
        found |= dict(zip(with_controls(name), chosen, strict=True))
    return found | {KEPT: np.arange(len(energy))}


def mean_outputs(
    model: nn.Module, windows: Int[Tensor, "n length"], modules: Sequence[Module]
) -> dict[Module, Float[Tensor, " d_model"]]:
    """What each of these modules of a model (load_model) gives, mean over all positions of a text."""
    means: dict[Module, Tensor] = {}
    handles = [
        module_of(model, name, layer).register_forward_hook(
            lambda _, inputs, output, key=(layer, name): means.update({key: output.mean(dim=(0, 1))})
        )
        for layer, name in modules
    ]
    try:
        Passes(model, windows, 0).run([])
    finally:
        for handle in handles:
            handle.remove()
    return means


@contextmanager
def replaced(model: nn.Module, outputs: Mapping[Module, Float[Tensor, " d_model"]]) -> Iterator[None]:
    """Within this block each of these modules gives the same at every position, its bias included: zeros for zero
    ablation, mean_outputs for mean ablation."""
    handles = [
        module_of(model, name, layer).register_forward_hook(lambda _, inputs, output, new=new: new.expand_as(output))
        for (layer, name), new in outputs.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def zeros_like(outputs: Mapping[Module, Float[Tensor, " d_model"]]) -> dict[Module, Float[Tensor, " d_model"]]:
    """What zero ablation puts in the place of these."""
    return {key: torch.zeros_like(output) for key, output in outputs.items()}
