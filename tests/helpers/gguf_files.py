"""GGUF files as llama.cpp's converter writes them of a model that transformers saved, and ones made byte by byte."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

from tiny import END_OF_TEXT, make_tiny

# Sizes of which every row can be cut into blocks of 32.
SIZES: dict[str, dict[str, Any]] = {
    "llama": {"hidden_size": 64, "intermediate_size": 96},
    "qwen2": {"hidden_size": 64, "intermediate_size": 96},
    "gemma2": {"hidden_size": 64, "intermediate_size": 96, "head_dim": 32},
    "gpt2": {"n_embd": 64, "n_inner": 96},
}
# From transformers' names to llama.cpp's, in the order in which they are replaced.
DECODER = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers": "blk",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NORMS = {
    "llama": {"post_attention_layernorm": "ffn_norm"},
    "qwen2": {"post_attention_layernorm": "ffn_norm"},
    "gemma2": {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    },
}
GPT2 = {
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
    "lm_head": "output",
    "transformer.h": "blk",
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def make_gguf(
    architecture: str, directory: Path, quantisation: str = "F32", metadata: dict[str, Any] | None = None, **config: Any
) -> tuple[Path, Path]:
    """Make a tiny model, and a GGUF file of it; return the directory with the one, and the other.

    quantisation: of matrices. metadata: what to put over that of the file, None to leave a key out. config: further
    keys of config.json.
    """
    source = make_tiny(architecture, directory / "source", **{**SIZES[architecture], **config})
    tensors = {
        name: (values, quantisation if values.ndim == 2 else "F32")
        for name, values in llama_cpp_tensors(source).items()
    }
    path = directory / "tiny.gguf"
    write_gguf(path, {**llama_cpp_metadata(source), **(metadata or {})}, tensors)
    return source, path


def read_config(source: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((source / "config.json").read_text("utf-8"))
    return config


def llama_cpp_tensors(source: Path) -> dict[str, np.ndarray]:
    """The weights of a model by llama.cpp's names, in its shapes and orders."""
    config = read_config(source)
    architecture = config["model_type"]
    tensors = {}
    for name, values in load_file(source / "model.safetensors").items():
        if architecture == "llama":
            for projection, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
                if f".{projection}." in name:
                    values = interleave_halves(values, config[heads])
        if architecture == "gemma2" and name.endswith("norm.weight"):
            values = values + 1
        if architecture == "gpt2" and ".c_" in name:
            values = values.T
        for old, new in (GPT2 if architecture == "gpt2" else DECODER | NORMS[architecture]).items():
            name = name.replace(f"{old}.", f"{new}.")
        tensors[name] = np.ascontiguousarray(values)
    return tensors


def interleave_halves(values: np.ndarray, n_heads: int) -> np.ndarray:
    """The rows of each head as row 0 of its first half, row 0 of its second, row 1 of its first, and so on."""
    heads = np.split(values, n_heads)
    rows = [row for head in heads for pair in zip(*np.split(head, 2), strict=True) for row in pair]
    return np.stack(rows)


def llama_cpp_metadata(source: Path) -> dict[str, Any]:
    """The metadata of a model: sizes, and the tokenizer."""
    config = read_config(source)
    name = config["model_type"]
    model = json.loads((source / "tokenizer.json").read_text("utf-8"))["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    tokens += [] if END_OF_TEXT in tokens else [END_OF_TEXT]
    metadata: dict[str, Any] = {"general.architecture": name, "general.name": "tiny"}
    if name == "gpt2":
        metadata |= {
            "gpt2.context_length": config["n_positions"],
            "gpt2.embedding_length": config["n_embd"],
            "gpt2.feed_forward_length": config["n_inner"],
            "gpt2.block_count": config["n_layer"],
            "gpt2.attention.head_count": config["n_head"],
            "gpt2.attention.layer_norm_epsilon": config["layer_norm_epsilon"],
        }
    else:
        head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        metadata |= {
            f"{name}.context_length": config["max_position_embeddings"],
            f"{name}.embedding_length": config["hidden_size"],
            f"{name}.feed_forward_length": config["intermediate_size"],
            f"{name}.block_count": config["num_hidden_layers"],
            f"{name}.attention.head_count": config["num_attention_heads"],
            f"{name}.attention.head_count_kv": config["num_key_value_heads"],
            f"{name}.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
            f"{name}.attention.key_length": head_dim,
            f"{name}.rope.dimension_count": head_dim,
            f"{name}.rope.freq_base": float(config["rope_parameters"]["rope_theta"]),
        }
    return metadata | {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token == END_OF_TEXT else 1 for token in tokens],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "tokenizer.ggml.bos_token_id": len(tokens) - 1,
        "tokenizer.ggml.eos_token_id": len(tokens) - 1,
    }


def write_gguf(path: Path, metadata: dict[str, Any], tensors: dict[str, tuple[np.ndarray, str]]) -> None:
    """Write a file with the library's own writer. tensors: by name, the values and the type to store them in."""
    writer = gguf.GGUFWriter(path, metadata["general.architecture"])
    for key, value in metadata.items():
        if key == "general.architecture" or value is None:
            continue
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_uint32(key, value)
    for name, (values, quantisation) in tensors.items():
        kind = gguf.GGMLQuantizationType[quantisation]
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# Byte by byte


def text(value: str | bytes, length: int | None = None) -> bytes:
    """A text of GGUF; it says that it has `length` bytes, if given."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def key(name: str, kind: int, value: bytes) -> bytes:
    """A key of the metadata with its value."""
    return text(name) + struct.pack("<I", kind) + value


def array(kind: int, elements: Iterable[bytes], count: int | None = None) -> bytes:
    """The value of an array; it says that it has `count` elements, if given."""
    elements = list(elements)
    return struct.pack("<IQ", kind, len(elements) if count is None else count) + b"".join(elements)


def tensor(name: str = "output_norm.weight", shape: Iterable[int] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    """An entry of the table of tensors."""
    shape = list(shape)
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf_bytes(
    keys: Iterable[bytes] = (),
    tensors: Iterable[bytes] = (),
    values: bytes = bytes(128),
    version: int = 3,
    n_keys: int | None = None,
    n_tensors: int | None = None,
    alignment: int = 32,
) -> bytes:
    """A whole file; its header says other counts than it has, if they are given."""
    keys, tensors = list(keys), list(tensors)
    counts = (len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    header = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)
    return header + bytes(-len(header) % alignment) + values
