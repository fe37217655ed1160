"""The tables of tensors are what transformers itself makes of a config.json, built without weights."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import complete_config
from svdlens.models.layouts.layout import dimension, dimension_keys, required_tensors
from svdlens.spec.architectures import ARCHITECTURES
from tiny import TINY, make_tiny

# What the state of a model calls otherwise than its files: from_pretrained and save_pretrained rename it.
RENAMED = {"gpt_neox": {"lm_head.weight": "embed_out.weight"}}

# The key of an MLP's size where it is not intermediate_size.
MLP_KEYS = {"gpt2": "n_inner", "gptj": "n_inner", "opt": "ffn_dim", "falcon": "ffn_hidden_size"}
SIZES = {
    "n_layer": st.integers(1, 3),
    "n_heads": st.sampled_from([2, 4, 6]),
    "hidden_size / n_heads": st.sampled_from([2, 6, 10]),
    "d_mlp": st.integers(1, 90),
    "d_vocab": st.integers(4, 400),
    "positions": st.integers(1, 70),
}


def tensors_of_transformers(architecture: str, config: dict[str, object]) -> dict[str, list[int]]:
    """Names, as in its files, and shapes of a model without numbers, with W_U even where it is tied."""
    model_class = getattr(transformers, ARCHITECTURES[architecture].model_class)
    with torch.device("meta"):
        model = model_class(model_class.config_class(**config))
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, name_in_files in RENAMED.get(architecture, {}).items():
        shapes[name_in_files] = shapes.pop(name)
    return {name.removeprefix(LAYOUTS[architecture].prefix): shape for name, shape in shapes.items()}


def tensors_of_the_table(architecture: str, config: dict[str, object]) -> dict[str, list[int]]:
    layout = LAYOUTS[architecture]
    complete = complete_config(config, architecture, "test")
    shapes = required_tensors(layout, complete, complete[layout.keys["n_layer"]])
    shapes |= {**layout.optional, **layout.unembedding}
    return {name: [dimension(words, complete) for words in shape] for name, shape in shapes.items()}


@st.composite
def configs(draw: st.DrawFn, architecture: str) -> dict[str, object]:
    """A config.json of any sizes; what it may lack is sometimes null or not there."""
    sizes = {name: draw(strategy) for name, strategy in SIZES.items()}
    d_model = sizes["n_heads"] * sizes["hidden_size / n_heads"]
    layout = LAYOUTS[architecture]
    config = {layout.keys["n_layer"]: sizes["n_layer"], layout.keys["d_model"]: d_model}
    config |= {
        layout.keys["n_heads"]: sizes["n_heads"],
        MLP_KEYS.get(architecture, "intermediate_size"): sizes["d_mlp"],
    }
    if architecture in MLP_KEYS and MLP_KEYS[architecture] in layout.derived and draw(st.booleans()):
        config[MLP_KEYS[architecture]] = None
    config["n_positions" if architecture in ("gpt2", "gptj") else "max_position_embeddings"] = sizes["positions"]
    if architecture == "gpt_neo":
        config["attention_types"] = [[["global"], sizes["n_layer"]]]
    if architecture == "opt":
        config["word_embed_proj_dim"] = d_model
    config |= {"vocab_size": sizes["d_vocab"], "pad_token_id": 0}
    if architecture == "bert":
        config["type_vocab_size"] = draw(st.integers(1, 3))
    if "n_key_value_heads" in layout.keys:
        config["num_key_value_heads"] = draw(st.sampled_from([1, 2, sizes["n_heads"]]))
        if "num_key_value_heads" in layout.derived and draw(st.booleans()):
            config["num_key_value_heads"] = None
    # qwen2 has no head_dim of its own, but its model takes one.
    if "head_dim" in layout.defaults and draw(st.booleans()):
        config["head_dim"] = draw(st.sampled_from([2, 4, 14]))
    free = [key for key in (*layout.biases, "tie_word_embeddings") if key not in layout.fixed]
    return config | {key: draw(st.booleans()) for key in free if draw(st.booleans())}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_tensors_are_those_of_transformers(architecture: str, data: st.DataObject) -> None:
    config = data.draw(configs(architecture))
    assert tensors_of_the_table(architecture, config) == tensors_of_transformers(architecture, config)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("models")
    return {name: make_tiny(name, directory / name) for name in ARCHITECTURES}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_defaults_are_those_of_transformers(architecture: str, models: dict[str, Path]) -> None:
    """A config.json without a key, or with null, means what transformers makes of it."""
    layout = LAYOUTS[architecture]
    config_class = getattr(transformers, ARCHITECTURES[architecture].model_class).config_class
    assert config_class.model_type == architecture
    full = json.loads((models[architecture] / "config.json").read_text())
    for key in set(dimension_keys(layout)) - set(layout.derived):
        assert layout.defaults[key] == getattr(config_class(), key)
    for key in set(layout.defaults) - set(dimension_keys(layout)) | set(layout.derived):
        default = layout.defaults[key]
        without = {name: value for name, value in full.items() if name not in (key, "model_type")}
        theirs = getattr(config_class(**without), key, None)  # qwen2 takes a head_dim and has none
        assert theirs == default or (default is None and key in layout.derived)
    for key in layout.derived:
        theirs = getattr(config_class(**{**full, key: None}), key)
        if theirs is not None:  # else it is worked out in the model
            product = {"num_attention_heads": 4, "hidden_size / num_attention_heads": 4, "4 hidden_size": 64}
            assert theirs == product[layout.derived[key]]


def test_every_architecture_has_a_table_and_a_tiny_model() -> None:
    assert list(LAYOUTS) == list(ARCHITECTURES) == list(TINY)
    for name, layout in LAYOUTS.items():
        assert set(layout.fixed) <= set(layout.defaults)
        assert set(layout.biases) <= set(layout.defaults)
        assert ("W_U" in ARCHITECTURES[name].readouts) == bool(layout.unembedding)
        assert ARCHITECTURES[name].gated == any("gate" in tensor for tensor in layout.layer_tensors)


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_aliases_are_those_of_transformers(architecture: str) -> None:
    config = getattr(transformers, ARCHITECTURES[architecture].model_class).config_class
    assert dict(LAYOUTS[architecture].aliases) == config.attribute_map
