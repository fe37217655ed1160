"""Every architecture is read as its model computes.

Oracles: the layout of the checkpoint, written out by hand; TransformerLens at every setting that the architecture has;
and the forward pass of transformers, which no reading of the weights can argue with.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from svdlens.errors import SvdlensError
from svdlens.models.checks import check_model_directory
from svdlens.readout.readout_matrix import readout_matrix
from svdlens.spec.architectures import ARCHITECTURES, check_choices, check_switches
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting, setting_from_names
from svdlens.vocabulary.sentence_embedding import minilm_directory
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.factors import factors, processed_weights, unembed
from svdlens.weights.weight_files import WeightFile
from tiny import TINY, make_tiny

LAYERS, HEADS, PADDING_ROWS, VOCABULARY = 2, 4, 7, 320
PREDICTING = [name for name, architecture in ARCHITECTURES.items() if "W_U" in architecture.readouts]

Files = dict[str, WeightFile]
Extract = Callable[[Path], Files]


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Extract:
    def extract(model: Path) -> Files:
        directory = tmp_path_factory.mktemp("weights")
        outputs = {group: directory / f"{group}.safetensors" for group in GROUPS}
        extract_weights(model, outputs)
        return {group: WeightFile(path) for group, path in outputs.items()}

    return extract


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("models")
    return {name: make_tiny(name, directory / name, LAYERS, padding_rows=PADDING_ROWS) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def weights(models: dict[str, Path], extract: Extract) -> dict[str, Files]:
    return {name: extract(model) for name, model in models.items()}


def every_tensor(files: Files) -> dict[str, Tensor]:
    return {name: file.file.get_tensor(name) for file in files.values() for name in file.names}


def processed(files: Files, setting: Setting) -> dict[str, Tensor]:
    return processed_weights(files["attention"], files["mlp"], files["unembed"], setting)


# --- by hand


def from_linear(weight: Tensor, heads: int) -> Tensor:
    """[heads x d_head, d_model] -> [heads, d_model, d_head]"""
    return weight.reshape(heads, -1, weight.shape[1]).transpose(1, 2)


def from_output(weight: Tensor, heads: int) -> Tensor:
    """[d_model, heads x d_head] -> [heads, d_head, d_model]"""
    return weight.T.reshape(heads, -1, weight.shape[0])


def gpt2_by_hand(raw: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    raw = {name.removeprefix("transformer."): tensor for name, tensor in raw.items()}
    for layer in range(LAYERS):
        theirs, ours = f"h.{layer}", f"blocks.{layer}"
        for name, weight in zip("QKV", raw[f"{theirs}.attn.c_attn.weight"].split(16, dim=1), strict=True):
            yield f"{ours}.attn.W_{name}", weight.reshape(16, HEADS, 4).transpose(0, 1)
        yield f"{ours}.attn.W_O", raw[f"{theirs}.attn.c_proj.weight"].reshape(HEADS, 4, 16)
        yield f"{ours}.ln1.w", raw[f"{theirs}.ln_1.weight"]
        yield f"{ours}.mlp.W_in", raw[f"{theirs}.mlp.c_fc.weight"]
        yield f"{ours}.mlp.W_out", raw[f"{theirs}.mlp.c_proj.weight"]
        yield f"{ours}.ln2.w", raw[f"{theirs}.ln_2.weight"]
    yield "unembed.W_U", raw.get("lm_head.weight", raw["wte.weight"]).T
    yield "embed.W_E", raw["wte.weight"]
    yield "ln_final.w", raw["ln_f.weight"]


def gpt_neox_by_hand(raw: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for layer in range(LAYERS):
        theirs, ours = f"gpt_neox.layers.{layer}", f"blocks.{layer}"
        # Query, key and value of one head side by side, then the next head.
        fused = raw[f"{theirs}.attention.query_key_value.weight"].reshape(HEADS, 3, 4, 16)
        for place, name in enumerate("QKV"):
            yield f"{ours}.attn.W_{name}", fused[:, place].transpose(1, 2)
        yield f"{ours}.attn.W_O", from_output(raw[f"{theirs}.attention.dense.weight"], HEADS)
        yield f"{ours}.ln1.w", raw[f"{theirs}.input_layernorm.weight"]
        yield f"{ours}.mlp.W_in", raw[f"{theirs}.mlp.dense_h_to_4h.weight"].T
        yield f"{ours}.mlp.W_out", raw[f"{theirs}.mlp.dense_4h_to_h.weight"].T
        yield f"{ours}.ln2.w", raw[f"{theirs}.post_attention_layernorm.weight"]
    yield "unembed.W_U", raw.get("embed_out.weight", raw["gpt_neox.embed_in.weight"]).T
    yield "embed.W_E", raw["gpt_neox.embed_in.weight"]
    yield "ln_final.w", raw["gpt_neox.final_layer_norm.weight"]


def decoder_by_hand(
    raw: dict[str, Tensor],
    norms: dict[str, str] = {"ln1": "input_layernorm", "ln2": "post_attention_layernorm"},  # noqa: B006
    offset: float = 0.0,
) -> Iterator[tuple[str, Tensor]]:
    for layer in range(LAYERS):
        theirs, ours = f"model.layers.{layer}", f"blocks.{layer}"
        query, key, value = (raw[f"{theirs}.self_attn.{name}_proj.weight"] for name in "qkv")
        key_value_heads = HEADS * len(key) // len(query)
        yield f"{ours}.attn.W_Q", from_linear(query, HEADS)
        yield f"{ours}.attn.W_K", from_linear(key, key_value_heads)
        yield f"{ours}.attn.W_V", from_linear(value, key_value_heads)
        yield f"{ours}.attn.W_O", from_output(raw[f"{theirs}.self_attn.o_proj.weight"], HEADS)
        yield f"{ours}.mlp.W_in", raw[f"{theirs}.mlp.up_proj.weight"].T
        yield f"{ours}.mlp.W_gate", raw[f"{theirs}.mlp.gate_proj.weight"].T
        yield f"{ours}.mlp.W_out", raw[f"{theirs}.mlp.down_proj.weight"].T
        for norm, theirs_called in norms.items():
            yield f"{ours}.{norm}.w", offset + raw[f"{theirs}.{theirs_called}.weight"]
    yield "unembed.W_U", raw.get("lm_head.weight", raw["model.embed_tokens.weight"]).T
    yield "embed.W_E", raw["model.embed_tokens.weight"]
    if "model.norm.weight" in raw:
        yield "ln_final.w", offset + raw["model.norm.weight"]


def phi3_by_hand(raw: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """A Llama of which the queries, keys and values, and gate and MLP-in, stand one below the other."""
    separate = {name: tensor for name, tensor in raw.items() if "qkv" not in name and "gate_up" not in name}
    for layer in range(LAYERS):
        theirs = f"model.layers.{layer}"
        fused = raw[f"{theirs}.self_attn.qkv_proj.weight"]
        for name, rows in zip("qkv", fused.split([16, 8, 8]), strict=True):
            separate[f"{theirs}.self_attn.{name}_proj.weight"] = rows
        gate, up = raw[f"{theirs}.mlp.gate_up_proj.weight"].chunk(2)
        separate |= {f"{theirs}.mlp.gate_proj.weight": gate, f"{theirs}.mlp.up_proj.weight": up}
    yield from decoder_by_hand(separate)


def linear_by_hand(
    raw: dict[str, Tensor], layers: str, names: dict[str, str], embedding: str, final: str
) -> Iterator[tuple[str, Tensor]]:
    """Models of nn.Linear whose modules have these names, by those of TransformerLens."""
    for layer in range(LAYERS):
        theirs, ours = (
            {name: raw[f"{layers}.{layer}.{module}.weight"] for name, module in names.items()},
            f"blocks.{layer}",
        )
        for name in "QKV":
            yield f"{ours}.attn.W_{name}", from_linear(theirs[f"W_{name}"], len(theirs[f"W_{name}"]) // 4)
        yield f"{ours}.attn.W_O", from_output(theirs["W_O"], HEADS)
        yield f"{ours}.mlp.W_in", theirs["W_in"].T
        yield f"{ours}.mlp.W_out", theirs["W_out"].T
        yield f"{ours}.ln1.w", theirs["ln1"]
        yield f"{ours}.ln2.w", theirs["ln2"]
    yield "unembed.W_U", raw.get("lm_head.weight", raw[f"{embedding}.weight"]).T
    yield "embed.W_E", raw[f"{embedding}.weight"]
    yield "ln_final.w", raw[f"{final}.weight"]


def linear_names(attention: str, output: str, mlp: tuple[str, str], norms: tuple[str, str]) -> dict[str, str]:
    queries = {f"W_{name.upper()}": f"{attention}.{name}_proj" for name in "qkv"}
    others = dict(zip(("W_in", "W_out", "ln1", "ln2"), (*mlp, *norms), strict=True))
    return {**queries, "W_O": f"{attention}.{output}", **others}


LINEAR = {
    "gpt_neo": (
        "transformer.h",
        linear_names("attn.attention", "out_proj", ("mlp.c_fc", "mlp.c_proj"), ("ln_1", "ln_2")),
        "transformer.wte",
        "transformer.ln_f",
    ),
    "gptj": (
        "transformer.h",
        linear_names("attn", "out_proj", ("mlp.fc_in", "mlp.fc_out"), ("ln_1", "ln_1")),
        "transformer.wte",
        "transformer.ln_f",
    ),
    "opt": (
        "model.decoder.layers",
        linear_names("self_attn", "out_proj", ("fc1", "fc2"), ("self_attn_layer_norm", "final_layer_norm")),
        "model.decoder.embed_tokens",
        "model.decoder.final_layer_norm",
    ),
    "phi": (
        "model.layers",
        linear_names("self_attn", "dense", ("mlp.fc1", "mlp.fc2"), ("input_layernorm", "input_layernorm")),
        "model.embed_tokens",
        "model.final_layernorm",
    ),
    "falcon": (
        "transformer.h",
        linear_names(
            "self_attention",
            "dense",
            ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
            ("input_layernorm", "input_layernorm"),
        ),
        "transformer.word_embeddings",
        "transformer.ln_f",
    ),
}


def falcon_by_hand(raw: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """All queries, then the one key and the one value."""
    separate = dict(raw)
    for layer in range(LAYERS):
        theirs = f"transformer.h.{layer}.self_attention"
        for name, rows in zip("qkv", raw[f"{theirs}.query_key_value.weight"].split([16, 4, 4]), strict=True):
            separate[f"{theirs}.{name}_proj.weight"] = rows
    yield from linear_by_hand(separate, *LINEAR["falcon"])


def bert_by_hand(raw: dict[str, Tensor], layers: int = LAYERS, heads: int = HEADS) -> Iterator[tuple[str, Tensor]]:
    for layer in range(layers):
        theirs, ours = f"encoder.layer.{layer}", f"blocks.{layer}"
        for name, long in (("Q", "query"), ("K", "key"), ("V", "value")):
            yield f"{ours}.attn.W_{name}", from_linear(raw[f"{theirs}.attention.self.{long}.weight"], heads)
        yield f"{ours}.attn.W_O", from_output(raw[f"{theirs}.attention.output.dense.weight"], heads)
        yield f"{ours}.mlp.W_in", raw[f"{theirs}.intermediate.dense.weight"].T
        yield f"{ours}.mlp.W_out", raw[f"{theirs}.output.dense.weight"].T
    yield "embed.W_E", raw["embeddings.word_embeddings.weight"]


BEFORE_MLP = {"ln1": "input_layernorm", "ln2": "pre_feedforward_layernorm"}
BY_HAND: dict[str, Callable[[dict[str, Tensor]], Iterator[tuple[str, Tensor]]]] = {
    "gpt2": gpt2_by_hand,
    "gpt_neox": gpt_neox_by_hand,
    **{
        name: lambda raw, layout=layout: linear_by_hand(raw, *layout)
        for name, layout in LINEAR.items()
        if name != "falcon"
    },
    "falcon": falcon_by_hand,
    **dict.fromkeys(("stablelm", "llama", "smollm3", "mistral", "qwen2", "qwen3"), decoder_by_hand),
    "olmo": lambda raw: decoder_by_hand(raw, {}),
    "olmo2": lambda raw: decoder_by_hand(raw, {}),
    "phi3": phi3_by_hand,
    "gemma": lambda raw: decoder_by_hand(raw, offset=1.0),
    "gemma2": lambda raw: decoder_by_hand(raw, BEFORE_MLP, offset=1.0),
    "gemma3_text": lambda raw: decoder_by_hand(raw, BEFORE_MLP, offset=1.0),
    "bert": bert_by_hand,
}


def by_hand(architecture: str, model: Path) -> dict[str, Tensor]:
    """What extraction should give, from the layout of the checkpoint; rows that only pad the vocabulary left out."""
    raw = {name: tensor.float() for name, tensor in load_file(model / "model.safetensors").items()}
    expected = dict(BY_HAND[architecture](raw))
    expected["embed.W_E"] = expected["embed.W_E"][:VOCABULARY]
    if "unembed.W_U" in expected:
        expected["unembed.W_U"] = expected["unembed.W_U"][:, :VOCABULARY]
    return expected


def assert_same(extracted: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert sorted(extracted) == sorted(expected)
    for name, tensor in expected.items():
        assert extracted[name].dtype == torch.float32
        assert torch.equal(extracted[name], tensor), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_extraction_takes_the_numbers_of_the_checkpoint(
    architecture: str, models: dict[str, Path], weights: dict[str, Files]
) -> None:
    assert_same(every_tensor(weights[architecture]), by_hand(architecture, models[architecture]))


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("qwen2", {"tie_word_embeddings": True}),
        ("gpt_neox", {"tie_word_embeddings": True}),
        ("gpt2", {"tie_word_embeddings": False}),
        ("llama", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1}),
        ("llama", {"num_key_value_heads": 4}),
        ("llama", {"dtype": "float16"}),
        ("gpt_neox", {"dtype": "float16"}),
        ("gemma2", {"dtype": "bfloat16"}),
        ("bert", {"dtype": "bfloat16"}),
    ],
    ids=str,
)
def test_options_of_an_architecture_are_read_too(
    architecture: str, options: dict[str, object], tmp_path: Path, extract: Extract
) -> None:
    """Tied and untied, biases, one key and value head or as many as query heads, and half precision, upcast."""
    model = make_tiny(architecture, tmp_path / "tiny", LAYERS, **options)
    assert check_model_directory(model, "tiny", architecture) == 0
    extracted = every_tensor(extract(model))
    assert_same(extracted, by_hand(architecture, model))
    if "num_key_value_heads" in options:
        assert len(extracted["blocks.1.attn.W_K"]) == options["num_key_value_heads"]
    if "tie_word_embeddings" in options:
        assert torch.equal(extracted["unembed.W_U"], extracted["embed.W_E"].T) == options["tie_word_embeddings"]


def test_minilm_is_read_like_any_other_model(extract: Extract) -> None:
    """Real weights of a BERT encoder that nobody here trained."""
    model = minilm_directory()
    assert check_model_directory(model, "all-minilm-l6-v2", "bert") == 0
    files = extract(model)
    extracted = every_tensor(files)
    assert files["attention"].layers == 6
    assert extracted["blocks.5.attn.W_V"].shape == (12, 384, 32)
    assert extracted["embed.W_E"].shape == (30_522, 384)
    assert_same(extracted, dict(bert_by_hand(load_file(model / "model.safetensors"), layers=6, heads=12)))


# --- TransformerLens as the oracle

# Its flags, and the switches of ours that they are for models without centring.
RMS_FLAGS = {"fold_ln": ["read_gain", "unembed_gain"], "center_unembed": ["vocab_center"]}
RMS_CORNERS = list(itertools.product([False, True], [False], [False, True]))
CORNERS = [
    *itertools.product(
        ["gpt_neo", "gptj", "gpt_neox", "opt", "phi", "falcon", "stablelm"], itertools.product([False, True], repeat=3)
    ),
    *itertools.product(["llama", "smollm3", "mistral", "phi3", "qwen2", "qwen3", "gemma", "gemma3_text"], RMS_CORNERS),
    *itertools.product(["gemma2"], [(False, False, False), (True, False, False)]),
    *itertools.product(["olmo", "olmo2"], [(False, False, False), (False, False, True)]),
    ("bert", (False, False, False)),
]


@pytest.mark.parametrize(("architecture", "corner"), CORNERS, ids=str)
def test_settings_equal_transformer_lens(
    architecture: str, corner: tuple[bool, ...], tmp_path: Path, extract: Extract
) -> None:
    """Without padding rows, which TransformerLens counts among the tokens when it centres W_U."""
    from transformer_lens.model_bridge import TransformerBridge

    # Phi with shared keys and values is none that TransformerLens 4.3 can process.
    model = make_tiny(
        architecture, tmp_path / "tiny", LAYERS, **({"num_key_value_heads": 4} if architecture == "phi" else {})
    )
    flags = dict(zip(("fold_ln", "center_writing_weights", "center_unembed"), corner, strict=True))
    bridge = TransformerBridge.boot_transformers(str(model), device="cpu", dtype=torch.float32)
    bridge.enable_compatibility_mode(disable_warnings=True, **flags)
    expected = bridge.tl_parameters()

    chosen = [flag for flag, used in flags.items() if used]
    if "read_center" not in ARCHITECTURES[architecture].switches:
        chosen = [switch for flag in chosen for switch in RMS_FLAGS[flag]]
    setting = setting_from_names("corner", chosen)
    check_switches("corner", setting, "tiny", architecture)
    ours = processed(extract(model), setting)
    assert all(f"blocks.{layer}.attn.W_{name}" in ours for layer in range(LAYERS) for name in "QKVO")
    for name, tensor in ours.items():
        if architecture == "stablelm" and name.endswith("W_gate"):
            continue  # TransformerLens 4.3 folds no layer norm into a gate; the forward pass below says what is right
        if name.endswith((".W_K", ".W_V")):
            tensor = tensor.repeat_interleave(HEADS // len(tensor), dim=0)
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, expected[name].detach(), rtol=0, atol=1e-6, msg=lambda m, n=name: n + m)


# --- the forward pass as the oracle

# Where the layers are, and modules of each: the norm before attention (or what reads there), what writes for
# attention, the norm before the MLP (or what reads there), what reads there.
GATED = {"mlp_in": "mlp.up_proj", "mlp_gate": "mlp.gate_proj"}
LLAMA = ("model.layers", "input_layernorm", "self_attn.o_proj", "post_attention_layernorm", GATED)
MODULES = {
    "gpt2": ("transformer.h", "ln_1", "attn.c_proj", "ln_2", {"mlp_in": "mlp.c_fc"}),
    "gpt_neox": (
        "gpt_neox.layers",
        "input_layernorm",
        "attention.dense",
        "post_attention_layernorm",
        {"mlp_in": "mlp.dense_h_to_4h"},
    ),
    "bert": (
        "encoder.layer",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        {"mlp_in": "intermediate.dense"},
    ),
    **{
        name: (layers, names["ln1"], names["W_O"], names["ln2"], {"mlp_in": names["W_in"]})
        for name, (layers, names, _, _) in LINEAR.items()
    },
    **dict.fromkeys(("stablelm", "olmo", "llama", "smollm3", "mistral", "phi3", "qwen2", "qwen3", "gemma"), LLAMA),
    **dict.fromkeys(("gemma2", "gemma3_text"), (*LLAMA[:3], "pre_feedforward_layernorm", GATED)),
    "olmo2": ("model.layers", "self_attn.v_proj", "self_attn.o_proj", "mlp.up_proj", GATED),
}
MODULES["phi3"] = (*LLAMA[:4], {"mlp_in": "mlp.gate_up_proj", "mlp_gate": "mlp.gate_up_proj"})
FINAL_NORM = {"gpt2": "transformer.ln_f", "gpt_neox": "gpt_neox.final_layer_norm"}
FINAL_NORM |= {name: final for name, (_, _, _, final) in LINEAR.items()}
# Nothing stands between the residual stream and what reads it there.
BARE = ("bert", "olmo2")


def seen(model: nn.Module, modules: list[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """What goes into and comes out of the modules for two texts of one token each, [2, width]."""
    inputs_and_outputs: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        inputs_and_outputs[module] = (inputs[0].reshape(2, -1).double(), output.reshape(2, -1).double())

    hooks = [module.register_forward_hook(note) for module in modules]
    with torch.inference_mode():
        model(torch.tensor([[5], [9]]))
    for hook in hooks:
        hook.remove()
    return [inputs_and_outputs[module] for module in modules]


def normalised(x: Tensor, network: nn.Module) -> Tensor:
    """What a norm does before it multiplies by its gain."""
    eps = getattr(network.config, "rms_norm_eps", None)
    if eps is not None:
        return x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    return (x - x.mean(dim=-1, keepdim=True)) / (x.var(dim=-1, keepdim=True, correction=0) + 1e-5).sqrt()


def difference(pair: Tensor) -> Tensor:
    """Between the two texts: no bias is in it."""
    return pair[0] - pair[1]


@pytest.fixture(scope="module")
def networks(models: dict[str, Path]) -> dict[str, nn.Module]:
    return {name: getattr(transformers, TINY[name][0]).from_pretrained(path) for name, path in models.items()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ov_is_what_attention_does_to_a_single_token(
    architecture: str, networks: dict[str, nn.Module], weights: dict[str, Files]
) -> None:
    """Softmax over one position is 1: the heads add W_V W_O of what they read, and biases."""
    network, files = networks[architecture], weights[architecture]
    layers, norm, writer, _, _ = MODULES[architecture]
    setting = Setting(read_gain="ln1" in ARCHITECTURES[architecture].gains)
    for layer in range(LAYERS):
        module = network.get_submodule(f"{layers}.{layer}")
        (x, _), (_, written) = seen(network, [module.get_submodule(norm), module.get_submodule(writer)])
        W_V, W_O = factors(files["attention"], "ov", layer, setting)
        assert len(W_V) == len(W_O) == HEADS
        read = x if architecture in BARE else normalised(x, network)
        expected = (difference(read) @ (W_V @ W_O)).sum(dim=0)
        torch.testing.assert_close(expected, difference(written), rtol=1e-4, atol=1e-5)
        assert expected.abs().max() > 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mlps_read_the_normalised_residual_stream_through_the_folded_matrices(
    architecture: str, networks: dict[str, nn.Module], weights: dict[str, Files]
) -> None:
    network, files = networks[architecture], weights[architecture]
    layers, _, _, norm, readers = MODULES[architecture]
    setting = Setting(read_gain="ln2" in ARCHITECTURES[architecture].gains)
    for layer, (matrix, reader) in itertools.product(range(LAYERS), readers.items()):
        module = network.get_submodule(f"{layers}.{layer}")
        (x, _), (_, read) = seen(network, [module.get_submodule(norm), module.get_submodule(reader)])
        (weight,) = factors(files["mlp"], matrix, layer, setting)
        given = difference(x if architecture in BARE else normalised(x, network))
        expected, read = given @ weight, difference(read)
        if architecture == "phi3":  # the gate, and below it what goes into the MLP
            read = read.chunk(2)[matrix == "mlp_in"]
        torch.testing.assert_close(expected, read, rtol=1e-4, atol=1e-5)
        assert expected.abs().max() > 0.1


@pytest.mark.parametrize("architecture", PREDICTING)
def test_logits_are_the_normalised_residual_stream_through_the_folded_unembedding(
    architecture: str, networks: dict[str, nn.Module], weights: dict[str, Files]
) -> None:
    network, files = networks[architecture], weights[architecture]
    final = network.get_submodule(FINAL_NORM.get(architecture, "model.norm"))
    (x, _), (_, logits) = seen(network, [final, network.get_output_embeddings()])
    W_U = unembed(files["unembed"], Setting(unembed_gain="ln_final" in ARCHITECTURES[architecture].gains))
    expected = difference(normalised(x, network)) @ W_U
    torch.testing.assert_close(expected, difference(logits)[:VOCABULARY], rtol=1e-4, atol=1e-5)


# --- shared heads, read-outs, padding


def test_a_query_head_uses_the_key_and_value_head_of_its_group(weights: dict[str, Files]) -> None:
    attention = weights["llama"]["attention"]
    W_V, _ = factors(attention, "ov", 1, Setting())
    _, W_K_T = factors(attention, "qk", 1, Setting())
    for head in range(HEADS):
        assert torch.equal(W_V[head], attention["blocks.1.attn.W_V"][head // 2])
        assert torch.equal(W_K_T[head], attention["blocks.1.attn.W_K"][head // 2].T)


def test_readouts_are_w_u_and_the_embedding_as_the_setting_has_it(weights: dict[str, Files]) -> None:
    unembedding = weights["gpt_neox"]["unembed"]
    for setting in (Setting(), Setting(*[True] * 6)):
        assert torch.equal(readout_matrix(unembedding, setting, "W_U"), unembed(unembedding, setting))
        W_E = readout_matrix(unembedding, setting, "W_E")
        assert W_E.shape == (16, VOCABULARY)
        assert torch.equal(W_E.float(), processed(weights["gpt_neox"], setting)["embed.W_E"].T)
    assert readout_matrix(unembedding, Setting(write_center=True), "W_E").sum(dim=0).abs().max() < 1e-12
    assert torch.equal(readout_matrix(weights["bert"]["unembed"], Setting(), "W_E"), W_E_of(weights["bert"]))
    with pytest.raises(SvdlensError, match=r"'W_O' is no read-out; use one of W_U, W_U_cosine,"):
        readout_matrix(unembedding, Setting(), "W_O")


def W_E_of(files: Files) -> Tensor:
    return files["unembed"]["embed.W_E"].T


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_sound_model_is_accepted_with_its_padding_counted(architecture: str, models: dict[str, Path]) -> None:
    assert check_model_directory(models[architecture], "tiny", architecture) == PADDING_ROWS


# --- the table itself


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kinds_of_matrices_are_those_that_extraction_finds(architecture: str, weights: dict[str, Files]) -> None:
    files = weights[architecture]
    for matrix, kind in MATRIX_KINDS.items():
        group, layer = files[kind.weight_group], 0 if kind.in_layers else None
        if matrix in ARCHITECTURES[architecture].matrices:
            assert all(part.isfinite().all() for part in factors(group, matrix, layer, Setting()))
        elif matrix != "qk":
            with pytest.raises(Exception, match=r"W_gate|W_U"):
                factors(group, matrix, layer, Setting())
    for readout in ARCHITECTURES[architecture].readouts:
        assert readout_matrix(files["unembed"], Setting(), readout).shape == (16, VOCABULARY)


SETTINGS = {
    "raw": Setting(),
    "post2022": Setting(read_gain=True),
    "fold": setting_from_names("fold", ["fold_ln"]),
    "unembed": setting_from_names("unembed", ["center_unembed"]),
}


def test_choices_that_a_model_has_are_accepted() -> None:
    check_choices("one", "gpt2", SETTINGS, ["ov", "qk", "mlp_in", "mlp_out"], ["W_U"])
    fitting = {name: SETTINGS[name] for name in ("raw", "post2022", "unembed")}
    check_choices("two", "llama", fitting, ["mlp_gate"], ["W_U"])
    check_choices("three", "bert", {"raw": Setting()}, ["ov"], ["W_E"])


@pytest.mark.parametrize(
    ("architecture", "matrices", "readouts", "value", "fix"),
    [
        (
            "llama",
            [],
            [],
            "settings.fold uses read_center, unembed_center, which mine (llama) does not have",
            "unembed]`",
        ),
        ("gemma2", [], [], "it has read_gain, unembed_gain", "`models.mine.settings: [raw, post2022]`"),
        ("bert", [], [], "settings.post2022 uses read_gain", "`models.mine.settings: [raw]`"),
        ("gpt2", ["ov", "mlp_gate"], [], "'mlp_gate' is none of the matrices of mine (gpt2)", "matrices: [ov]`"),
        ("gpt2", [], ["W_UU"], "'W_UU' is none of the readouts", "Did you mean 'W_U'?"),
        ("lama", [], [], "models.mine.architecture is 'lama'", "Did you mean 'llama'?"),
    ],
)
def test_choices_that_a_model_has_not_are_refused(
    architecture: str, matrices: list[str], readouts: list[str], value: str, fix: str
) -> None:
    with pytest.raises(SvdlensError) as error:
        check_choices("mine", architecture, SETTINGS, matrices, readouts)
    assert value in str(error.value)
    assert fix in str(error.value)
    if architecture == "bert":
        assert "it has no switches" in str(error.value)
