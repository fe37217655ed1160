"""Which modules of each architecture an adapter can change, and which weights these are.

By the name of a module in a layer, as transformers has it, the weights of TransformerLens in it: one, or of a fused
module the queries, keys and values, in that order.
"""

from collections.abc import Mapping

Modules = Mapping[str, tuple[str, ...]]

GPT2: Modules = {
    "attn.c_attn": ("attn.W_Q", "attn.W_K", "attn.W_V"),
    "attn.c_proj": ("attn.W_O",),
    "mlp.c_fc": ("mlp.W_in",),
    "mlp.c_proj": ("mlp.W_out",),
}
GPT_NEOX: Modules = {
    "attention.query_key_value": ("attn.W_Q", "attn.W_K", "attn.W_V"),
    "attention.dense": ("attn.W_O",),
    "mlp.dense_h_to_4h": ("mlp.W_in",),
    "mlp.dense_4h_to_h": ("mlp.W_out",),
}
LLAMA: Modules = {
    "self_attn.q_proj": ("attn.W_Q",),
    "self_attn.k_proj": ("attn.W_K",),
    "self_attn.v_proj": ("attn.W_V",),
    "self_attn.o_proj": ("attn.W_O",),
    "mlp.up_proj": ("mlp.W_in",),
    "mlp.gate_proj": ("mlp.W_gate",),
    "mlp.down_proj": ("mlp.W_out",),
}
ADAPTED_MODULES = {
    "gpt2": GPT2,
    "gpt_neox": GPT_NEOX,
    **dict.fromkeys(
        ("stablelm", "llama", "smollm3", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"), LLAMA
    ),
}
"""By architecture; adapters of others are refused."""

INPUT_FIRST = ("gpt2",)
"""Architectures whose modules store a weight as [d_in, d_out] (Conv1D of transformers), others as [d_out, d_in]."""

FUSED_BY_HEAD = ("gpt_neox",)
"""Architectures whose fused modules have queries, keys and values side by side for each head, others all queries "
"first."""
