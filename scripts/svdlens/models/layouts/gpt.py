"""Layouts of the models with layer norms that predict the next token: GPT-2 and what grew from it."""

from dataclasses import replace

from svdlens.models.layouts.layout import GROUPED_KEYS, KEYS, CheckpointLayout, Shapes, sizes
from svdlens.models.layouts.llama import (
    DECODER_LAYER,
    DECODER_TENSORS,
    DECODER_UNEMBEDDING,
    INVERSE_FREQUENCIES,
    LLAMA,
    QUERY_KEY_VALUE_BIASES,
)

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

GPT_NEO = CheckpointLayout(
    keys={"n_layer": "num_layers", "d_model": "hidden_size", "n_heads": "num_heads", "d_vocab": "vocab_size"},
    prefix="transformer.",
    layers="h",
    tensors={
        "wte.weight": ("vocab_size", "hidden_size"),
        "wpe.weight": ("max_position_embeddings", "hidden_size"),
        "ln_f.weight": ("hidden_size",),
        "ln_f.bias": ("hidden_size",),
    },
    layer_tensors={
        "ln_1.weight": ("hidden_size",),
        "ln_1.bias": ("hidden_size",),
        "attn.attention.q_proj.weight": ("hidden_size", "hidden_size"),
        "attn.attention.k_proj.weight": ("hidden_size", "hidden_size"),
        "attn.attention.v_proj.weight": ("hidden_size", "hidden_size"),
        "attn.attention.out_proj.weight": ("hidden_size", "hidden_size"),
        "attn.attention.out_proj.bias": ("hidden_size",),
        "ln_2.weight": ("hidden_size",),
        "ln_2.bias": ("hidden_size",),
        "mlp.c_fc.weight": ("intermediate_size", "hidden_size"),
        "mlp.c_fc.bias": ("intermediate_size",),
        "mlp.c_proj.weight": ("hidden_size", "intermediate_size"),
        "mlp.c_proj.bias": ("hidden_size",),
    },
    aliases={"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"},
    defaults={
        "num_layers": 24,
        "hidden_size": 2048,
        "num_heads": 16,
        "vocab_size": 50257,
        "max_position_embeddings": 2048,
        "intermediate_size": None,
        "tie_word_embeddings": True,
    },
    derived={"intermediate_size": "4 hidden_size"},
    unembedding=DECODER_UNEMBEDDING,
    modules={
        "attn.W_O": "attn.attention.out_proj",
        "mlp.W_in": "mlp.c_fc",
        "mlp.W_out": "mlp.c_proj",
        "ln1": "ln_1",
        "ln2": "ln_2",
        "ln_final": "ln_f",
    },
    buffers=r"h\.\d+\.attn\.attention\.(bias|masked_bias)",
)

# Attention and MLP read what one norm gives; the unembedding has a bias.
GPTJ = CheckpointLayout(
    keys={"n_layer": "n_layer", "d_model": "n_embd", "n_heads": "n_head", "d_vocab": "vocab_size"},
    prefix="transformer.",
    layers="h",
    tensors={
        "wte.weight": ("vocab_size", "n_embd"),
        "ln_f.weight": ("n_embd",),
        "ln_f.bias": ("n_embd",),
    },
    layer_tensors={
        "ln_1.weight": ("n_embd",),
        "ln_1.bias": ("n_embd",),
        "attn.q_proj.weight": ("n_embd", "n_embd"),
        "attn.k_proj.weight": ("n_embd", "n_embd"),
        "attn.v_proj.weight": ("n_embd", "n_embd"),
        "attn.out_proj.weight": ("n_embd", "n_embd"),
        "mlp.fc_in.weight": ("n_inner", "n_embd"),
        "mlp.fc_in.bias": ("n_inner",),
        "mlp.fc_out.weight": ("n_embd", "n_inner"),
        "mlp.fc_out.bias": ("n_embd",),
    },
    aliases={
        "max_position_embeddings": "n_positions",
        "hidden_size": "n_embd",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    },
    defaults={
        "n_layer": 28,
        "n_embd": 4096,
        "n_head": 16,
        "vocab_size": 50400,
        "n_inner": None,
        "tie_word_embeddings": False,
    },
    derived={"n_inner": "4 n_embd"},
    fixed={"tie_word_embeddings": False},
    unembedding={"lm_head.weight": ("vocab_size", "n_embd"), "lm_head.bias": ("vocab_size",)},
    modules={
        "attn.W_O": "attn.out_proj",
        "mlp.W_in": "mlp.fc_in",
        "mlp.W_out": "mlp.fc_out",
        "ln1": "ln_1",
        "ln2": "ln_1",
        "ln_final": "ln_f",
    },
    buffers=r"h\.\d+\.attn\.(bias|masked_bias|embed_positions)",
)

