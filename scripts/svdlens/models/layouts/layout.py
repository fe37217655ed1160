"""What a layout of a checkpoint says, and what follows from it for one model."""

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
    none of a layer, too. Empty for a model that none can be made of, and no_modules says why, after its name.
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
    no_modules: str = "predicts no next token"
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


def dimension(words: str, config: Mapping[str, Any]) -> int:
    """The value of a sum of products and quotients such as "2 n_embd + n_embd / n_head", in which words are keys of
    config.json; quotients are rounded down."""
    total = 0
    for summand in words.split(" + "):
        product, _, divisor = summand.partition(" / ")
        value = math.prod(int(word) if word.isdigit() else config[word] for word in product.split())
        total += value // config[divisor] if divisor else value
    return total


def dimension_keys(layout: CheckpointLayout) -> list[str]:
    """The keys of config.json that are numbers: n_layer, n_heads and the others of `keys`, and those of all shapes."""
    shapes = [*layout.tensors.values(), *layout.layer_tensors.values()]
    words = [word for shape in shapes for entry in shape for word in re.findall(r"[a-z_]+", entry)]
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
