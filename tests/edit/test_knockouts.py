"""Directions chosen for a knock-out, and what a module writes replaced."""

import numpy as np
import pytest
import torch
from torch import nn

from svdlens.edit.hooks import edited
from svdlens.edit.knockouts import (
    AS_MANY,
    AS_MUCH,
    CHOICES,
    INTERPRETABLE,
    KEPT,
    OTHERS,
    choices,
    mean_outputs,
    replaced,
    zeros_like,
)
from svdlens.edit.updates import EDITED, direction_update
from svdlens.models.load import load_model, module_of, weight_of
from svdlens.spec.settings import Setting
from tiny import make_tiny

IDS = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(0))
MODULES = [(0, "attn.W_O"), (1, "mlp.W_out")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """A model without biases."""
    return load_model(make_tiny("llama", tmp_path_factory.mktemp("knockouts") / "tiny", 2), "tiny")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_random_choices_are_as_many_or_hold_as_much_energy(share: float) -> None:
    energy = np.random.default_rng(1).exponential(size=400)
    interpretable = np.arange(400) < 400 * share
    found = choices(energy, interpretable, np.random.default_rng(0))
    assert tuple(found) == CHOICES
    assert set(found[INTERPRETABLE]) == set(np.flatnonzero(interpretable))
    assert set(found[OTHERS]) == set(np.flatnonzero(~interpretable)) and set(found[KEPT]) == set(range(400))
    for name in (INTERPRETABLE, OTHERS):
        many, much = found[AS_MANY.format(name)], found[AS_MUCH.format(name)]
        assert len(many) == len(set(many)) == len(found[name]) and len(much) == len(set(much))
        assert abs(energy[much].sum() - energy[found[name]].sum()) <= energy.max() / 2
    if share == 0.5:
        # Of either kind, and not the same for both.
        many = found[AS_MANY.format(INTERPRETABLE)]
        assert 0.3 < interpretable[many].mean() < 0.7
        assert set(many) != set(found[AS_MANY.format(OTHERS)])
        again = choices(energy, interpretable, np.random.default_rng(0))
        assert all((again[name] == found[name]).all() for name in CHOICES)


@pytest.mark.parametrize(("layer", "name", "matrix"), [(0, "attn.W_O", "ov"), (1, "mlp.W_out", "mlp_out")])
def test_zero_ablation_is_the_removal_of_all_directions(model: nn.Module, layer: int, name: str, matrix: str) -> None:
    assert EDITED[matrix] == name
    heads = range(model.config.num_attention_heads) if matrix == "ov" else [None]
    identity = torch.eye(model.config.hidden_size)
    all_removed = [direction_update(model, matrix, Setting(), layer, head, identity, -1.0) for head in heads]
    with edited(model, all_removed):
        expected = model(IDS).logits
    outputs = zeros_like(mean_outputs(model, IDS, [(layer, name)]))
    assert (expected - model(IDS).logits).abs().max() > 1e-3
    with replaced(model, outputs):
        torch.testing.assert_close(model(IDS).logits, expected, rtol=0, atol=1e-5)


def test_a_mean_is_over_all_positions_and_goes_to_each(model: nn.Module) -> None:
    before, seen = model(IDS).logits, {}
    means = mean_outputs(model, IDS, MODULES)
    for layer, name in MODULES:
        weight = weight_of(module_of(model, name, layer))
        handle = module_of(model, name, layer).register_forward_hook(
            lambda module, inputs, output, weight=weight, key=(layer, name): seen.update({key: inputs[0] @ weight})
        )
        model(IDS)
        handle.remove()
    for key in MODULES:
        torch.testing.assert_close(means[key], seen[key].flatten(0, 1).mean(0), rtol=0, atol=1e-6)
    later = {}
    handle = module_of(model, "mlp.W_out", 1).register_forward_hook(lambda _, i, output: later.update(output=output))
    with replaced(model, means):
        model(IDS)
    handle.remove()
    torch.testing.assert_close(model(IDS).logits, before, rtol=0, atol=0)
    assert later["output"].shape == (2, 9, model.config.hidden_size)