OPT = CheckpointLayout(
    keys=KEYS,
    prefix="model.",
    layers="decoder.layers",
    tensors={
        "decoder.embed_tokens.weight": ("vocab_size", "hidden_size"),
        "decoder.embed_positions.weight": ("max_position_embeddings + 2", "hidden_size"),
        "decoder.final_layer_norm.weight": ("hidden_size",),
        "decoder.final_layer_norm.bias": ("hidden_size",),
    },
    layer_tensors={
        **{
            f"self_attn.{name}_proj.{part}": shape
            for name in ("q", "k", "v", "out")
            for part, shape in (("weight", ("hidden_size", "hidden_size")), ("bias", ("hidden_size",)))
        },
        "self_attn_layer_norm.weight": ("hidden_size",),
        "self_attn_layer_norm.bias": ("hidden_size",),
        "fc1.weight": ("ffn_dim", "hidden_size"),
        "fc1.bias": ("ffn_dim",),
        "fc2.weight": ("hidden_size", "ffn_dim"),
        "fc2.bias": ("hidden_size",),
        "final_layer_norm.weight": ("hidden_size",),
        "final_layer_norm.bias": ("hidden_size",),
    },
    defaults={
        "num_hidden_layers": 12,
        "hidden_size": 768,
        "num_attention_heads": 12,
        "vocab_size": 50272,
        "max_position_embeddings": 2048,
        "ffn_dim": 3072,
        "do_layer_norm_before": True,
        "_remove_final_layer_norm": False,
        "enable_bias": True,
        "layer_norm_elementwise_affine": True,
        "tie_word_embeddings": True,
    },
    # OPT-350m has its norms after the sums, and projections around an embedding of another width.
    fixed={
        "do_layer_norm_before": True,
        "_remove_final_layer_norm": False,
        "enable_bias": True,
        "layer_norm_elementwise_affine": True,
    },
    unembedding=DECODER_UNEMBEDDING,
    no_modules="loses the positions of a text in its MLPs, and forward passes look at each",
)

# As GPT-J, with shared keys and values where num_key_value_heads says so.
PHI = CheckpointLayout(
    keys=GROUPED_KEYS,
    prefix="model.",
    layers="layers",
    tensors={
        "embed_tokens.weight": ("vocab_size", "hidden_size"),
        "final_layernorm.weight": ("hidden_size",),
        "final_layernorm.bias": ("hidden_size",),
    },
    layer_tensors={
        "input_layernorm.weight": ("hidden_size",),
        "input_layernorm.bias": ("hidden_size",),
        **{name: shape for name, shape in DECODER_LAYER.items() if "q_proj" in name or "k_proj" in name},
        "self_attn.v_proj.weight": DECODER_LAYER["self_attn.v_proj.weight"],
        **QUERY_KEY_VALUE_BIASES,
        "self_attn.dense.weight": ("hidden_size", "num_attention_heads head_dim"),
        "self_attn.dense.bias": ("hidden_size",),
        "mlp.fc1.weight": ("intermediate_size", "hidden_size"),
        "mlp.fc1.bias": ("intermediate_size",),
        "mlp.fc2.weight": ("hidden_size", "intermediate_size"),
        "mlp.fc2.bias": ("hidden_size",),
    },
    defaults={
        **sizes(layers=24, width=2048, heads=32, tokens=51200, mlp=8192),
        "num_key_value_heads": None,
        "head_dim": None,
        "qk_layernorm": False,
        "tie_word_embeddings": False,
    },
    derived={"num_key_value_heads": "num_attention_heads", "head_dim": "hidden_size / num_attention_heads"},
    fixed={"qk_layernorm": False, "tie_word_embeddings": False},
    unembedding={**DECODER_UNEMBEDDING, "lm_head.bias": ("vocab_size",)},
    modules={
        "attn.W_O": "self_attn.dense",
        "mlp.W_in": "mlp.fc1",
        "mlp.W_out": "mlp.fc2",
        "ln1": "input_layernorm",
        "ln2": "input_layernorm",
        "ln_final": "final_layernorm",
    },
    buffers=INVERSE_FREQUENCIES,
)

