"""Raw weights of a model in TransformerLens' shapes, taken once and kept as three safetensors files.

    attention    blocks.L.attn.W_Q [n_heads, d_model, d_head], W_K, W_V [n_key_value_heads, d_model, d_head],
                 W_O [n_heads, d_head, d_model], blocks.L.ln1.w [d_model]
    mlp          blocks.L.mlp.W_in, W_gate (where there is one) [d_model, d_mlp], W_out [d_mlp, d_model], blocks.L.ln2.w
    unembed      unembed.W_U [d_model, d_vocab], embed.W_E [d_vocab, d_model], ln_final.w

ln1, ln2 and ln_final are the gains by which the norm before attention, MLP and unembedding multiplies: 1 + w where the
checkpoint has w for it. A model whose norms stand elsewhere has none of them, a model without unembedding no W_U.
d_vocab counts tokens: rows that only pad the vocabulary are left out. So are biases, on which no singular vector
depends.
"""

import json
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from svdlens.architectures import ARCHITECTURES, Architecture
from svdlens.errors import SvdlensError, did_you_mean
from svdlens.files import atomic_path
from svdlens.processing import process_reading, process_unembed, process_writing
from svdlens.settings import HEAD_MATRICES, READOUT_SWITCHES, Setting
from svdlens.vocabulary import read_vocabulary

GROUPS = {
    "attention": (".attn.W_Q", ".attn.W_K", ".attn.W_V", ".attn.W_O", ".ln1.w"),
    "mlp": (".mlp.W_in", ".mlp.W_gate", ".mlp.W_out", ".ln2.w"),
    "unembed": ("unembed.W_U", "embed.W_E", "ln_final.w"),
}
GAINS = (".ln1.w", ".ln2.w", "ln_final.w")
MLP_READING = {"mlp_in": "mlp.W_in", "mlp_gate": "mlp.W_gate"}


def extract_weights(model_directory: Path, outputs: dict[str, Path]) -> None:
    """Load a checked model through TransformerLens and write one file for each of GROUPS, float32.

    The bridge of TransformerLens 4 is asked once, without any weight processing.
    """
    # Slow to import, and needed by this function alone.
    from transformer_lens.model_bridge import TransformerBridge

    config = json.loads((model_directory / "config.json").read_text(encoding="utf-8"))
    architecture = ARCHITECTURES[config["model_type"]]
    n_tokens = len(read_vocabulary(model_directory))
    bridge = TransformerBridge.boot_transformers(str(model_directory), device="cpu", dtype=torch.float32)
    n_heads = bridge.cfg.n_heads
    heads_each = n_heads // (bridge.cfg.n_key_value_heads or n_heads)
    parameters = bridge.tl_parameters()
    for group, endings in GROUPS.items():
        # One group at a time, and out of the dictionary: many of them are copies, and all at once would take almost
        # three times the model's size.
        names = [name for name in parameters if name.endswith(endings) and has_weight(name, architecture)]
        tensors = {
            name: stored_weight(name, parameters.pop(name).detach(), architecture, heads_each, n_tokens)
            for name in names
        }
        save_tensors(outputs[group], tensors)
        del tensors


def has_weight(name: str, architecture: Architecture) -> bool:
    """False for what the bridge has under this name and the model does not: it fills in what a model lacks."""
    if name.endswith(GAINS):
        return architecture.pre_norm
    return name != "unembed.W_U" or "W_U" in architecture.readouts


def stored_weight(name: str, value: Tensor, architecture: Architecture, heads_each: int, n_tokens: int) -> Tensor:
    """A parameter of the bridge as the weight files have it, contiguous.

    heads_each: the number of query heads that share a key and value head. n_tokens: the rows that are not padding.
    """
    if name.endswith((".W_K", ".W_V")):
        value = value[::heads_each]  # the bridge repeats them, one for each query head
    elif name.endswith(GAINS) and architecture.gain_offset:
        value = architecture.gain_offset + value
    elif name == "unembed.W_U":
        value = value[:, :n_tokens]
    elif name == "embed.W_E":
        value = value[:n_tokens]
    return value.contiguous()


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


def reading_weight(
    weights: WeightFile, layer: int, name: str, norm: str, setting: Setting
) -> Float[Tensor, "... d_model d_inner"]:
    """blocks.{layer}.{name} as the setting wants it; `norm` is ln1 or ln2, which not every model has. float64."""
    gain = weights[f"blocks.{layer}.{norm}.w"] if setting.read_gain else None
    return process_reading(weights[f"blocks.{layer}.{name}"], gain, setting)


