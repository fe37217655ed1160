"""Models of random weights with the sizes and the spectra of trained ones, for full_size.py.

What a sweep costs depends on sizes, on how singular values fall (routes that a bound decides on, near-degenerate
groups) and on how the scores of tokens are spread (candidates of a read-out). So singular values follow a law that
trained models follow (`LAWS`), the vectors are random, and embeddings have lengths that depend on the frequency of the
token. What the lists say means nothing.

    s_i = s_0 (1 + i)^-a exp(-b i / rank)

a and b are least squares fits to the geometric mean of s_i / s_0 over matrices, on a logarithmic scale: of OV to the 24
heads of two layers of gpt2-small (largest error 6 %, root mean square), of MLP-in and MLP-out to the 30 layers of
SmolLM2-135M (6 % and 9 %), since MLPs of GPT-2 were not at hand. s_0 are medians of the same.
"""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from cases import SHAPES, Shape
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from svdlens.models.safetensors_files import INDEX

LAWS = {"ov": (30.0, 0.26, 0.09), "mlp_in": (16.0, 0.06, 1.22), "mlp_out": (24.0, 0.14, 1.08)}
"""s_0, a and b."""
POSITIONS = 1024
END_OF_TEXT = "<|endoftext|>"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")


@dataclass(frozen=True)
class ModelShape(Shape):
    """Sizes of a model to build; `d_mlp` is four times d_model where it is 0."""

    architecture: str = "gpt2"
    d_mlp: int = 0

    @property
    def mlp(self) -> int:
        return self.d_mlp or 4 * self.d_model

    @property
    def n_parameters(self) -> int:
        llama = self.architecture == "llama"
        layer = 4 * self.d_model * self.n_heads * self.d_head + (3 if llama else 2) * self.d_model * self.mlp
        return self.n_layers * layer + (2 if llama else 1) * self.d_vocab * self.d_model


MODELS = {
    **{name: ModelShape(**vars(shape)) for name, shape in SHAPES.items()},
    "gpt2-xl": ModelShape(48, 25, 1600),
    "llama-7b-2layers": ModelShape(2, 32, 4096, 128, 32000, "llama", 11008),
    "tiny": ModelShape(2, 4, 64, 16, 600),
}


def build_model(name: str, directory: Path, tokenizer: Path | None) -> None:
    """Write the model of this name of MODELS into `directory` as Hugging Face has it: GPT-2 in float32, Llama in
    bfloat16, a file for each layer. What is there already stays: an interrupted call goes on where it was.

    `tokenizer` is a directory with that of GPT-2; where it has another size than the model, or is None, one is made.
    """
    shape = MODELS[name]
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / INDEX).exists():
        return
    files: dict[str, str] = {}
    dtype = torch.bfloat16 if shape.architecture == "llama" else torch.float32
    parts = {"llama": llama_part, "gpt2": gpt2_part}
    for part in range(shape.n_layers + 1):
        file = f"model-{part + 1:05}-of-{shape.n_layers + 1:05}.safetensors"
        names = directory / f"{file}.json"
        if not names.exists():
            tensors = dict(parts[shape.architecture](shape, part))
            save_file({name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}, directory / file)
            names.write_text(json.dumps(list(tensors)), "utf-8")
        files |= dict.fromkeys(json.loads(names.read_text("utf-8")), file)
    save_tokenizer(directory, shape.d_vocab, tokenizer)
    (directory / "config.json").write_text(json.dumps(CONFIGS[shape.architecture](shape), indent=2), "utf-8")
    for names in directory.glob("*.safetensors.json"):
        names.unlink()
    (directory / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}, indent=2), "utf-8")


# --- weights


def law(kind: str, rank: int) -> Tensor:
    """The singular values of a matrix, float64 [rank]."""
    largest, power, decay = LAWS[kind]
    index = torch.arange(rank, dtype=torch.float64)
    return largest * (1 + index) ** -power * torch.exp(-decay * index / rank)


def orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Random orthonormal columns, float32 [rows, columns]."""
    return torch.linalg.qr(torch.randn(rows, columns, generator=generator))[0]


def matrix(kind: str, rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random matrix with the spectrum of its kind, float32 [rows, columns], as x @ W takes it."""
    rank = min(rows, columns)
    left, right = orthonormal(rows, rank, generator), orthonormal(columns, rank, generator)
    return (left * law(kind, rank).float()) @ right.T


