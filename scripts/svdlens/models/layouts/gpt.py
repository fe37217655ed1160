"""Layouts of the models with layer norms that predict the next token: GPT-2 and what grew from it."""

from svdlens.models.layouts.layout import KEYS, CheckpointLayout, sizes

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
