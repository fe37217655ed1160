"""What directions do on a prompt, against TransformerLens' hooks and dense products in float64."""

from pathlib import Path

import pytest
import torch
from torch import nn

from svdlens.activations.ablation import head_ablations
from svdlens.activations.prompt import firings, modules_of, run_prompt, top_pairs
from svdlens.activations.prompt_table import chosen_heads, near_degenerate, prompt_columns
from svdlens.errors import SvdlensError
from svdlens.figures.prompt_picture import picture_data
from svdlens.models.load import load_model, module_of, weight_of
from svdlens.models.token_windows import prompt_tokens
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.weights.weight_files import WeightFile
from tiny_weights import make_tiny_with_weights

LAYERS, LAYER, HEAD, HEADS = 2, 1, 3, 4
SETTINGS = {
    "gpt2": ([], ["fold_ln", "center_writing_weights"]),
    "gpt_neox": ([],),
    "llama": ([], ["read_gain"]),
    "gemma2": (["read_gain"],),
    "falcon": (["read_gain"],),
    "smollm3": ([],),
}
CASES = [(architecture, flags) for architecture, choices in SETTINGS.items() for flags in choices]
PROMPT = "火 fire \\xff burns"
Tiny = dict[str, tuple[Path, nn.Module, dict[str, WeightFile]]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    made = {}
    for architecture in SETTINGS:
        model, weights = make_tiny_with_weights(architecture, tmp_path_factory.mktemp(architecture), LAYERS)
        made[architecture] = (model, load_model(model, "tiny"), weights)
    return made


def svds_of(weights: dict[str, WeightFile], flags: list[str]) -> dict[str, dict[str, torch.Tensor]]:
    setting = setting_from_names("tested", flags)
    return {
        name: decompose_layers(weights[kind.weight_group], Task(name, setting, None), range(LAYERS))
        for name, kind in MATRIX_KINDS.items()
        if f"blocks.0.{kind.factors[0].weight}" in weights[kind.weight_group].names
    }


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_firing_is_what_the_matrix_writes_or_reads(architecture: str, flags: list[str], tiny: Tiny) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    directory, model, weights = tiny[architecture]
    bridge = TransformerBridge.boot_transformers(str(directory), device="cpu", dtype=torch.float32)
    ids = prompt_tokens(PROMPT, model, directory)
    _, cache = bridge.run_with_cache(ids)
    setting, svds = setting_from_names("tested", flags), svds_of(weights, flags)
    seen = run_prompt(model, ids, modules_of(svds))
    fired = {(one.matrix, one.layer, one.head): one for one in firings(model, seen, svds, setting)}
    assert {key[0] for key in fired} == {*svds} - {"qk"}

    def at(hook: str) -> torch.Tensor:
        return cache[f"blocks.{LAYER}.{hook}"][0].double()

    W_O = weight_of(module_of(model, "attn.W_O", LAYER)).double().reshape(HEADS, -1, 16)[HEAD]
    written = at("attn.hook_z").reshape(len(ids[0]), HEADS, -1)[:, HEAD] @ W_O
    ov = fired["ov", LAYER, HEAD]
    right = svds["ov"]["right"][LAYER, HEAD].double()
    torch.testing.assert_close(ov.firing.T, written @ right[ov.index].T, rtol=0, atol=1e-4)
    # The vectors of a setting that centres what is written have no mean, and nothing reads one.
    centred = written - written.mean(dim=-1, keepdim=True) * setting.write_center
    torch.testing.assert_close(ov.firing.T @ right[ov.index], centred, rtol=0, atol=1e-4)
    out = fired["mlp_out", LAYER, None]
    bias = module_of(model, "mlp.W_out", LAYER).bias
    of_mlp = at("mlp.out.hook_out") - (0.0 if bias is None else bias.double())
    expected = of_mlp @ svds["mlp_out"]["right"][LAYER, out.index].double().T
    torch.testing.assert_close(out.firing.T, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    for matrix in ("mlp_in", "mlp_gate") if "mlp_gate" in svds else ("mlp_in",):
        one = fired[matrix, LAYER, None]
        shared_norm = ARCHITECTURES[architecture].shared_norm
        read = cache[MATRIX_KINDS[matrix].hook_of("read", setting.read_gain, LAYER, shared_norm)][0].double()
        torch.testing.assert_close(
            one.firing.T, read @ svds[matrix]["left"][LAYER, one.index].double().T, rtol=0, atol=1e-4
        )
        assert one.effect is None
    assert (ov.effect is None) == (out.effect is None) == (architecture == "gemma2")


@pytest.mark.parametrize("architecture", [name for name in SETTINGS if name != "gemma2"])
def test_direct_effects_of_the_whole_residual_stream_are_the_logit(architecture: str, tiny: Tiny) -> None:
    """But for the bias of the final norm. And a direction's is its share of what it adds to that stream."""
    directory, model, weights = tiny[architecture]
    ids = prompt_tokens(PROMPT, model, directory)
    svds = svds_of(weights, [])
    seen = run_prompt(model, ids, modules_of(svds))
    kept: list[torch.Tensor] = []
    norm = module_of(model, "ln_final")
    handle = norm.register_forward_hook(lambda module, inputs, output: kept.append(inputs[0][0].double()))
    logits = model(ids).logits[0].double()
    handle.remove()
    W_U = model.get_output_embeddings().weight.double()
    assert seen.targets[:-1].tolist() == ids[0, 1:].tolist() and seen.targets[-1] == logits[-1].argmax()
    towards = W_U[seen.targets] - W_U.mean(dim=0)
    bias = getattr(norm, "bias", None)
    constant = 0.0 if bias is None else towards @ bias.double()
    expected = logits.gather(1, seen.targets[:, None])[:, 0] - logits.mean(dim=1)
    torch.testing.assert_close((kept[0] * seen.logit_gradient).sum(dim=1) + constant, expected, rtol=0, atol=1e-4)
    ov = firings(model, seen, svds, setting_from_names("raw", []))[0]
    vectors = svds["ov"]["right"][0, 0, ov.index].double()
    torch.testing.assert_close(ov.effect, ov.firing * (vectors @ seen.logit_gradient.T), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_shares_of_all_directions_are_the_content_term_of_attention(
    architecture: str, flags: list[str], tiny: Tiny
) -> None:
    """x_q W_Q W_K^T x_k / sqrt(d_head); and the top pairs are those of a sort."""
    directory, model, weights = tiny[architecture]
    ids = prompt_tokens(PROMPT, model, directory)
    t = ids.shape[1]
    svd = svds_of(weights, flags)["qk"]
    setting = setting_from_names("tested", flags)
    seen = run_prompt(model, ids, modules_of({"qk": svd}))
    d_head = len(weight_of(module_of(model, "attn.W_O", 0))) // HEADS
    every = top_pairs(model, seen, svd, setting, 10**6)
    total = torch.zeros(LAYERS, HEADS, t, t, dtype=torch.float64)
    place = tuple(torch.tensor(every[name]) for name in ("layer", "head", "query_position", "key_position"))
    total.index_put_(place, torch.tensor(every["share"], dtype=torch.float64), accumulate=True)
    read = module_of(model, "ln1", LAYER)
    W = (svd["left"][LAYER, HEAD].double().T * svd["values"][LAYER, HEAD]) @ svd["right"][LAYER, HEAD].double()
    x = seen.outputs[LAYER, "ln1"]
    if setting.read_gain:
        gain = read.weight.double() + (architecture == "gemma2")
        x = (x - (read.bias.double() if getattr(read, "bias", None) is not None else 0.0)) / gain
    expected = (x @ W @ x.T / d_head**0.5).tril()
    torch.testing.assert_close(total[LAYER, HEAD], expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    best = top_pairs(model, seen, svd, setting, 20)
    assert best["share"] == sorted(every["share"], key=abs, reverse=True)[:20]
    assert all(key <= query for key, query in zip(best["key_position"], best["query_position"], strict=True))
    assert top_pairs(model, seen, None, setting, 20)["share"] == []


@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_a_head_with_all_or_none_of_its_directions(architecture: str, flags: list[str], tiny: Tiny) -> None:
    """All kept is no change, all ablated and none kept is the head removed: its rows of W_O set to zero."""
    directory, _, weights = tiny[architecture]
    # float64: a norm after the component makes much of what rounding leaves of it.
    model = load_model(directory, "tiny").double()
    ids = prompt_tokens(PROMPT, model, directory)
    setting = setting_from_names("tested", flags)
    vectors = svds_of(weights, flags)["ov"]["right"][LAYER, HEAD].double()
    vectors = torch.linalg.qr(vectors.T)[0].T  # float32 in the file
    whole, some, none = (
        dict(zip(found["way"], found["log_probability"], strict=True))
        for found in (head_ablations(model, ids, 7, setting, LAYER, HEAD, vectors[:n]) for n in (len(vectors), 1, 0))
    )
    W = weight_of(module_of(model, "attn.W_O", LAYER))
    d_head = len(W) // HEADS
    rows = slice(HEAD * d_head, (HEAD + 1) * d_head)
    before = W[rows].clone()

    def said() -> float:
        return float(model(ids).logits[0, -1].double().log_softmax(dim=-1)[7])

    assert whole["unchanged"] == some["unchanged"] == none["unchanged"] == pytest.approx(said(), abs=1e-12)
    assert none["ablated"] == none["unchanged"]
    # What RMSNorm computes, it computes in float32.
    near = pytest.approx
    W[rows] = 0.0
    removed = said()
    for found in (whole["ablated"], whole["head removed"], some["head removed"], none["kept"]):
        assert found == near(removed, abs=1e-4)
    W[rows] = before @ vectors[:1].T @ vectors[:1]
    if "center_writing_weights" not in flags:
        assert some["kept"] == near(said(), abs=1e-4)
        W[rows] = before - before @ vectors[:1].T @ vectors[:1]
        assert some["ablated"] == near(said(), abs=1e-4)
    assert whole["kept"] == near(whole["unchanged"], abs=1e-4)
    assert abs(removed - whole["unchanged"]) > 1e-3 and abs(some["kept"] - some["unchanged"]) > 1e-3


def test_tables_rank_and_draw_what_does_most(tiny: Tiny) -> None:
    directory, model, weights = tiny["gpt2"]
    ids = prompt_tokens(PROMPT, model, directory)
    svds = {name: svd for name, svd in svds_of(weights, []).items() if name != "qk"}
    seen = run_prompt(model, ids, modules_of(svds))
    fired = firings(model, seen, svds, setting_from_names("raw", []))
    texts = [f"t{number}" for number in range(320)]
    labels = {("ov", "write", 0, 0, 0, 1): "plus", ("ov", "write", 0, 0, 0, -1): "minus"}
    columns = prompt_columns(seen, fired, labels, texts, first=1)
    rows = [i for i, matrix in enumerate(columns["matrix"]) if matrix == "ov"]
    best = max(rows, key=lambda i: abs(columns["effect"][i][1:]).max())
    assert columns["rank"][best] == 1 and sum(columns["rank"][i] == 1 for i in rows) == 1
    assert all(
        rank is None for rank, matrix in zip(columns["rank"], columns["matrix"], strict=True) if matrix == "mlp_in"
    )
    assert columns["tokens"][0] == [texts[token] for token in ids[0].tolist()]
    data = picture_data(columns, 3, 1)
    assert data.groupby("matrix").size().to_dict() == {"ov": 3 * (len(ids[0]) - 1), "mlp_out": 3 * (len(ids[0]) - 1)}
    assert data["position"].min() == 1
    whole = picture_data(columns, 10**6, 1).query("matrix == 'ov' and layer == 0 and head == 0 and index == 0")
    strongest = whole.loc[whole["effect"].abs().idxmax()]
    assert set(whole["label"]) == {"plus" if strongest["firing"] > 0 else "minus"}

    [(layer, head, [index])] = chosen_heads(columns, [], "tiny")
    last = {(columns["layer"][i], columns["head"][i], columns["index"][i]): abs(columns["effect"][i][-1]) for i in rows}
    assert last[layer, head, index] == max(last.values())
    values = torch.tensor([3.0, 2.0, 1.99, 0.5, 0.0], dtype=torch.float64)
    assert near_degenerate(values, [0, 2, 3], 0.01) == [2] and near_degenerate(values, [0, 2], 0.001) == []
    assert chosen_heads(columns, [{"layer": 1, "head": 2, "indices": [0, 3]}], "tiny") == [(1, 2, [0, 3])]
    with pytest.raises(SvdlensError, match=r"layer: 2, head: 0} of tiny is not.*layers 0 to 1, heads 0 to 3.*`model`"):
        chosen_heads(columns, [{"layer": 2, "head": 0, "indices": [0]}], "tiny")
    with pytest.raises(SvdlensError, match=r"no direction 9.*0 to 3"):
        chosen_heads(columns, [{"layer": 1, "head": 0, "indices": [1, 9]}], "tiny")
