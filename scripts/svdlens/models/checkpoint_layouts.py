"""What config.json and the safetensors files of each architecture must hold: names and shapes of all tensors.

Names, keys and defaults are those of the configuration and model classes of transformers, which
tests/models/test_checkpoint_layouts.py builds without weights (on torch's meta device) and compares with these tables.
They are written out because importing such a class takes four seconds, twenty times as long as all of fetch_model for
a small model; because it does not say what lies in files of old versions; and because shapes in the words of
config.json ("num_attention_heads head_dim" is the product of the two) tell more in an error than numbers do.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Shapes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class CheckpointLayout:
    """What a checkpoint of one model_type holds.

    keys: the key of config.json for each of n_layer, d_model, n_heads, n_key_value_heads and d_vocab. Without
    n_key_value_heads each head has keys and values of its own. aliases: other names that transformers takes for keys,
    and which win where both are there.
    defaults: values of keys that config.json may lack, all that are used here. derived: what null stands for in
    config.json, as a product or a quotient ("hidden_size / num_attention_heads"), which is rounded down. fixed: keys
    of which only this value can be read. whole_heads: transformers refuses a d_model that is no multiple of n_heads,
    whatever head_dim is.

    tensors: names and shapes in the safetensors files, without `prefix`, which may be there or not. layer_tensors:
    those of each layer, under "{layers}.0." and so on. biases: those of each layer that are there when this key of
    config.json is true. optional: those that may be there. heads: those that may be there and that other classes than
    `model_class` have on top of the model, which are not read. unembedding: W_U, absent where it is the embedding.
    modules: the modules of each layer that forward passes look into, by TransformerLens' name: those with the weights
    that write into the residual stream or take it in, and the norms before attention and MLP; the final norm, which is
    none of a layer, too. Empty for a model that gives no logits.
    old_endings: what names ended in when old versions saved them, and end in now.
    buffers: a regular expression for what old versions of transformers saved too and that is no weight.
    """

    keys: Mapping[str, str]
    prefix: str
    layers: str
    tensors: Shapes
    layer_tensors: Shapes
    aliases: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    whole_heads: bool = True
    biases: Mapping[str, Shapes] = field(default_factory=dict)
    optional: Shapes = field(default_factory=dict)
    heads: Shapes = field(default_factory=dict)
    unembedding: Shapes = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    old_endings: Mapping[str, str] = field(default_factory=dict)
    buffers: str = ""

    def present_name(self, name: str) -> str:
        """The name of a tensor in the files as it is today, without `prefix`."""
        short = name.removeprefix(self.prefix)
        for old, new in self.old_endings.items():
            if short.endswith(old):
                return short.removesuffix(old) + new
        return short

    def is_buffer(self, name: str) -> bool:
        """Whether a tensor of this name, without `prefix`, is no weight."""
        return re.fullmatch(self.buffers, name) is not None


def sizes(layers: int, width: int, heads: int, tokens: int, mlp: int) -> dict[str, int]:
    """The sizes of a model under the names that all architectures but GPT-2 have for them."""
    return {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "vocab_size": tokens,
        "intermediate_size": mlp,
    }


KEYS = {
    "n_layer": "num_hidden_layers",
    "d_model": "hidden_size",
    "n_heads": "num_attention_heads",
    "d_vocab": "vocab_size",
}
GROUPED_KEYS = KEYS | {"n_key_value_heads": "num_key_value_heads"}

GPT2 = CheckpointLayout(
    keys={"n_layer": "n_layer", "d_model": "n_embd", "n_heads": "n_head", "d_vocab": "vocab_size"},
    prefix="transformer.",
    layers="h",
    tensors={
        "wte.weight": ("vocab_size", "n_embd"),
        "wpe.weight": ("n_positions", "n_embd"),
        "ln_f.weight": ("n_embd",),
        "ln_f.bias": ("n_embd",),
    },
    layer_tensors={
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
    aliases={
        "num_hidden_layers": "n_layer",
        "hidden_size": "n_embd",
        "num_attention_heads": "n_head",
        "max_position_embeddings": "n_positions",
    },
    defaults={
        "n_layer": 12,
        "n_embd": 768,
        "n_head": 12,
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_inner": None,
        "tie_word_embeddings": True,
    },
    derived={"n_inner": "4 n_embd"},
    unembedding={"lm_head.weight": ("vocab_size", "n_embd")},
    modules={
        "attn.W_O": "attn.c_proj",
        "mlp.W_in": "mlp.c_fc",
        "mlp.W_out": "mlp.c_proj",
        "ln1": "ln_1",
        "ln2": "ln_2",
        "ln_final": "ln_f",
    },
    buffers=r"h\.\d+\.attn\.(bias|masked_bias)",
)

GPT_NEOX = CheckpointLayout(
    keys=KEYS,
    prefix="gpt_neox.",
    layers="layers",
    tensors={
        "embed_in.weight": ("vocab_size", "hidden_size"),
        "final_layer_norm.weight": ("hidden_size",),
        "final_layer_norm.bias": ("hidden_size",),
    },
    layer_tensors={
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
    defaults={
        **sizes(layers=44, width=6144, heads=64, tokens=50432, mlp=24576),
        "attention_bias": True,
        "tie_word_embeddings": False,
    },
    fixed={"attention_bias": True},  # TransformerLens splits the fused weights together with their biases
    unembedding={"embed_out.weight": ("vocab_size", "hidden_size")},
    modules={
        "attn.W_O": "attention.dense",
        "mlp.W_in": "mlp.dense_h_to_4h",
        "mlp.W_out": "mlp.dense_4h_to_h",
        "ln1": "input_layernorm",
        "ln2": "post_attention_layernorm",
        "ln_final": "final_layer_norm",
    },
    buffers=r"layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)",
)

DECODER_TENSORS: Shapes = {"embed_tokens.weight": ("vocab_size", "hidden_size"), "norm.weight": ("hidden_size",)}
DECODER_LAYER: Shapes = {
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
DECODER_MODULES = {
    "attn.W_O": "self_attn.o_proj",
    "mlp.W_gate": "mlp.gate_proj",
    "mlp.W_in": "mlp.up_proj",
    "mlp.W_out": "mlp.down_proj",
    "ln1": "input_layernorm",
    "ln2": "post_attention_layernorm",
    "ln_final": "norm",
}
DECODER_UNEMBEDDING: Shapes = {"lm_head.weight": ("vocab_size", "hidden_size")}
INVERSE_FREQUENCIES = r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq"

LLAMA = CheckpointLayout(
    keys=GROUPED_KEYS,
    prefix="model.",
    layers="layers",
    tensors=DECODER_TENSORS,
    layer_tensors=DECODER_LAYER,
    defaults={
        **sizes(layers=32, width=4096, heads=32, tokens=32000, mlp=11008),
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
    modules=DECODER_MODULES,
    buffers=INVERSE_FREQUENCIES,
)

QWEN2 = CheckpointLayout(
    keys=GROUPED_KEYS,
    prefix="model.",
    layers="layers",
    tensors=DECODER_TENSORS,
    layer_tensors={**DECODER_LAYER, **QUERY_KEY_VALUE_BIASES},
    defaults={
        **sizes(layers=32, width=4096, heads=32, tokens=151936, mlp=22016),
        "num_key_value_heads": 32,
        "head_dim": None,
        "tie_word_embeddings": False,
    },
    whole_heads=False,
    derived={"num_key_value_heads": "num_attention_heads", "head_dim": "hidden_size / num_attention_heads"},
    unembedding=DECODER_UNEMBEDDING,
    modules=DECODER_MODULES,
    buffers=INVERSE_FREQUENCIES,
)

GEMMA = CheckpointLayout(
    keys=GROUPED_KEYS,
    prefix="model.",
    layers="layers",
    tensors=DECODER_TENSORS,
    layer_tensors=DECODER_LAYER,
    defaults={
        **sizes(layers=28, width=3072, heads=16, tokens=256000, mlp=24576),
        "num_key_value_heads": 16,
        "head_dim": 256,
        "attention_bias": False,
        "tie_word_embeddings": True,
    },
    whole_heads=False,
    biases={"attention_bias": ATTENTION_BIASES},
    unembedding=DECODER_UNEMBEDDING,
    modules=DECODER_MODULES,
    buffers=INVERSE_FREQUENCIES,
)

GEMMA2 = CheckpointLayout(
    keys=GROUPED_KEYS,
    prefix="model.",
    layers="layers",
    tensors=DECODER_TENSORS,
    layer_tensors={
        **DECODER_LAYER,
        "pre_feedforward_layernorm.weight": ("hidden_size",),
        "post_feedforward_layernorm.weight": ("hidden_size",),
    },
    defaults={
        **sizes(layers=26, width=2304, heads=8, tokens=256000, mlp=9216),
        "num_key_value_heads": 4,
        "head_dim": 256,
        "attention_bias": False,
        "tie_word_embeddings": True,
    },
    biases={"attention_bias": ATTENTION_BIASES},
    unembedding=DECODER_UNEMBEDDING,
    modules={**DECODER_MODULES, "ln2": "pre_feedforward_layernorm"},
    buffers=INVERSE_FREQUENCIES,
)

BERT = CheckpointLayout(
    keys=KEYS,
    prefix="bert.",
    layers="encoder.layer",
    tensors={
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
        "embeddings.LayerNorm.weight": ("hidden_size",),
        "embeddings.LayerNorm.bias": ("hidden_size",),
    },
    layer_tensors={
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
    optional={
        "pooler.dense.weight": ("hidden_size", "hidden_size"),
        "pooler.dense.bias": ("hidden_size",),
    },
    defaults={
        **sizes(layers=12, width=768, heads=12, tokens=30522, mlp=3072),
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    },
    heads={
        "cls.predictions.bias": ("vocab_size",),
        "cls.predictions.transform.dense.weight": ("hidden_size", "hidden_size"),
        "cls.predictions.transform.dense.bias": ("hidden_size",),
        "cls.predictions.transform.LayerNorm.weight": ("hidden_size",),
        "cls.predictions.transform.LayerNorm.bias": ("hidden_size",),
        "cls.predictions.decoder.weight": ("vocab_size", "hidden_size"),
        "cls.predictions.decoder.bias": ("vocab_size",),
        "cls.seq_relationship.weight": ("2", "hidden_size"),
        "cls.seq_relationship.bias": ("2",),
    },
    old_endings={"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"},
    buffers=r"embeddings\.(position_ids|token_type_ids)",
)

# By model_type in config.json, as ARCHITECTURES.
LAYOUTS = {
    "gpt2": GPT2,
    "gpt_neox": GPT_NEOX,
    "llama": LLAMA,
    "qwen2": QWEN2,
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "bert": BERT,
}


def dimension(words: str, config: Mapping[str, Any]) -> int:
    """The value of a product or quotient such as "3 n_embd", in which words are keys of config.json."""
    product, _, divisor = words.partition(" / ")
    value = math.prod(int(word) if word.isdigit() else config[word] for word in product.split())
    return value // config[divisor] if divisor else value


def dimension_keys(layout: CheckpointLayout) -> list[str]:
    """The keys of config.json that are numbers: n_layer, n_heads and the others of `keys`, and those of all shapes."""
    shapes = [*layout.tensors.values(), *layout.layer_tensors.values()]
    words = [word for shape in shapes for entry in shape for word in entry.split() if not word.isdigit()]
    return list(dict.fromkeys([*layout.keys.values(), *words]))


def required_tensors(layout: CheckpointLayout, config: Mapping[str, Any], n_layers: int) -> dict[str, tuple[str, ...]]:
    """Names, without `prefix`, and shapes of all tensors of a model with `n_layers` layers, but optional ones and W_U.

    config: has every key of `biases`.
    """
    in_each_layer = dict(layout.layer_tensors)
    for key, biases in layout.biases.items():
        in_each_layer |= biases if config[key] else {}
    required = dict(layout.tensors)
    for layer in range(n_layers):
        required |= {f"{layout.layers}.{layer}.{name}": shape for name, shape in in_each_layer.items()}
    return required