def head_factors(d_model: int, d_head: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """W_V [d_model, d_head] and W_O [d_head, d_model] of a head, whose product has the spectrum of OV."""
    root = law("ov", d_head).sqrt().float()
    turn = orthonormal(d_head, d_head, generator)
    W_V = (orthonormal(d_model, d_head, generator) * root) @ turn
    return W_V, turn.T @ (orthonormal(d_model, d_head, generator) * root).T


def attention(shape: ModelShape, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_Q, W_K, W_V [d_model, heads and their dimensions] and W_O, its transpose in shape. QK is made as OV."""
    heads = [
        (*head_factors(shape.d_model, shape.d_head, generator), *head_factors(shape.d_model, shape.d_head, generator))
        for _ in range(shape.n_heads)
    ]
    W_V, W_O, W_Q, W_K = (list(part) for part in zip(*heads, strict=True))
    return torch.cat(W_Q, 1), torch.cat(W_K).T, torch.cat(W_V, 1), torch.cat(W_O)


def embedding(shape: ModelShape, generator: torch.Generator) -> Tensor:
    """Rows as in trained models: they share a mean, lie along few dimensions more than along others, and those of
    frequent tokens, which byte-pair encoding numbers first, are shorter. float32 [d_vocab, d_model]."""
    spread = (1 + torch.arange(shape.d_model)) ** -0.25
    rows = torch.randn(shape.d_vocab, shape.d_model, generator=generator) * spread
    rows = torch.nn.functional.normalize(rows) + 0.4 * torch.nn.functional.normalize(rows[0], dim=0)
    lengths = 2.7 + 1.3 * torch.log1p(torch.arange(shape.d_vocab)) / math.log(shape.d_vocab)
    lengths += 0.2 * torch.randn(shape.d_vocab, generator=generator)
    return torch.nn.functional.normalize(rows) * lengths[:, None]


def gain(size: int, generator: torch.Generator) -> Tensor:
    return 0.42 + 0.06 * torch.randn(size, generator=generator)  # as in gpt2-small


def bias(size: int, generator: torch.Generator) -> Tensor:
    return 0.1 * torch.randn(size, generator=generator)


def gpt2_part(shape: ModelShape, part: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file: of the layer `part`, or after the last one embeddings and final norm."""
    generator, d_model = torch.Generator().manual_seed(part), shape.d_model
    if part == shape.n_layers:
        yield "wte.weight", embedding(shape, generator)
        yield "wpe.weight", 0.1 * torch.randn(POSITIONS, d_model, generator=generator)
        yield "ln_f.weight", gain(d_model, generator)
        yield "ln_f.bias", bias(d_model, generator)
        return
    W_Q, W_K, W_V, W_O = attention(shape, generator)
    weights = {
        "attn.c_attn": torch.cat([W_Q, W_K, W_V], 1),
        "attn.c_proj": W_O,
        "mlp.c_fc": matrix("mlp_in", d_model, shape.mlp, generator),
        "mlp.c_proj": matrix("mlp_out", shape.mlp, d_model, generator),
        "ln_1": gain(d_model, generator),
        "ln_2": gain(d_model, generator),
    }
    for name, weight in weights.items():
        yield f"h.{part}.{name}.weight", weight
        yield f"h.{part}.{name}.bias", bias(weight.shape[-1], generator)


def llama_part(shape: ModelShape, part: int) -> Iterator[tuple[str, Tensor]]:
    """The same of a Llama model, whose matrices are stored as their transposes."""
    generator, d_model = torch.Generator().manual_seed(part), shape.d_model
    if part == shape.n_layers:
        yield "model.embed_tokens.weight", embedding(shape, generator)
        yield "lm_head.weight", embedding(shape, generator)
        yield "model.norm.weight", gain(d_model, generator)
        return
    names = [f"self_attn.{letter}_proj" for letter in "qkvo"]
    weights = dict(zip(names, attention(shape, generator), strict=True))
    for name in ("gate_proj", "up_proj"):
        weights[f"mlp.{name}"] = matrix("mlp_in", d_model, shape.mlp, generator)
    weights["mlp.down_proj"] = matrix("mlp_out", shape.mlp, d_model, generator)
    for name, weight in weights.items():
        yield f"model.layers.{part}.{name}.weight", weight.T
    for name in ("input_layernorm", "post_attention_layernorm"):
        yield f"model.layers.{part}.{name}.weight", gain(d_model, generator)


# --- configuration and tokenizer


def gpt2_config(shape: ModelShape) -> Mapping[str, object]:
    return {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "layer_norm_epsilon": 1e-5,
        "model_type": "gpt2",
        "n_embd": shape.d_model,
        "n_head": shape.n_heads,
        "n_layer": shape.n_layers,
        "n_positions": POSITIONS,
        "vocab_size": shape.d_vocab,
    }


def llama_config(shape: ModelShape) -> Mapping[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "hidden_act": "silu",
        "hidden_size": shape.d_model,
        "intermediate_size": shape.mlp,
        "max_position_embeddings": POSITIONS,
        "model_type": "llama",
        "num_attention_heads": shape.n_heads,
        "num_hidden_layers": shape.n_layers,
        "num_key_value_heads": shape.n_heads,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": shape.d_vocab,
    }


CONFIGS = {"gpt2": gpt2_config, "llama": llama_config}


def save_tokenizer(directory: Path, size: int, source: Path | None) -> None:
    """That of GPT-2 where `source` has it and it has `size` tokens; else a byte-level one made for the purpose."""
    if source is not None and Tokenizer.from_file(str(source / "tokenizer.json")).get_vocab_size() == size:
        for name in TOKENIZER_FILES:
            if (source / name).exists():
                shutil.copyfile(source / name, directory / name)
        return
    made_tokenizer(size).save(str(directory / "tokenizer.json"))
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": POSITIONS, **special}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), "utf-8")


def made_tokenizer(size: int) -> Tokenizer:
    """Byte-pair encoding of the words of WordNet, with and without a space before them; at most `size` tokens."""
    import pandas as pd

    lexicon = Path(__file__).parents[1] / "resources/lexicon/words.parquet"
    words = pd.read_parquet(lexicon, columns=["word"])["word"].tolist()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size - 1, min_frequency=1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator((f"{space}{word}" for word in words for space in (" ", "")), trainer)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True)])
    return tokenizer
