"""A fetched model for forward passes: as a module of transformers, whose modules are found by TransformerLens' names,
and as a TransformerBridge."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svdlens.errors import SvdlensError
from svdlens.models.byte_order_marks import without_marks
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.safetensors_files import read_json
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.spec.architectures import ARCHITECTURES


def load_model(directory: Path, model: str) -> nn.Module:
    """The model in `directory`, which fetch_model has checked: float32, on the CPU, for evaluation, without gradients.

    model: its name, for messages. Raises SvdlensError for a model that no forward pass can be made of
    (CheckpointLayout.no_modules).
    """
    # Slow to import, and needed by this function alone.
    from transformers import AutoModelForCausalLM

    architecture = read_json(directory / "config.json", f"the model in {directory}")["model_type"]
    if not LAYOUTS[architecture].modules:
        able = ", ".join(name for name, layout in LAYOUTS.items() if layout.modules)
        raise SvdlensError(
            f"{model} ({architecture}) {LAYOUTS[architecture].no_modules}, so none tells what its directions do. "
            f"Choose a model of one of the architectures {able}."
        )
    with without_marks(directory) as readable:
        loaded = AutoModelForCausalLM.from_pretrained(readable, dtype=torch.float32, local_files_only=True)
    prepared: nn.Module = loaded.eval().requires_grad_(False)
    return prepared


def load_fetched_model(directory: Path, model: str, source: Mapping[str, Any]) -> nn.Module:
    """load_model of what fetch_model has put into `directory` from `source`, once what is gone there is fetched again.

    Raises SvdlensError as load_model and restore_lost_files do.
    """
    restore_lost_files(directory, "fetch_model", source)
    return load_model(directory, model)


def load_bridge(directory: Path, transformers_model: nn.Module | None = None) -> Any:
    """The model in `directory` as a TransformerBridge without any weight processing, float32, on the CPU.

    transformers_model: what the bridge is made of, if not of the weights in `directory`; it becomes a part of it.
    """
    # Slow to import, and needed by this function alone.
    from transformer_lens.model_bridge import TransformerBridge

    with without_marks(directory) as readable:
        return TransformerBridge.boot_transformers(
            str(readable), device="cpu", dtype=torch.float32, hf_model=transformers_model
        )


def model_type(model: nn.Module) -> str:
    """Its key in LAYOUTS and ARCHITECTURES."""
    config: Any = model.config
    return str(config.model_type)


def count_of(model: nn.Module, name: str) -> int:
    """n_layer, n_heads or another key of CheckpointLayout.keys, as the model's configuration has it."""
    return int(getattr(model.config, LAYOUTS[model_type(model)].keys[name]))


def module_of(model: nn.Module, name: str, layer: int | None = None) -> nn.Module:
    """The module of a layer called `name` in CheckpointLayout.modules, or, without a layer, that of the model.

    Raises KeyError for a name that the architecture does not have, AttributeError for a layer.
    """
    layout = LAYOUTS[model_type(model)]
    in_layer = "" if layer is None else f"{layout.layers}.{layer}."
    return model.get_submodule(f"{layout.prefix}{in_layer}{layout.modules[name]}")


def weight_of(module: nn.Module) -> Float[Tensor, "d_in d_out"]:
    """A view of the weight of a linear module in the convention x @ W: GPT-2 has it so, others transposed."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.T if isinstance(module, nn.Linear) else weight


def gain_and_bias(model: nn.Module, name: str, layer: int) -> tuple[Tensor, Tensor | None]:
    """What the norm `name` ("ln1", "ln2") of a layer multiplies by and adds, [d_model] each, float64; RMSNorm adds
    nothing."""
    norm: Any = module_of(model, name, layer)
    gain: Tensor = ARCHITECTURES[model_type(model)].gain_offset + norm.weight.double()
    bias: Tensor | None = getattr(norm, "bias", None)
    return gain, None if bias is None else bias.double()
