"""Exported vectors in a forward pass of TransformerLens, at the hook that a file names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from svdlens.export.saedashboard import vector_set
from svdlens.models.checks import check_model_directory
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting, setting_from_names
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.svd.null_space import null_space
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile
from tiny import make_tiny

SETTINGS = {
    "gpt2": {"raw": [], "post2022": ["read_gain"], "tl_default": ["fold_ln", "center_writing_weights"]},
    "llama": {"raw": [], "tl_rmsnorm": ["read_gain", "unembed_gain"]},
    "gemma2": {"raw": [], "tl_rmsnorm": ["read_gain"]},
    "gpt_neox": {"tl_default": ["fold_ln", "center_writing_weights"]},
    "gptj": {"tl_default": ["fold_ln", "center_writing_weights"]},
    "falcon": {"post2022": ["read_gain"]},
    "gpt_neo": {"raw": []},
    "opt": {"post2022": ["read_gain"]},
    "phi": {"raw": []},
    "stablelm": {"post2022": ["read_gain"]},
    "olmo": {"raw": []},
    "olmo2": {"raw": []},
    "mistral": {"post2022": ["read_gain"]},
    "phi3": {"post2022": ["read_gain"]},
    "qwen3": {"post2022": ["read_gain"]},
    "gemma3_text": {"post2022": ["read_gain"]},
    "bert": {"raw": []},
}
LAYER, HEAD, POSITIONS = 1, 3, 12
# What the inner side of a matrix gives or takes in a forward pass, which is the same in every setting but for a
# constant: what W_V, W_Q, W_K, W_in and W_gate make of their input, what W_O and W_out are given.
INNER = {
    ("ov", "read"): "attn.hook_v", ("qk", "query"): "attn.hook_q", ("qk", "key"): "attn.hook_k",
    ("mlp_in", "read"): "mlp.in.hook_out", ("mlp_gate", "read"): "mlp.gate.hook_out",
    ("ov", "write"): "attn.hook_z", ("mlp_out", "write"): "mlp.hook_post",
}  # fmt: skip


def exported(
    svd: dict[str, torch.Tensor], matrix: str, side: str, setting: Setting, architecture: str
) -> tuple[str, np.ndarray]:
    """The hook that the file names, and its vectors of sign +1."""
    head = HEAD if MATRIX_KINDS[matrix].per_head else None
    vectors = svd[MATRIX_KINDS[matrix].sides[side].array][LAYER].numpy()
    vectors = vectors if head is None else vectors[head]
    rows = pd.DataFrame({"index": range(len(vectors)), "sign": 1, "label": None, "null_space": False})
    place = {"matrix": matrix, "side": side, "layer": LAYER, "head": head}
    shared_norm = ARCHITECTURES[architecture].shared_norm
    made = vector_set(rows, vectors, model="tiny", setting=setting, facts={}, shared_norm=shared_norm, **place)
    return made["config"]["hook_name"], np.array(made["vectors"])


def changes(activation: torch.Tensor) -> np.ndarray:
    """[positions, size], less the mean over positions, with which all constants go: biases of norms and weights."""
    rows = activation.detach().double().reshape(POSITIONS, -1).numpy()
    return rows - rows.mean(axis=0)


@pytest.mark.parametrize("architecture", SETTINGS)
def test_a_vector_gives_at_its_hook_what_the_matrix_reads_or_writes(architecture: str, tmp_path: Path) -> None:
    """x l_i s_i = x W r_i: left of it the activation at the hook, right of it what the layer makes of that."""
    from transformer_lens.model_bridge import TransformerBridge

    model = make_tiny(architecture, tmp_path / "tiny", LAYER + 1)
    check_model_directory(model, "tiny", architecture)
    files = {group: tmp_path / f"{group}.safetensors" for group in GROUPS}
    extract_weights(model, files)
    bridge = TransformerBridge.boot_transformers(str(model), device="cpu", dtype=torch.float32)
    ids = torch.randint(1, 300, (1, POSITIONS), generator=torch.Generator().manual_seed(0))
    _, cache = bridge.run_with_cache(ids)

    def keep_one_head(z: torch.Tensor, hook: object) -> torch.Tensor:
        return z * (torch.arange(z.shape[-2]) == HEAD)[:, None]

    def keep_written(value: torch.Tensor, hook: object) -> None:
        seen["written"] = value.clone()

    seen: dict[str, torch.Tensor] = {}
    hook_written = f"blocks.{LAYER}.{MATRIX_KINDS['ov'].sides['write'].hook}"
    hooks = [(f"blocks.{LAYER}.attn.hook_z", keep_one_head), (hook_written, keep_written)]
    bridge.run_with_hooks(ids, fwd_hooks=hooks)
    for name, switches in SETTINGS[architecture].items():
        setting = setting_from_names(name, switches)
        for (matrix, side), inner in INNER.items():
            kind = MATRIX_KINDS[matrix]
            if matrix not in ARCHITECTURES[architecture].matrices:
                continue
            weights = WeightFile(files[kind.weight_group])
            svd = decompose_layers(weights, Task(matrix, setting, None), range(LAYER + 1))
            hook, vectors = exported(svd, matrix, side, setting, architecture)
            of_matrix = (LAYER, HEAD) if kind.per_head else (LAYER,)
            left, values, right = (svd[array][of_matrix].double().numpy() for array in ("left", "values", "right"))
            live = ~null_space(values)
            parts = [part[of_matrix[1:]].numpy() for part in factors(weights, matrix, LAYER, setting)]
            within = cache[f"blocks.{LAYER}.{inner}"]
            if kind.per_head:  # heads that share keys and values come once
                heads = within.reshape(1, ids.shape[1], -1, parts[0].shape[1])
                within = heads[:, :, HEAD * heads.shape[2] // weights.length("blocks.0.attn.W_Q")]
            if side == "write":
                expected = changes(within) @ parts[-1] @ vectors.T
                found = changes(seen["written"] if matrix == "ov" else cache[hook]) @ vectors.T
            else:
                # Through the other factor of a product, the one that does not read here.
                rest = {"ov": parts[-1], "qk": parts[1] if side == "query" else parts[0].T}.get(matrix)
                made = changes(within) if rest is None else changes(within) @ rest
                expected = made @ (left if side == "key" else right).T
                found = changes(cache[hook]) @ vectors.T * values
            assert np.abs(expected).max() > 1e-2, (name, matrix, side)
            difference = np.abs(found - expected)[:, live].max()
            assert difference < 2e-5 * np.abs(expected).max(), (name, matrix, side, hook)
