"""A GPT-2 that is small enough to make in a test, with nothing in it that is zero, one or symmetric by accident."""

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