# Falcon-7b: all heads share one key and value, attention and MLP one norm. Others of this name have other layouts.
FALCON = CheckpointLayout(
    keys=KEYS,
    prefix="transformer.",
    layers="h",
    tensors={
        "word_embeddings.weight": ("vocab_size", "hidden_size"),
        "ln_f.weight": ("hidden_size",),
        "ln_f.bias": ("hidden_size",),
    },
    layer_tensors={
        "input_layernorm.weight": ("hidden_size",),
        "input_layernorm.bias": ("hidden_size",),
        "self_attention.query_key_value.weight": ("hidden_size + 2 hidden_size / num_attention_heads", "hidden_size"),
        "self_attention.dense.weight": ("hidden_size", "hidden_size"),
        "mlp.dense_h_to_4h.weight": ("ffn_hidden_size", "hidden_size"),
        "mlp.dense_4h_to_h.weight": ("hidden_size", "ffn_hidden_size"),
    },
    defaults={
        "num_hidden_layers": 32,
        "hidden_size": 4544,
        "num_attention_heads": 71,
        "vocab_size": 65024,
        "ffn_hidden_size": None,
        "new_decoder_architecture": False,
        "multi_query": True,
        "parallel_attn": True,
        "alibi": False,
        "bias": False,
        "tie_word_embeddings": True,
    },
    derived={"ffn_hidden_size": "4 hidden_size"},
    fixed={
        "new_decoder_architecture": False,  # TransformerLens 4.3 cannot take its fused weights apart
        "multi_query": True,
        "parallel_attn": True,
        "alibi": False,
        "bias": False,
    },
    unembedding=DECODER_UNEMBEDDING,
    modules={
        "attn.W_O": "self_attention.dense",
        "mlp.W_in": "mlp.dense_h_to_4h",
        "mlp.W_out": "mlp.dense_4h_to_h",
        "ln1": "input_layernorm",
        "ln2": "input_layernorm",
        "ln_final": "ln_f",
    },
    buffers=r"h\.\d+\.self_attention\.rotary_emb\.inv_freq",
)

NORM_BIASES: Shapes = {"input_layernorm.bias": ("hidden_size",), "post_attention_layernorm.bias": ("hidden_size",)}


def without_head_dim(shapes: Shapes) -> Shapes:
    """The same where config.json has no head_dim of its own."""
    plain = {"num_attention_heads head_dim": "hidden_size"}
    plain["num_key_value_heads head_dim"] = "num_key_value_heads hidden_size / num_attention_heads"
    return {name: tuple(plain.get(words, words) for words in shape) for name, shape in shapes.items()}


# A Llama with layer norms.
STABLELM = replace(
    LLAMA,
    tensors={**DECODER_TENSORS, "norm.bias": ("hidden_size",)},
    layer_tensors={**without_head_dim(DECODER_LAYER), **NORM_BIASES},
    defaults={
        **sizes(layers=32, width=2560, heads=32, tokens=50304, mlp=6912),
        "num_key_value_heads": 32,
        "use_qkv_bias": False,
        "qk_layernorm": False,
        "use_parallel_residual": False,
        "tie_word_embeddings": False,
    },
    derived={},
    fixed={"qk_layernorm": False, "use_parallel_residual": False},
    biases={"use_qkv_bias": without_head_dim(QUERY_KEY_VALUE_BIASES)},
)