def factors(weights: WeightFile, matrix: str, layer: int, setting: Setting) -> list[Tensor]:
    """The processed factors whose product, in the convention x @ W, is the matrix (for ov and qk, one per head).

    ov: W_V [n_heads, d_model, d_head], W_O [n_heads, d_head, d_model]. qk: W_Q, W_K^T likewise.
    mlp_in, mlp_gate: W_in, W_gate [d_model, d_mlp]. mlp_out: W_out [d_mlp, d_model]. float64.
    Key and value heads that several query heads share are repeated for each of them.
    """
    if matrix == "ov":
        W_V = reading_weight(weights, layer, "attn.W_V", "ln1", setting)
        W_O = process_writing(weights[f"blocks.{layer}.attn.W_O"], setting)
        return [repeat_heads(W_V, len(W_O)), W_O]
    if matrix == "qk":
        W_Q = reading_weight(weights, layer, "attn.W_Q", "ln1", setting)
        W_K = reading_weight(weights, layer, "attn.W_K", "ln1", setting)
        return [W_Q, repeat_heads(W_K, len(W_Q)).mT]
    if matrix in MLP_READING:
        return [reading_weight(weights, layer, MLP_READING[matrix], "ln2", setting)]
    return [process_writing(weights[f"blocks.{layer}.mlp.W_out"], setting)]


def repeat_heads(
    weight: Float[Tensor, "n_key_value_heads d_model d_head"], n_heads: int
) -> Float[Tensor, "n_heads d_model d_head"]:
    """Query head h uses key and value head h // (n_heads / n_key_value_heads) (Ainslie et al. 2023, GQA)."""
    return weight.repeat_interleave(n_heads // len(weight), dim=0)


def unembed(weights: WeightFile, setting: Setting) -> Float[Tensor, "d_model d_vocab"]:
    """The processed W_U, float64."""
    gain = weights["ln_final.w"] if setting.unembed_gain else None
    return process_unembed(weights["unembed.W_U"], gain, setting)


def embedding(weights: WeightFile, setting: Setting) -> Float[Tensor, "d_vocab d_model"]:
    """The processed W_E, float64. TransformerLens counts it among the writing weights."""
    return process_writing(weights["embed.W_E"], setting)


def readout_matrix(weights: WeightFile, setting: Setting, readout: str) -> Float[Tensor, "d_model d_vocab"]:
    """What turns directions (rows) into scores of tokens, as the setting wants it, float64.

    W_U; W_E transposed; or pinv_W_E, whose scores are the combination of embeddings that comes closest to the
    direction. Raises SvdlensError for another `readout`.
    """
    if readout == "W_U":
        return unembed(weights, setting)
    if readout == "W_E":
        return embedding(weights, setting).T
    if readout == "pinv_W_E":
        W_E = embedding(weights, setting)
        # pinv(A) = pinv(A^T A) A^T. What a centred W_E has along the ones vector is rounding, and is cut off.
        return torch.linalg.pinv(W_E.T @ W_E, rtol=1e-12, hermitian=True) @ W_E.T
    raise SvdlensError(
        f"{readout!r} is no read-out; use {' or '.join(READOUT_SWITCHES)}.{did_you_mean(readout, READOUT_SWITCHES)}"
    )


def reading_gains(weights: WeightFile, matrix: str) -> Float[Tensor, "n_layers d_model"] | None:
    """The gain before each layer's matrix, None in a model that has no norm there. float64."""
    norm = "ln1" if matrix in HEAD_MATRICES else "ln2"
    if f"blocks.0.{norm}.w" not in weights.names:
        return None
    return torch.stack([weights[f"blocks.{layer}.{norm}.w"] for layer in range(weights.layers)])


def processed_weights(
    attention: WeightFile, mlp: WeightFile, unembedding: WeightFile, setting: Setting
) -> dict[str, Tensor]:
    """Every matrix of the model as the setting wants it, float32, under TransformerLens' names."""
    tensors = {"embed.W_E": embedding(unembedding, setting)}
    if "unembed.W_U" in unembedding.names:
        tensors["unembed.W_U"] = unembed(unembedding, setting)
    for layer in range(attention.layers):
        block = f"blocks.{layer}"
        for name in ("attn.W_Q", "attn.W_K", "attn.W_V"):
            tensors[f"{block}.{name}"] = reading_weight(attention, layer, name, "ln1", setting)
        tensors[f"{block}.attn.W_O"] = process_writing(attention[f"{block}.attn.W_O"], setting)
        for name in MLP_READING.values():
            if f"{block}.{name}" in mlp.names:
                tensors[f"{block}.{name}"] = reading_weight(mlp, layer, name, "ln2", setting)
        tensors[f"{block}.mlp.W_out"] = process_writing(mlp[f"{block}.mlp.W_out"], setting)
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}
