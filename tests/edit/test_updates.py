"""Scaled directions, against TransformerLens' processed models, edited weights and ablation of the component."""

from pathlib import Path

import pytest
import torch
from torch import nn

from svdlens.edit.hooks import edited, has_direct_path
from svdlens.edit.saved_model import edit_weights, save_model
from svdlens.edit.updates import EDITED, Update, direction_update, first_order, scaled
from svdlens.errors import SvdlensError
from svdlens.models.load import gain_and_bias, load_model, module_of, weight_of
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile
from tiny import make_tiny
from tiny_weights import make_tiny_with_weights

LAYERS, LAYER, HEAD = 2, 1, 3
# Grouped heads, gated MLPs, RMSNorm with and without 1 + w, rotary positions, a parallel block, norms after the sums.
SETTINGS = {
    "gpt2": ([], ["fold_ln"], ["fold_ln", "center_writing_weights"]),
    "gpt_neox": ([], ["fold_ln", "center_writing_weights"]),
    "llama": ([], ["fold_ln"]),
    "qwen2": (["fold_ln"],),
    "gemma2": ([], ["fold_ln"]),
    "gptj": (["fold_ln", "center_writing_weights"],),
    "stablelm": ([],),
    "qwen3": (["fold_ln"],),
    "gemma3_text": (["fold_ln"],),
}
NORMS_AFTER = ("gemma2", "gemma3_text")
CASES = [(architecture, flags) for architecture, choices in SETTINGS.items() for flags in choices]
IDS = torch.randint(1, 300, (2, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, WeightFile]]]:
    return {
        architecture: make_tiny_with_weights(architecture, tmp_path_factory.mktemp(architecture), LAYERS)
        for architecture in SETTINGS
    }


def matrices_of(weights: dict[str, WeightFile]) -> list[str]:
    return [
        name
        for name, weight in EDITED.items()
        if f"blocks.0.{weight}" in weights[MATRIX_KINDS[name].weight_group].names
    ]


def switches(flags: list[str], architecture: str) -> list[str]:
    """fold_ln is of layer norms; of RMSNorm it folds the gains."""
    return (
        flags
        if "read_center" in ARCHITECTURES[architecture].switches
        else ["read_gain" if flag == "fold_ln" else flag for flag in flags]
    )


def svd_of(weights: dict[str, WeightFile], matrix: str, names: list[str]) -> dict[str, torch.Tensor]:
    """Of the matrix of LAYER, and HEAD: left, values, right, and the last factor."""
    setting = setting_from_names("tested", names)
    file = weights[MATRIX_KINDS[matrix].weight_group]
    found = decompose_layers(file, Task(matrix, setting, None), range(LAYERS))
    place = (LAYER, HEAD) if MATRIX_KINDS[matrix].per_head else (LAYER,)
    last = factors(file, matrix, LAYER, setting)[-1]
    return {name: array[place].double() for name, array in found.items()} | {"last": last[place[1:]]}


def vectors_of(svd: dict[str, torch.Tensor], matrix: str) -> torch.Tensor:
    return svd["right"] if "write" in MATRIX_KINDS[matrix].sides else svd["left"]


def update_of(
    model: nn.Module, weights: dict[str, WeightFile], matrix: str, names: list[str], which: slice, eps: float
) -> Update:
    head = HEAD if MATRIX_KINDS[matrix].per_head else None
    vectors = vectors_of(svd_of(weights, matrix, names), matrix)[which]
    return direction_update(model, matrix, setting_from_names("tested", names), LAYER, head, vectors, eps)


def log_probabilities(model: nn.Module) -> torch.Tensor:
    return torch.log_softmax(model(IDS).logits.double(), dim=-1)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_an_edit_is_that_of_the_processed_model(
    architecture: str, flags: list[str], tiny: dict[str, tuple[Path, dict[str, WeightFile]]]
) -> None:
    """The same edit in a model that TransformerLens has processed, on its own activations: same probabilities."""
    from transformer_lens.model_bridge import TransformerBridge

    directory, weights = tiny[architecture]
    model = load_model(directory, "tiny")
    bridge = TransformerBridge.boot_transformers(str(directory), device="cpu", dtype=torch.float32)
    if flags:
        off = dict.fromkeys(("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases"), False)
        bridge.enable_compatibility_mode(disable_warnings=True, **off | dict.fromkeys(flags, True))
    names = switches(flags, architecture)
    for matrix in matrices_of(weights):
        svd = svd_of(weights, matrix, names)
        which, eps = slice(1, 3), 0.7
        seen: dict[str, torch.Tensor] = {}

        def keep(value: torch.Tensor, hook: object, seen: dict[str, torch.Tensor] = seen) -> None:
            seen["input"] = value.double()

        def add(
            value: torch.Tensor, hook: object, seen: dict[str, torch.Tensor] = seen, svd: dict[str, torch.Tensor] = svd,
            matrix: str = matrix, which: slice = which, eps: float = eps,
        ) -> torch.Tensor:  # fmt: skip
            if matrix == "ov":
                z = seen["input"].reshape(*IDS.shape, -1, len(svd["last"]))[:, :, HEAD]
                change = z @ svd["last"] @ svd["right"][which].T @ svd["right"][which]
            elif matrix == "mlp_out":
                change = seen["input"] @ svd["last"] @ svd["right"][which].T @ svd["right"][which]
            else:
                change = seen["input"] @ svd["left"][which].T * svd["values"][which] @ svd["right"][which]
            return value + (eps * change).float()

        inputs = {"ov": "attn.hook_z", "mlp_out": "mlp.out.hook_in"}.get(matrix, "mlp.hook_in")
        outputs = {"ov": "attn.o", "mlp_out": "mlp.out", "mlp_in": "mlp.in", "mlp_gate": "mlp.gate"}[matrix]
        hooks = [(f"blocks.{LAYER}.{inputs}", keep), (f"blocks.{LAYER}.{outputs}.hook_out", add)]
        expected = torch.log_softmax(bridge.run_with_hooks(IDS, fwd_hooks=hooks).double(), dim=-1)
        before = log_probabilities(model)
        with edited(model, [update_of(model, weights, matrix, names, which, eps)]):
            found = log_probabilities(model)
        assert (found - before).abs().max() > 1e-3, matrix
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, msg=lambda m, matrix=matrix: f"{matrix}: {m}")
        torch.testing.assert_close(log_probabilities(model), before, rtol=0, atol=0)  # hooks are gone


