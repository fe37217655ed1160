"""Raw weights of a model in TransformerLens' shapes, taken once and kept as three safetensors files.

    attention    blocks.L.attn.W_Q, W_K, W_V [n_heads, d_model, d_head], W_O [n_heads, d_head, d_model], blocks.L.ln1.w
    mlp          blocks.L.mlp.W_in [d_model, d_mlp], W_out [d_mlp, d_model], blocks.L.ln2.w
    unembed      unembed.W_U [d_model, d_vocab], embed.W_E [d_vocab, d_model], ln_final.w

Biases are left out: no singular vector depends on them.
"""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from svdlens.files import atomic_path
from svdlens.processing import process_reading, process_unembed, process_writing
from svdlens.settings import Setting

GROUPS = {
    "attention": (".attn.W_Q", ".attn.W_K", ".attn.W_V", ".attn.W_O", ".ln1.w"),
    "mlp": (".mlp.W_in", ".mlp.W_out", ".ln2.w"),
    "unembed": ("unembed.W_U", "embed.W_E", "ln_final.w"),
}


def extract_weights(model_directory: Path, outputs: dict[str, Path]) -> None:
    """Load a model through TransformerLens and write one file for each of GROUPS, float32.

    The bridge of TransformerLens 4 is asked once, without any weight processing.
    """
    # Slow to import, and needed by this function alone.
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(model_directory), device="cpu", dtype=torch.float32)
    parameters = bridge.tl_parameters()
    for group, endings in GROUPS.items():
        # One group at a time: copies of all tensors at once would take almost three times the model's size.
        tensors = {name: value.detach() for name, value in parameters.items() if name.endswith(endings)}
        save_tensors(outputs[group], {name: value.clone().contiguous() for name, value in tensors.items()})


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


class WeightFile:
    """Tensors of one weight file, read one at a time and upcast to float64."""

    def __init__(self, path: Path) -> None:
        self.file = safe_open(path, framework="pt")
        self.names = set(self.file.keys())

    def __getitem__(self, name: str) -> Tensor:
        return self.file.get_tensor(name).double()

    @property
    def layers(self) -> int:
        return 1 + max(int(name.split(".")[1]) for name in self.names if name.startswith("blocks."))


def factors(weights: WeightFile, matrix: str, layer: int, setting: Setting) -> list[Tensor]:
    """The processed factors whose product, in the convention x @ W, is the matrix (for ov and qk, one per head).

    ov: W_V [n_heads, d_model, d_head], W_O [n_heads, d_head, d_model]. qk: W_Q, W_K^T likewise.
    mlp_in: W_in [d_model, d_mlp]. mlp_out: W_out [d_mlp, d_model]. float64.
    """
    block = f"blocks.{layer}"
    if matrix == "ov":
        gain = weights[f"{block}.ln1.w"]
        W_V = process_reading(weights[f"{block}.attn.W_V"], gain, setting)
        return [W_V, process_writing(weights[f"{block}.attn.W_O"], setting)]
    if matrix == "qk":
        gain = weights[f"{block}.ln1.w"]
        W_Q = process_reading(weights[f"{block}.attn.W_Q"], gain, setting)
        return [W_Q, process_reading(weights[f"{block}.attn.W_K"], gain, setting).mT]
    if matrix == "mlp_in":
        return [process_reading(weights[f"{block}.mlp.W_in"], weights[f"{block}.ln2.w"], setting)]
    return [process_writing(weights[f"{block}.mlp.W_out"], setting)]


def unembed(weights: WeightFile, setting: Setting) -> Tensor:
    """The processed W_U [d_model, d_vocab], float64."""
    return process_unembed(weights["unembed.W_U"], weights["ln_final.w"], setting)


def processed_weights(
    attention: WeightFile, mlp: WeightFile, unembedding: WeightFile, setting: Setting
) -> dict[str, Tensor]:
    """Every matrix of the model as the setting wants it, float32, under TransformerLens' names."""
    tensors = {"unembed.W_U": unembed(unembedding, setting), "embed.W_E": unembedding["embed.W_E"]}
    if setting.write_center:  # TransformerLens counts the embedding among the writing weights
        tensors["embed.W_E"] = process_writing(tensors["embed.W_E"], setting)
    for layer in range(attention.layers):
        block = f"blocks.{layer}"
        tensors[f"{block}.attn.W_V"], tensors[f"{block}.attn.W_O"] = factors(attention, "ov", layer, setting)
        W_Q, W_K_T = factors(attention, "qk", layer, setting)
        tensors[f"{block}.attn.W_Q"], tensors[f"{block}.attn.W_K"] = W_Q, W_K_T.mT
        [tensors[f"{block}.mlp.W_in"]] = factors(mlp, "mlp_in", layer, setting)
        [tensors[f"{block}.mlp.W_out"]] = factors(mlp, "mlp_out", layer, setting)
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}
