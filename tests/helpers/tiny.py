"""Models that are small enough to make in a test, with nothing in them that is zero, one or symmetric by accident."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

END_OF_TEXT = "<|endoftext|>"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def make_tiny_gpt2(
    directory: Path,
    layers: int = 1,
    width: int = 16,
    heads: int = 2,
    vocabulary: int = 320,
    seed: int = 0,
    positions: int = 32,
) -> Path:
    """Write model.safetensors (float32), config.json, tokenizer.json and tokenizer_config.json; return `directory`.

    The tokenizer is byte-level and has exactly `vocabulary` tokens: 256 bytes, merges, and the end of text last.
    """
    directory.mkdir(parents=True, exist_ok=True)
    save_file(
        tiny_weights(layers, width, vocabulary, positions, seed), directory / "model.safetensors", {"format": "pt"}
    )
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "bos_token_id": vocabulary - 1,
        "eos_token_id": vocabulary - 1,
        "layer_norm_epsilon": 1e-5,
        "model_type": "gpt2",
        "n_embd": width,
        "n_head": heads,
        "n_inner": None,
        "n_layer": layers,
        "n_positions": positions,
        "tie_word_embeddings": True,
        "vocab_size": vocabulary,
    }
    settings = {
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "model_max_length": positions,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    tiny_tokenizer(vocabulary).save(str(directory / "tokenizer.json"))
    return directory


SIZES = {"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 24, "max_position_embeddings": 32}
# Two query heads for each key and value head, and heads that are wider or narrower than hidden_size / heads.
GROUPED = SIZES | {"num_key_value_heads": 2}
TINY = {
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 16, "n_head": 4, "n_inner": 24, "n_positions": 32}),
    "gpt_neo": (
        "GPTNeoForCausalLM",
        {"hidden_size": 16, "num_heads": 4, "intermediate_size": 24, "max_position_embeddings": 32},
    ),
    "gptj": ("GPTJForCausalLM", {"n_embd": 16, "n_head": 4, "n_inner": 24, "n_positions": 32, "rotary_dim": 2}),
    "gpt_neox": ("GPTNeoXForCausalLM", SIZES),
    "opt": (
        "OPTForCausalLM",
        {"hidden_size": 16, "num_attention_heads": 4, "ffn_dim": 24, "max_position_embeddings": 32}
        | {"word_embed_proj_dim": 16},
    ),
    "phi": ("PhiForCausalLM", GROUPED),
    "falcon": (
        "FalconForCausalLM",
        {"hidden_size": 16, "num_attention_heads": 4, "ffn_hidden_size": 24, "max_position_embeddings": 32},
    ),
    "stablelm": ("StableLmForCausalLM", GROUPED | {"partial_rotary_factor": 0.5}),
    "olmo": ("OlmoForCausalLM", GROUPED),
    "olmo2": ("Olmo2ForCausalLM", GROUPED),
    "llama": ("LlamaForCausalLM", GROUPED),
    "smollm3": ("SmolLM3ForCausalLM", GROUPED),
    "mistral": ("MistralForCausalLM", GROUPED),
    "phi3": ("Phi3ForCausalLM", GROUPED),
    "qwen2": ("Qwen2ForCausalLM", GROUPED),
    "qwen3": ("Qwen3ForCausalLM", GROUPED | {"head_dim": 6}),
    "gemma": ("GemmaForCausalLM", GROUPED | {"head_dim": 6}),
    "gemma2": ("Gemma2ForCausalLM", GROUPED | {"head_dim": 2}),
    "gemma3_text": ("Gemma3ForCausalLM", GROUPED | {"head_dim": 6}),
    "bert": ("BertModel", SIZES),
}


def make_tiny(
    architecture: str,
    directory: Path,
    layers: int = 2,
    vocabulary: int = 320,
    padding_rows: int = 0,
    dtype: str = "float32",
    seed: int = 0,
    model_class_name: str | None = None,
    **config: object,
) -> Path:
    """Write a random model of any architecture, saved by transformers; return `directory`.

    `model_class_name` is another class than that of TINY, with heads on top.

    The tokenizer is that of make_tiny_gpt2, with `vocabulary` tokens; the embedding has `padding_rows` more rows.
    `config` are further keys of config.json.
    """
    import torch
    import transformers

    name, sizes = TINY[architecture]
    model_class = getattr(transformers, model_class_name or name)
    numbers = {"num_hidden_layers": layers, "vocab_size": vocabulary + padding_rows, "pad_token_id": 0}
    if architecture == "gpt_neo":
        numbers["attention_types"] = [[["global", "local"], layers // 2], [["global"], layers % 2]]
    model = model_class(model_class.config_class(**{**sizes, **numbers, **config}))
    generator = torch.Generator().manual_seed(seed)
    for parameter_name, parameter in sorted(model.named_parameters()):
        is_gain = "norm" in parameter_name.lower() or "ln_" in parameter_name
        middle = 1.0 if is_gain and parameter_name.endswith("weight") and not architecture.startswith("gemma") else 0.0
        parameter.data = middle + 0.3 * torch.randn(parameter.shape, generator=generator)
    model.tie_weights()
    model.to(getattr(torch, dtype)).save_pretrained(directory)
    save_tokenizer(vocabulary, directory)
    return directory


def save_tokenizer(vocabulary: int, directory: Path) -> None:
    settings = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END_OF_TEXT)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    tiny_tokenizer(vocabulary).save(str(directory / "tokenizer.json"))


def tiny_weights(layers: int, width: int, vocabulary: int, positions: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def weights(*shape: int, around: float = 0.0, spread: float = 0.3) -> np.ndarray:
        return (around + spread * random.standard_normal(shape, dtype=np.float32)).astype(np.float32)

    tensors = {"wte.weight": weights(vocabulary, width), "wpe.weight": weights(positions, width)}
    for layer in range(layers):
        tensors |= {
            f"h.{layer}.ln_1.weight": weights(width, around=1.0),
            f"h.{layer}.ln_1.bias": weights(width),
            f"h.{layer}.attn.c_attn.weight": weights(width, 3 * width),
            f"h.{layer}.attn.c_attn.bias": weights(3 * width),
            f"h.{layer}.attn.c_proj.weight": weights(width, width),
            f"h.{layer}.attn.c_proj.bias": weights(width),
            f"h.{layer}.ln_2.weight": weights(width, around=1.0),
            f"h.{layer}.ln_2.bias": weights(width),
            f"h.{layer}.mlp.c_fc.weight": weights(width, 4 * width),
            f"h.{layer}.mlp.c_fc.bias": weights(4 * width),
            f"h.{layer}.mlp.c_proj.weight": weights(4 * width, width),
            f"h.{layer}.mlp.c_proj.bias": weights(width),
        }
    return tensors | {"ln_f.weight": weights(width, around=1.0), "ln_f.bias": weights(width)}


def tiny_tokenizer(vocabulary: int) -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    if vocabulary < len(letters) + 1:
        raise ValueError(f"a byte-level tokenizer has at least {len(letters) + 1} tokens, not {vocabulary}")
    merges = list(itertools.islice(merge_pairs(), vocabulary - len(letters) - 1))
    tokens = {token: i for i, token in enumerate([*letters, *(left + right for left, right in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return tokenizer


def merge_pairs() -> Iterator[tuple[str, str]]:
    """A space before each letter, then every pair of letters, then every triple, and so on without end."""
    space = "Ġ"  # how a byte-level tokenizer writes a space
    longer = [(space, letter) for letter in LETTERS]
    yield from longer
    stems = list(LETTERS)
    while True:
        pairs = [(stem, letter) for stem in stems for letter in LETTERS]
        yield from pairs
        stems = [left + right for left, right in pairs]
