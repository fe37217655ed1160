"""First-order effects against finite differences of the edited model, direct ones against a frozen final norm."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from svdlens.edit.hooks import edited, has_direct_path
from svdlens.edit.updates import EDITED, Update, scaled
from svdlens.effects.effects_table import updates_of_svd
from svdlens.effects.metrics import metric_sum, metric_terms
from svdlens.effects.slopes import Effects, direct_effects, final_gain, measure_effects
from svdlens.models.load import load_model, module_of
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.weights.weight_files import WeightFile
from tiny_weights import make_tiny_with_weights

LAYERS = 2
# Layer norms with biases; grouped heads, a gated MLP, RMSNorm, rotary positions; norms after the sums and 1 + w.
SETTINGS = {
    "gpt2": ([], ["fold_ln"], ["fold_ln", "center_writing_weights"]),
    "llama": ([], ["read_gain", "unembed_gain"]),
    "gemma2": ([], ["read_gain"]),
    "phi": (["fold_ln"],),
    "falcon": ([],),
}
CASES = [(architecture, names) for architecture, choices in SETTINGS.items() for names in choices]
WINDOWS = torch.randint(1, 300, (3, 12), generator=torch.Generator().manual_seed(0))
TARGETS = [7, 40, 200]
Tiny = dict[str, tuple[Path, dict[str, WeightFile]]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return {
        architecture: make_tiny_with_weights(architecture, tmp_path_factory.mktemp(architecture), LAYERS)
        for architecture in SETTINGS
    }


def updates_of(model: nn.Module, weights: dict[str, WeightFile], names: list[str]) -> dict[str, list[Update]]:
    """All directions of all kinds of matrices."""
    setting, updates = setting_from_names("tested", names), {}
    for matrix, weight in EDITED.items():
        file = weights[MATRIX_KINDS[matrix].weight_group]
        if f"blocks.0.{weight}" in file.names:
            found = decompose_layers(file, Task(matrix, setting, None), range(LAYERS))
            svd = {name: array.numpy() for name, array in found.items()}
            updates[matrix] = updates_of_svd(model, matrix, setting, svd)
    return updates


def metric_of(model: nn.Module, targets: list[int] | None) -> float:
    wanted = None if targets is None else torch.tensor(targets)
    sums = [metric_sum(model(window[None]).logits[0].double(), window, wanted) for window in WINDOWS]
    return float(sum(sums)) / (len(WINDOWS) * metric_terms(WINDOWS.shape[1], wanted))


def one_direction(update: Update, k: int, eps: float) -> Update:
    only = torch.zeros(len(update.eps), dtype=torch.float64)
    only[k] = eps
    return Update(update.layer, update.weight, update.rows, update.read, update.write, only, update.offset)


def slope_by_differences(model: nn.Module, update: Update, k: int, targets: list[int] | None) -> float:
    """Of fourth order in a large step, because RMSNorm computes in float32 whatever it is given."""
    values = {}
    for step in (-0.1, -0.05, 0.05, 0.1):
        with edited(model, [one_direction(update, k, step)]):
            values[step] = metric_of(model, targets)
    return (8 * (values[0.05] - values[-0.05]) - (values[0.1] - values[-0.1])) / (12 * 0.05)


@pytest.mark.parametrize("targets", [None, TARGETS])
@pytest.mark.parametrize(("architecture", "names"), CASES)
def test_slopes_are_finite_differences(
    architecture: str, names: list[str], targets: list[int] | None, tiny: Tiny
) -> None:
    directory, weights = tiny[architecture]
    model = load_model(directory, "tiny").double()  # so that differences have digits enough
    by_matrix = updates_of(model, weights, names)
    every = [update for updates in by_matrix.values() for update in updates]
    metric, effects = measure_effects(model, WINDOWS, every, targets)
    assert metric == pytest.approx(metric_of(model, targets), abs=1e-6)
    slopes = {id(update): effect.slope for update, effect in zip(every, effects, strict=True)}
    for matrix, updates in by_matrix.items():
        checked = [(updates[at], k) for at, k in ((0, 0), (len(updates) - 1, 1), (len(updates) // 2, 1))]
        found = np.array([float(slopes[id(update)][k]) for update, k in checked])
        expected = np.array([slope_by_differences(model, update, k, targets) for update, k in checked])
        assert np.abs(expected).max() > 1e-6, matrix
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max(), err_msg=matrix)


def test_slopes_of_all_heads_sum_to_the_slope_of_the_module(tiny: Tiny) -> None:
    """All directions of all heads together scale what W_O gives: that slope is the gradient times the output."""
    directory, weights = tiny["gpt2"]
    model = load_model(directory, "tiny").double()
    updates = updates_of(model, weights, [])["ov"]
    _, effects = measure_effects(model, WINDOWS, updates)
    for layer in range(LAYERS):
        of_layer = [one for update, one in zip(updates, effects, strict=True) if update.layer == layer]
        found = sum(float(one.slope.sum()) for one in of_layer)
        module: Any = module_of(model, "attn.W_O", layer)
        weight, values = module.weight.clone(), {}
        for step in (-1e-3, 1e-3):
            module.weight.copy_((1 + step) * weight)
            values[step] = metric_of(model, None)
        module.weight.copy_(weight)
        assert found == pytest.approx((values[1e-3] - values[-1e-3]) / 2e-3, rel=1e-3)


def test_nothing_depends_on_the_number_of_threads_or_stays_in_the_model(tiny: Tiny) -> None:
    directory, weights = tiny["llama"]
    model = load_model(directory, "tiny")
    updates = [update for found in updates_of(model, weights, []).values() for update in found]
    before = model(WINDOWS).logits
    one, several = (measure_effects(model, WINDOWS, updates, None, workers) for workers in (1, 3))
    assert one[0] == several[0]
    for first, second in zip(one[1], several[1], strict=True):
        for name, values in vars(first).items():
            assert torch.equal(values, getattr(second, name)) or values.isnan().all(), name
    after = model(WINDOWS).logits
    assert torch.equal(after, before) and not after.requires_grad


# --- the direct path


@contextmanager
def frozen_final_norm(model: nn.Module, scales: list[torch.Tensor]) -> Iterator[None]:
    """The final norm divides by the `scales` of the windows, one after the other, whatever it is given."""
    norm: Any = module_of(model, "ln_final")
    queue = list(scales)

    def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        stream = inputs[0]
        if isinstance(norm, nn.LayerNorm):
            stream = stream - stream.mean(dim=-1, keepdim=True)
        given = stream / queue.pop(0)[:, None] * final_gain(model)
        return given + norm.bias if isinstance(norm, nn.LayerNorm) else given

    handle = norm.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def final_scales(model: nn.Module) -> list[torch.Tensor]:
    """By what the final norm divides: the standard deviation, or the root mean square, with the epsilon of each."""
    seen: list[torch.Tensor] = []
    norm: Any = module_of(model, "ln_final")
    handle = norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0][0].double()))
    for window in WINDOWS:
        model(window[None])
    handle.remove()
    if isinstance(norm, nn.LayerNorm):
        return [(stream.var(dim=-1, correction=0) + norm.eps).sqrt() for stream in seen]
    return [(stream.square().mean(dim=-1) + norm.variance_epsilon).sqrt() for stream in seen]


@pytest.mark.parametrize(("architecture", "names"), [case for case in CASES if case[0] != "gemma2"])
def test_direct_effects_are_those_of_an_edit_before_a_frozen_norm(
    architecture: str, names: list[str], tiny: Tiny
) -> None:
    directory, weights = tiny[architecture]
    model = load_model(directory, "tiny").double()
    by_matrix = updates_of(model, weights, names)
    scales = final_scales(model)
    for matrix in ("ov", "mlp_out"):
        update = by_matrix[matrix][1]
        _, [effects] = measure_effects(model, WINDOWS, [update])
        k = len(update.write)
        ids = torch.randint(0, 300, (k, 4), generator=torch.Generator().manual_seed(1))
        found = direct_effects(model, update, effects, ids)
        for direction in range(3):
            values = {}
            for step in (-1e-3, 1e-3):
                one = one_direction(update, direction, step)
                with frozen_final_norm(model, scales), edited(model, [one], "direct"):
                    values[step] = metric_of(model, ids[direction].tolist())
            expected = (values[1e-3] - values[-1e-3]) / 2e-3
            assert float(found[direction]) == pytest.approx(expected, rel=1e-3, abs=1e-3 * float(found.abs().max()))
        assert found.abs().max() > 1e-4


def test_what_has_no_direct_path_has_no_direct_effect(tiny: Tiny) -> None:
    directory, weights = tiny["gemma2"]
    model = load_model(directory, "tiny")
    updates = updates_of(model, weights, [])
    for matrix in ("ov", "mlp_out", "mlp_in"):
        update = updates[matrix][0]
        assert not has_direct_path(model, update.weight)
        _, [effects] = measure_effects(model, WINDOWS, [update])
        assert effects.frozen.isnan().all() and not effects.slope.isnan().any()


def planted(model: nn.Module, token: int) -> Update:
    """What would come of reading what the first direction of a head reads and writing the unembedding of a token."""
    network: Any = model
    write = network.get_output_embeddings().weight[token].double()
    write = write - write.mean()
    d_head = 4
    read = torch.eye(d_head, dtype=torch.float64)
    return Update(1, "attn.W_O", slice(0, d_head), read, (write / write.norm()).expand(d_head, -1), torch.ones(d_head))


def test_a_planted_direction_moves_its_own_token_most(tiny: Tiny) -> None:
    """Of all tokens the one whose unembedding a direction writes has the largest direct effect, by magnitude, and of
    all directions of the layer that write as strongly it has the largest effect on it."""
    directory, weights = tiny["gpt2"]
    model = load_model(directory, "tiny")
    gain = final_gain(model)
    module: Any = module_of(model, "ln_final")
    module.weight.fill_(1.0)
    assert not torch.equal(gain, final_gain(model))
    token, update = 77, planted(model, 77)
    _, [effects, *others] = measure_effects(model, WINDOWS, [update, *updates_of(model, weights, [])["ov"][4:8]])
    network: Any = model
    lengths = network.get_output_embeddings().weight.norm(dim=-1)
    every = torch.stack(
        [direct_effects(model, update, effects, torch.full((4, 1), other)) for other in range(len(lengths))]
    )
    relative = (every + effects.expected) / lengths[:, None]
    assert relative.abs().argmax(dim=0).tolist() == [token] * 4
    per_activation = (direct_effects(model, update, effects, torch.full((4, 1), token)) / effects.frozen).abs()
    for other, effect in zip(updates_of(model, weights, [])["ov"][4:8], others, strict=True):
        theirs = direct_effects(model, other, effect, torch.full((4, 1), token)) / effect.frozen
        assert theirs.abs().max() < per_activation.max()


def test_an_eps_of_any_size_gives_the_same_slope(tiny: Tiny) -> None:
    directory, weights = tiny["gpt2"]
    model = load_model(directory, "tiny")
    update = updates_of(model, weights, [])["mlp_in"][0]
    (_, [first]), (_, [second]) = (measure_effects(model, WINDOWS, [one]) for one in (update, scaled(update, -3.0)))
    assert isinstance(first, Effects) and torch.equal(first.slope, second.slope)
