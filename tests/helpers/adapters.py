"""LoRA adapters of tiny models, as PEFT saves them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from svdlens.models.adapted_modules import ADAPTED_MODULES, INPUT_FIRST
from svdlens.models.checkpoint_layouts import LAYOUTS


def make_adapter(
    directory: Path,
    base: Path,
    architecture: str,
    modules: Mapping[str, int] | None = None,
    layers: tuple[int, ...] = (0, 1),
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write a random adapter of the model in `base`, of these modules with these ranks (None: all, rank 2); return
    `directory`. `config` is put on top of adapter_config.json."""
    random = np.random.default_rng(seed)
    modules = modules or dict.fromkeys(ADAPTED_MODULES[architecture], 2)
    layout, weights = LAYOUTS[architecture], load_file(base / "model.safetensors")
    shapes = {layout.present_name(name): weight.shape for name, weight in weights.items()}
    tensors = {}
    for layer in layers:
        for module, rank in modules.items():
            path = f"{layout.layers}.{layer}.{module}"
            d_out, d_in = shapes[f"{path}.weight"][:: -1 if architecture in INPUT_FIRST else 1]
            for factor, shape in (("A", (rank, d_in)), ("B", (d_out, rank))):
                values = random.standard_normal(shape, dtype=np.float32)
                tensors[f"base_model.model.{layout.prefix}{path}.lora_{factor}.weight"] = values
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / "adapter_model.safetensors")
    ranks = {"rank_pattern": dict(modules), "lora_alpha": 4, "r": 2}
    written = {"peft_type": "LORA", "base_model_name_or_path": "somebody/base", **ranks, **config}
    (directory / "adapter_config.json").write_text(json.dumps(written))
    return directory