@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_hooks_and_edited_weights_agree(
    architecture: str, flags: list[str], tiny: dict[str, tuple[Path, dict[str, WeightFile]]], tmp_path: Path
) -> None:
    """All kinds of matrices at once, two of them in one weight; also after saving and loading."""
    directory, weights = tiny[architecture]
    model = load_model(directory, "tiny")
    names = switches(flags, architecture)
    updates = [
        update_of(model, weights, matrix, names, which, eps)
        for matrix in matrices_of(weights)
        for which, eps in ((slice(0, 1), -1.0), (slice(1, 4), 0.5))
    ]
    with edited(model, updates):
        hooked = log_probabilities(model)
    edit_weights(model, updates)
    torch.testing.assert_close(log_probabilities(model), hooked, rtol=0, atol=1e-5)
    left = tmp_path / ".edited.unfinished/model.safetensors"  # by a job that was killed
    left.parent.mkdir()
    left.write_bytes(b"half")
    save_model(model, directory, tmp_path / "edited")
    assert [path.name for path in tmp_path.iterdir()] == ["edited"]
    torch.testing.assert_close(log_probabilities(load_model(tmp_path / "edited", "edited")), hooked, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", SETTINGS)
def test_scaling_by_one_changes_no_bit(architecture: str, tiny: dict[str, tuple[Path, dict[str, WeightFile]]]) -> None:
    directory, weights = tiny[architecture]
    model = load_model(directory, "tiny")
    before = model(IDS).logits
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    updates = [update_of(model, weights, matrix, [], slice(0, 3), 0.0) for matrix in matrices_of(weights)]
    with edited(model, updates):
        assert torch.equal(model(IDS).logits, before)
    edit_weights(model, updates)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_removing_all_directions_ablates_the_component(
    architecture: str, flags: list[str], tiny: dict[str, tuple[Path, dict[str, WeightFile]]]
) -> None:
    """What the head, or the weight of the MLP, adds is nothing: but for biases of the setting's matrix, that read."""
    directory, weights = tiny[architecture]
    names = switches(flags, architecture)
    for matrix in matrices_of(weights):
        # float64: a norm after the component makes much of what rounding leaves of it.
        model = load_model(directory, "tiny").double()
        update = update_of(model, weights, matrix, names, slice(None), -1.0)
        module = module_of(model, EDITED[matrix], LAYER)
        W = weight_of(module)
        if architecture in NORMS_AFTER and matrix != "ov":
            assert (W + update.matrix()).abs().max() < 1e-6 * W.abs().max()
            continue  # the norm that follows divides what is left, rounding of the vectors, by its own length
        with edited(model, [update]):
            found = log_probabilities(model)
        kind = MATRIX_KINDS[matrix]
        if kind.sides["write" if "write" in kind.sides else "read"].reads and "fold_ln" in flags:
            _, bias = gain_and_bias(model, kind.norm, LAYER)
            if bias is not None:  # in the folded model what the norm's bias gives is in the bias of the MLP
                module.bias.add_(bias @ W)
        d_head = len(W) // 4
        W[HEAD * d_head : (HEAD + 1) * d_head if matrix == "ov" else None] = 0.0
        if matrix != "ov":
            W.zero_()
        torch.testing.assert_close(found, log_probabilities(model), rtol=0, atol=1e-5, msg=lambda m, x=matrix: x + m)


@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_first_order_is_the_slope(
    architecture: str, flags: list[str], tiny: dict[str, tuple[Path, dict[str, WeightFile]]]
) -> None:
    directory, weights = tiny[architecture]
    names = switches(flags, architecture)
    # float64, so that differences have digits enough.
    model = load_model(directory, "tiny").double()
    for matrix in matrices_of(weights):
        update = update_of(model, weights, matrix, names, slice(0, 3), 1.0)
        module = module_of(model, update.weight, LAYER)
        outputs = []
        handle = module.register_forward_hook(lambda m, i, o, kept=outputs: kept.append(o.retain_grad() or o))
        module.weight.requires_grad_(True)
        loss = -log_probabilities(model)[:, :-1].gather(-1, IDS[:, 1:, None]).mean()
        loss.backward()
        handle.remove()
        gradient = module.weight.grad.T if isinstance(module, nn.Linear) else module.weight.grad
        scores = first_order(update, gradient, outputs[0].grad.reshape(-1, outputs[0].shape[-1]).sum(dim=0))
        module.weight.requires_grad_(False)
        module.weight.grad = None
        slopes = []
        for k in range(len(scores)):
            losses = {}
            for step in (-0.1, -0.05, 0.05, 0.1):
                one = update_of(model, weights, matrix, names, slice(k, k + 1), step)
                with edited(model, [one]):
                    losses[step] = -log_probabilities(model)[:, :-1].gather(-1, IDS[:, 1:, None]).mean()
            # Of fourth order in the step, which is large because RMSNorm computes in float32 whatever it is given.
            slopes.append((8 * (losses[0.05] - losses[-0.05]) - (losses[0.1] - losses[-0.1])) / (12 * 0.05))
        largest = max(abs(slope) for slope in slopes)
        torch.testing.assert_close(scores, torch.stack(slopes), rtol=0, atol=1e-3 * largest)


@pytest.mark.parametrize("architecture", [name for name in SETTINGS if name not in NORMS_AFTER])
def test_the_direct_path_is_linear_in_the_last_residual_stream(
    architecture: str, tiny: dict[str, tuple[Path, dict[str, WeightFile]]]
) -> None:
    """Its change reaches what the final norm takes, and no layer; in the last layer's MLP it is the total one."""
    directory, weights = tiny[architecture]
    model = load_model(directory, "tiny")
    seen: list[torch.Tensor] = []
    handle = module_of(model, "ln_final").register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    first = direction_update(
        model, "ov", setting_from_names("raw", []), 0, HEAD, svd_of(weights, "ov", [])["right"][:2], -1.0
    )
    model(IDS)
    with edited(model, [first], "direct"):
        model(IDS)
        model(IDS)
    with edited(model, [scaled(first, 2.0)], "direct"):
        model(IDS)
    handle.remove()
    before, once, again, twice = (value.double() for value in seen)
    assert (once - before).abs().max() > 1e-3
    torch.testing.assert_close(again, once, rtol=0, atol=0)
    torch.testing.assert_close(twice - before, 2 * (once - before), rtol=0, atol=1e-5)
    torch.testing.assert_close((once - before) @ first.write.T @ first.write, once - before, rtol=0, atol=1e-5)
    last = update_of(model, weights, "mlp_out", [], slice(0, 2), -1.0)
    with edited(model, [last], "direct"):
        direct = log_probabilities(model)
    with edited(model, [last], "total"):
        torch.testing.assert_close(log_probabilities(model), direct, rtol=0, atol=1e-5)


def test_a_norm_in_between_leaves_no_direct_path(tiny: dict[str, tuple[Path, dict[str, WeightFile]]]) -> None:
    models = {architecture: load_model(directory, "tiny") for architecture, (directory, _) in tiny.items()}
    having = {name for name, model in models.items() if has_direct_path(model, "attn.W_O")}
    assert having == {*SETTINGS} - {*NORMS_AFTER}
    assert not has_direct_path(models["gpt2"], "mlp.W_in")


def test_a_gain_of_zero_is_named(tiny: dict[str, tuple[Path, dict[str, WeightFile]]]) -> None:
    directory, weights = tiny["llama"]
    model = load_model(directory, "tiny")
    module_of(model, "ln2", LAYER).weight[5] = 0.0
    with pytest.raises(SvdlensError, match=r"ln2 of layer 1 is 0 at coordinate 5.*raw"):
        update_of(model, weights, "mlp_in", ["read_gain"], slice(0, 1), -1.0)
    update_of(model, weights, "mlp_in", [], slice(0, 1), -1.0)


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("bert", "predicts no next token"),
        ("phi3", "has W_gate and W_in in one weight"),
        ("olmo2", "has no norm before"),
    ],
)
def test_a_model_that_cannot_be_run_is_named(architecture: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SvdlensError, match=rf"mine \({architecture}\) {reason}.*gpt2"):
        load_model(make_tiny(architecture, tmp_path / "tiny", 1), "mine")


def test_a_bias_that_is_not_there_is_named(tiny: dict[str, tuple[Path, dict[str, WeightFile]]]) -> None:
    """Of a norm that has one, before a weight that has none, in a setting that has the norm in the weight."""
    directory, weights = tiny["stablelm"]
    model = load_model(directory, "tiny")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(SvdlensError, match=r"^mlp.W_in of layer 1 has no bias .* without read_gain, such as raw\.$"):
        edit_weights(model, [update_of(model, weights, "mlp_in", ["fold_ln"], slice(0, 1), -1.0)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
