"""Layouts of the models with RMSNorm and a gated MLP: Llama and what grew from it."""

from dataclasses import replace

from svdlens.models.layouts.layout import GROUPED_KEYS, CheckpointLayout, Shapes, sizes

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
MLP_BIASES: Shapes = {
    "mlp.gate_proj.bias": ("intermediate_size",),
    "mlp.up_proj.bias": ("intermediate_size",),
    "mlp.down_proj.bias": ("hidden_size",),
}
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
        "mlp_bias": MLP_BIASES,
    },
    unembedding=DECODER_UNEMBEDDING,
    modules=DECODER_MODULES,
    buffers=INVERSE_FREQUENCIES,
)

QUERY_KEY_NORMS: Shapes = {"self_attn.q_norm.weight": ("head_dim",), "self_attn.k_norm.weight": ("head_dim",)}

# What follows differs from a Llama in what is named.
SMOLLM3 = replace(
    LLAMA,
    defaults={
        **sizes(layers=36, width=2048, heads=16, tokens=128256, mlp=11008),
        "num_key_value_heads": 4,
        "head_dim": None,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
    },
)

MISTRAL = replace(
    LLAMA,
    defaults={
        **sizes(layers=32, width=4096, heads=32, tokens=32000, mlp=14336),
        "num_key_value_heads": 8,
        "head_dim": None,
        "tie_word_embeddings": False,
    },
    derived={"head_dim": "hidden_size / num_attention_heads"},
    biases={},
)

PHI3 = replace(
    LLAMA,
    layer_tensors={
        "input_layernorm.weight": ("hidden_size",),
        "self_attn.qkv_proj.weight": ("num_attention_heads head_dim + 2 num_key_value_heads head_dim", "hidden_size"),
        "self_attn.o_proj.weight": ("hidden_size", "num_attention_heads head_dim"),
        "post_attention_layernorm.weight": ("hidden_size",),
        "mlp.gate_up_proj.weight": ("2 intermediate_size", "hidden_size"),
        "mlp.down_proj.weight": ("hidden_size", "intermediate_size"),
    },
    defaults={
        **sizes(layers=32, width=3072, heads=32, tokens=32064, mlp=8192),
        "num_key_value_heads": None,
        "head_dim": None,
        "tie_word_embeddings": False,
    },
    biases={},
    modules={},
    no_modules="has W_gate and W_in in one weight, and forward passes look into each by itself",
)

OLMO = replace(
    LLAMA,
    tensors={"embed_tokens.weight": ("vocab_size", "hidden_size")},
    layer_tensors={name: shape for name, shape in DECODER_LAYER.items() if "layernorm" not in name},
    defaults={
        **sizes(layers=32, width=4096, heads=32, tokens=50304, mlp=11008),
        "num_key_value_heads": None,
        "head_dim": None,
        "attention_bias": False,
        "tie_word_embeddings": False,
    },
    biases={"attention_bias": ATTENTION_BIASES},
    modules={},
    no_modules="has norms without gains, and forward passes look for those",
)

OLMO2 = replace(
    OLMO,
    tensors=DECODER_TENSORS,
    layer_tensors={
        **{name: shape for name, shape in DECODER_LAYER.items() if name != "input_layernorm.weight"},
        "self_attn.q_norm.weight": ("num_attention_heads head_dim",),
        "self_attn.k_norm.weight": ("num_key_value_heads head_dim",),
        "post_feedforward_layernorm.weight": ("hidden_size",),
    },
    no_modules="has no norm before attention and MLP, and forward passes look for one",
)

QWEN2 = replace(
    LLAMA,
    layer_tensors={**DECODER_LAYER, **QUERY_KEY_VALUE_BIASES},
    defaults={
        **sizes(layers=32, width=4096, heads=32, tokens=151936, mlp=22016),
        "num_key_value_heads": 32,
        "head_dim": None,
        "tie_word_embeddings": False,
    },
    whole_heads=False,
    biases={},
)

QWEN3 = replace(
    QWEN2,
    layer_tensors={**DECODER_LAYER, **QUERY_KEY_NORMS},
    defaults={**QWEN2.defaults, "head_dim": 128, "attention_bias": False},
    derived={"num_key_value_heads": "num_attention_heads"},
    biases={"attention_bias": ATTENTION_BIASES},
)

GEMMA = replace(
    LLAMA,
    defaults={
        **sizes(layers=28, width=3072, heads=16, tokens=256000, mlp=24576),
        "num_key_value_heads": 16,
        "head_dim": 256,
        "attention_bias": False,
        "tie_word_embeddings": True,
    },
    derived={},
    whole_heads=False,
    biases={"attention_bias": ATTENTION_BIASES},
)

GEMMA2 = replace(
    GEMMA,
    layer_tensors={
        **DECODER_LAYER,
        "pre_feedforward_layernorm.weight": ("hidden_size",),
        "post_feedforward_layernorm.weight": ("hidden_size",),
    },
    defaults={
        **GEMMA.defaults,
        **sizes(layers=26, width=2304, heads=8, tokens=256000, mlp=9216),
        "num_key_value_heads": 4,
    },
    whole_heads=True,
    modules={**DECODER_MODULES, "ln2": "pre_feedforward_layernorm"},
)

GEMMA3_TEXT = replace(
    GEMMA2,
    layer_tensors={**GEMMA2.layer_tensors, **QUERY_KEY_NORMS},
    defaults={**GEMMA2.defaults, "vocab_size": 262208, "final_logit_softcapping": None},
    fixed={"final_logit_softcapping": None},  # a cap on logits makes centring them more than a shift
    whole_heads=False,
)
