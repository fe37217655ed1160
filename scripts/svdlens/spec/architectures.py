"""The architectures that svdlens reads, one entry each: what a model of it has, and what its files must hold.

A new architecture is a new entry of ARCHITECTURES, a tiny model in tests/helpers/tiny.py, and its name in the
configuration's schema. No tensors here: the Snakefile imports this too.

Shapes are written in the words of config.json: "num_attention_heads head_dim" is the product of the two. Names of
tensors, keys and defaults are those of the configuration and model classes of transformers.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting

LAYER_NORM_SWITCHES = ("read_gain", "read_center", "write_center", "unembed_gain", "unembed_center", "vocab_center")
# RMSNorm subtracts no mean, so nothing may be centred over d_model.
RMS_NORM_SWITCHES = ("read_gain", "unembed_gain", "vocab_center")

DEFAULT = "gpt2"  # of a model in config.yaml that names no architecture

Shapes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Architecture:
    """What svdlens knows of one model_type.

    model_class: the class of transformers, the one entry of `architectures` in config.json.
    switches: those of a Setting that such a model has. readouts: how directions can be read.
    gated: its MLPs have a gate, W_gate.
    rotary: positions enter as rotations of queries and keys, so W_Q W_K^T is their product at relative position 0.
    pre_norm: a norm stands before attention, before the MLP and before the unembedding; else the norms follow the sums.
    gain_offset: the norms multiply by gain_offset plus the stored weight.

    keys: the key of config.json for each of n_layer, d_model, n_heads, n_key_value_heads, d_head, d_mlp, d_vocab.
    Without n_key_value_heads each head has keys and values of its own; without d_head it is d_model / n_heads.
    defaults: values of keys that config.json may lack. derived: what null stands for in config.json, as a product or
    a quotient ("hidden_size / num_attention_heads"). fixed: keys of which only this value can be read.

    tensors: names and shapes in the safetensors files, without `prefix`, which may be there or not. block_tensors:
    those of each block, under "{blocks}.0." and so on. biases: those of each block that are there when this key of
    config.json is true. optional: those that may be there. unembedding: W_U, absent where it is the embedding.
    buffers: a regular expression for what old versions of transformers saved too and that is no weight.
    """

    model_class: str
    switches: tuple[str, ...]
    keys: Mapping[str, str]
    prefix: str
    blocks: str
    tensors: Shapes
    block_tensors: Shapes
    readouts: tuple[str, ...] = ("W_U", "W_E", "pinv_W_E")
    gated: bool = False
    rotary: bool = False
    pre_norm: bool = True
    gain_offset: float = 0.0
    defaults: Mapping[str, Any] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    biases: Mapping[str, Shapes] = field(default_factory=dict)
    optional: Shapes = field(default_factory=dict)
    unembedding: Shapes = field(default_factory=dict)
    buffers: str = ""

    @property
    def matrices(self) -> tuple[str, ...]:
        """The kinds of matrices that can be decomposed: those whose factors such a model has."""
        lacks = () if self.gated else ("mlp.W_gate",)
        return tuple(
            name for name, kind in MATRIX_KINDS.items() if not any(factor.weight in lacks for factor in kind.factors)
        )


KEYS = {
    "n_layer": "num_hidden_layers",
    "d_model": "hidden_size",
    "n_heads": "num_attention_heads",
    "d_mlp": "intermediate_size",
    "d_vocab": "vocab_size",
}
GROUPED_KEYS = KEYS | {"n_key_value_heads": "num_key_value_heads", "d_head": "head_dim"}

GPT2 = Architecture(
    "GPT2LMHeadModel",
    LAYER_NORM_SWITCHES,
    keys={"n_layer": "n_layer", "d_model": "n_embd", "n_heads": "n_head", "d_mlp": "n_inner", "d_vocab": "vocab_size"},
    prefix="transformer.",
    blocks="h",
    tensors={
        "wte.weight": ("vocab_size", "n_embd"),
        "wpe.weight": ("n_positions", "n_embd"),
        "ln_f.weight": ("n_embd",),
        "ln_f.bias": ("n_embd",),
    },
    block_tensors={
        "ln_1.weight": ("n_embd",),
        "ln_1.bias": ("n_embd",),
        "attn.c_attn.weight": ("n_embd", "3 n_embd"),
        "attn.c_attn.bias": ("3 n_embd",),
        "attn.c_proj.weight": ("n_embd", "n_embd"),
        "attn.c_proj.bias": ("n_embd",),
        "ln_2.weight": ("n_embd",),
        "ln_2.bias": ("n_embd",),
        "mlp.c_fc.weight": ("n_embd", "n_inner"),
        "mlp.c_fc.bias": ("n_inner",),
        "mlp.c_proj.weight": ("n_inner", "n_embd"),
        "mlp.c_proj.bias": ("n_embd",),
    },
    defaults={"n_inner": None, "tie_word_embeddings": True},
    derived={"n_inner": "4 n_embd"},
    unembedding={"lm_head.weight": ("vocab_size", "n_embd")},
    buffers=r"h\.\d+\.attn\.(bias|masked_bias)",
)

GPT_NEOX = Architecture(
    "GPTNeoXForCausalLM",
    LAYER_NORM_SWITCHES,
    keys=KEYS,
    prefix="gpt_neox.",
    blocks="layers",
    tensors={
        "embed_in.weight": ("vocab_size", "hidden_size"),
        "final_layer_norm.weight": ("hidden_size",),
        "final_layer_norm.bias": ("hidden_size",),
    },
    block_tensors={
        "input_layernorm.weight": ("hidden_size",),
        "input_layernorm.bias": ("hidden_size",),
        "attention.query_key_value.weight": ("3 hidden_size", "hidden_size"),
        "attention.query_key_value.bias": ("3 hidden_size",),
        "attention.dense.weight": ("hidden_size", "hidden_size"),
        "attention.dense.bias": ("hidden_size",),
        "post_attention_layernorm.weight": ("hidden_size",),
        "post_attention_layernorm.bias": ("hidden_size",),
        "mlp.dense_h_to_4h.weight": ("intermediate_size", "hidden_size"),
        "mlp.dense_h_to_4h.bias": ("intermediate_size",),
        "mlp.dense_4h_to_h.weight": ("hidden_size", "intermediate_size"),
        "mlp.dense_4h_to_h.bias": ("hidden_size",),
    },
    rotary=True,
    defaults={"attention_bias": True, "tie_word_embeddings": False},
    fixed={"attention_bias": True},  # TransformerLens splits the fused weights together with their biases
    unembedding={"embed_out.weight": ("vocab_size", "hidden_size")},
    buffers=r"layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)",
)

DECODER_TENSORS: Shapes = {"embed_tokens.weight": ("vocab_size", "hidden_size"), "norm.weight": ("hidden_size",)}
DECODER_BLOCK: Shapes = {
    "input_layernorm.weight": ("hidden_size",),
    "self_attn.q_proj.weight": ("num_attention_heads head_dim", "hidden_size"),
    "self_attn.k_proj.weight": ("num_key_value_heads head_dim", "hidden_size"),
    "self_attn.v_proj.weight": ("num_key_value_heads head_dim", "hidden_size"),
    "self_attn.o_proj.weight": ("hidden_size", "num_attention_heads head_dim"),
    "post_attention_layernorm.weight": ("hidden_size",),
    "mlp.gate_proj.weight": ("intermediate_size", "hidden_size"),
    "mlp.up_proj.weight": ("intermediate_size", "hidden_size"),
    "mlp.down_proj.weight": ("hidden_size", "intermediate_size"),
}
QUERY_KEY_VALUE_BIASES: Shapes = {
    "self_attn.q_proj.bias": ("num_attention_heads head_dim",),
    "self_attn.k_proj.bias": ("num_key_value_heads head_dim",),
    "self_attn.v_proj.bias": ("num_key_value_heads head_dim",),
}
ATTENTION_BIASES = {**QUERY_KEY_VALUE_BIASES, "self_attn.o_proj.bias": ("hidden_size",)}
DECODER_UNEMBEDDING: Shapes = {"lm_head.weight": ("vocab_size", "hidden_size")}
INVERSE_FREQUENCIES = r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq"

LLAMA = Architecture(
    "LlamaForCausalLM",
    RMS_NORM_SWITCHES,
    keys=GROUPED_KEYS,
    prefix="model.",
    blocks="layers",
    tensors=DECODER_TENSORS,
    block_tensors=DECODER_BLOCK,
    gated=True,
    rotary=True,
    defaults={
        "num_key_value_heads": None,
        "head_dim": None,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
    },
    derived={"num_key_value_heads": "num_attention_heads", "head_dim": "hidden_size / num_attention_heads"},
    biases={
        "attention_bias": ATTENTION_BIASES,
        "mlp_bias": {
            "mlp.gate_proj.bias": ("intermediate_size",),
            "mlp.up_proj.bias": ("intermediate_size",),
            "mlp.down_proj.bias": ("hidden_size",),
        },
    },
    unembedding=DECODER_UNEMBEDDING,
    buffers=INVERSE_FREQUENCIES,
)

QWEN2 = Architecture(
    "Qwen2ForCausalLM",
    RMS_NORM_SWITCHES,
    keys=GROUPED_KEYS,
    prefix="model.",
    blocks="layers",
    tensors=DECODER_TENSORS,
    block_tensors={**DECODER_BLOCK, **QUERY_KEY_VALUE_BIASES},
    gated=True,
    rotary=True,
    defaults={"num_key_value_heads": 32, "head_dim": None, "tie_word_embeddings": False},
    derived={"num_key_value_heads": "num_attention_heads", "head_dim": "hidden_size / num_attention_heads"},
    unembedding=DECODER_UNEMBEDDING,
    buffers=INVERSE_FREQUENCIES,
)

GEMMA = Architecture(
    "GemmaForCausalLM",
    RMS_NORM_SWITCHES,
    keys=GROUPED_KEYS,
    prefix="model.",
    blocks="layers",
    tensors=DECODER_TENSORS,
    block_tensors=DECODER_BLOCK,
    gated=True,
    rotary=True,
    gain_offset=1.0,
    defaults={"num_key_value_heads": 16, "head_dim": 256, "attention_bias": False, "tie_word_embeddings": True},
    biases={"attention_bias": ATTENTION_BIASES},
    unembedding=DECODER_UNEMBEDDING,
    buffers=INVERSE_FREQUENCIES,
)

GEMMA2 = Architecture(
    "Gemma2ForCausalLM",
    # The soft cap on its logits is no shift: a constant added to them would change what it does.
    ("read_gain", "unembed_gain"),
    keys=GROUPED_KEYS,
    prefix="model.",
    blocks="layers",
    tensors=DECODER_TENSORS,
    block_tensors={
        **DECODER_BLOCK,
        "pre_feedforward_layernorm.weight": ("hidden_size",),
        "post_feedforward_layernorm.weight": ("hidden_size",),
    },
    gated=True,
    rotary=True,
    gain_offset=1.0,
    defaults={"num_key_value_heads": 4, "head_dim": 256, "attention_bias": False, "tie_word_embeddings": True},
    biases={"attention_bias": ATTENTION_BIASES},
    unembedding=DECODER_UNEMBEDDING,
    buffers=INVERSE_FREQUENCIES,
)

BERT = Architecture(
    "BertModel",
    # Its layer norms come after each sum, so no gain stands between the residual stream and the weights that read it.
    (),
    keys=KEYS,
    prefix="bert.",
    blocks="encoder.layer",
    tensors={
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
        "embeddings.LayerNorm.weight": ("hidden_size",),
        "embeddings.LayerNorm.bias": ("hidden_size",),
    },
    block_tensors={
        "attention.self.query.weight": ("hidden_size", "hidden_size"),
        "attention.self.query.bias": ("hidden_size",),
        "attention.self.key.weight": ("hidden_size", "hidden_size"),
        "attention.self.key.bias": ("hidden_size",),
        "attention.self.value.weight": ("hidden_size", "hidden_size"),
        "attention.self.value.bias": ("hidden_size",),
        "attention.output.dense.weight": ("hidden_size", "hidden_size"),
        "attention.output.dense.bias": ("hidden_size",),
        "attention.output.LayerNorm.weight": ("hidden_size",),
        "attention.output.LayerNorm.bias": ("hidden_size",),
        "intermediate.dense.weight": ("intermediate_size", "hidden_size"),
        "intermediate.dense.bias": ("intermediate_size",),
        "output.dense.weight": ("hidden_size", "intermediate_size"),
        "output.dense.bias": ("hidden_size",),
        "output.LayerNorm.weight": ("hidden_size",),
        "output.LayerNorm.bias": ("hidden_size",),
    },
    readouts=("W_E", "pinv_W_E"),
    pre_norm=False,
    optional={
        "pooler.dense.weight": ("hidden_size", "hidden_size"),
        "pooler.dense.bias": ("hidden_size",),
    },
    buffers=r"embeddings\.(position_ids|token_type_ids)",
)

# By model_type in config.json.
ARCHITECTURES = {
    "gpt2": GPT2,
    "gpt_neox": GPT_NEOX,
    "llama": LLAMA,
    "qwen2": QWEN2,
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "bert": BERT,
}


def size(text: str, config: Mapping[str, Any]) -> int:
    """The value of a product or quotient such as "3 n_embd", in which words are keys of config.json."""
    product, _, divisor = text.partition(" / ")
    value = math.prod(int(word) if word.isdigit() else config[word] for word in product.split())
    return value // config[divisor] if divisor else value


def find_architecture(name: str, model: str) -> Architecture:
    """The entry of `models.{model}.architecture`. Raises SvdlensError for a name that is none."""
    if name not in ARCHITECTURES:
        raise SvdlensError(
            f"models.{model}.architecture in config.yaml is {name!r}, which is not supported. "
            f"Write one of {', '.join(ARCHITECTURES)}.{did_you_mean(str(name), ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def missing_switches(setting: Setting, architecture: Architecture) -> list[str]:
    """The switches that `setting` uses and such a model does not have."""
    used = [switch.name for switch in fields(setting) if getattr(setting, switch.name)]
    return [switch for switch in used if switch not in architecture.switches]


def check_switches(
    name: str, setting: Setting, model: str, architecture: str, possible: Iterable[str] = ("raw",)
) -> None:
    """Raises SvdlensError if the setting called `name` uses a switch that the model does not have.

    possible: names of settings that the model can have, for the message.
    """
    known = find_architecture(architecture, model)
    missing = missing_switches(setting, known)
    if missing:
        has = f"it has {', '.join(known.switches)}" if known.switches else "it has no switches"
        raise SvdlensError(
            f"settings.{name} uses {', '.join(missing)}, which {model} ({architecture}) does not have; {has}. "
            f"List for the model only settings that it can have, in config.yaml: "
            f"`models.{model}.settings: [{', '.join(possible)}]`."
        )


def check_choices(
    model: str, architecture: str, settings: Mapping[str, Setting], matrices: Iterable[str], readouts: Iterable[str]
) -> None:
    """Raises SvdlensError if the model has not all of these settings, kinds of matrices and read-outs.

    model, architecture: as config.yaml names them; settings: by name.
    """
    known = find_architecture(architecture, model)
    possible = [name for name, setting in settings.items() if not missing_switches(setting, known)] or ["raw"]
    for name, setting in settings.items():
        check_switches(name, setting, model, architecture, possible)
    for kind, chosen, has in (("matrices", matrices, known.matrices), ("readouts", readouts, known.readouts)):
        chosen = list(chosen)
        for choice in chosen:
            if choice not in has:
                left = [one for one in chosen if one in has] or list(has)
                raise SvdlensError(
                    f"{choice!r} is none of the {kind} of {model} ({architecture}), which are {', '.join(has)}. "
                    f"List for the model only those, in config.yaml: `models.{model}.{kind}: [{', '.join(left)}]`."
                    f"{did_you_mean(choice, has)}"
                )
