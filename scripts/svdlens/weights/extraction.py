"""Raw weights of a model in TransformerLens' shapes, taken once and kept as safetensors files.

    attention    blocks.L.attn.W_Q [n_heads, d_model, d_head], W_K, W_V [n_key_value_heads, d_model, d_head],
                 W_O [n_heads, d_head, d_model], blocks.L.ln1.w [d_model]
    mlp          blocks.L.mlp.W_in, W_gate (where there is one) [d_model, d_mlp], W_out [d_mlp, d_model], blocks.L.ln2.w
    unembed      unembed.W_U [d_model, d_vocab], embed.W_E [d_vocab, d_model], ln_final.w
    gains        blocks.L.ln1.w, blocks.L.ln2.w, ln_final.w once more, for jobs that need no matrices
    steps        of what the weights in attention and mlp were rounded to multiples, under the same names: those of a
                 quantised GGUF file; of other models nothing

ln1, ln2 and ln_final are the gains by which the norm before attention, MLP and unembedding multiplies: 1 + w where the
checkpoint has w for it. ln2 is ln1 where one norm stands before both. A model has none of a norm that stands elsewhere
or has no gain, and without unembedding no W_U.
d_vocab counts tokens: rows that only pad the vocabulary are left out. So are biases, on which no singular vector
depends.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from svdlens.models.gguf_rounding import SHARE
from svdlens.models.load import load_bridge
from svdlens.models.safetensors_files import STEPS, read_json
from svdlens.models.token_texts import read_vocabulary
from svdlens.spec.architectures import ARCHITECTURES, Architecture
from svdlens.weights.weight_files import save_tensors

GAINS = (".ln1.w", ".ln2.w", "ln_final.w")
# What the names of the tensors in each file end in.
GROUPS = {
    "attention": (".attn.W_Q", ".attn.W_K", ".attn.W_V", ".attn.W_O", ".ln1.w"),
    "mlp": (".mlp.W_in", ".mlp.W_gate", ".mlp.W_out", ".ln2.w"),
    "unembed": ("unembed.W_U", "embed.W_E", "ln_final.w"),
    "gains": GAINS,
}
MATRICES = tuple(name for group in ("attention", "mlp") for name in GROUPS[group] if name not in GAINS)


def extract_weights(model_directory: Path, outputs: dict[str, Path], facts: Mapping[str, object] = {}) -> None:
    """Load a checked model through TransformerLens and write the file of each group in `outputs`, float32.

    outputs: by name in GROUPS. facts: for their metadata. The bridge of TransformerLens 4 is asked once, without any
    weight processing.
    Raises OSError if a file cannot be written.
    """
    config = read_json(model_directory / "config.json", f"the model in {model_directory}")
    architecture = ARCHITECTURES[config["model_type"]]
    n_tokens = len(read_vocabulary(model_directory))
    bridge = load_bridge(model_directory)
    n_heads = bridge.cfg.n_heads
    n_sharing_heads = n_heads // (bridge.cfg.n_key_value_heads or n_heads)
    parameters = bridge.tl_parameters()
    if architecture.shared_norm:
        both = {name: gain for name, gain in parameters.items() if name.endswith(".ln1.w")}
        parameters |= {name.replace(".ln1.", ".ln2."): gain.clone() for name, gain in both.items()}
    for group, path in outputs.items():
        tensors = {}
        for name in [name for name in parameters if name.endswith(GROUPS[group]) and has_weight(name, architecture)]:
            # Matrices leave the dictionary, one group at a time: many of them are copies, and all at once would take
            # almost three times the model's size. Gains are small, and in two groups.
            parameter = parameters[name] if name.endswith(GAINS) else parameters.pop(name)
            tensors[name] = stored_weight(name, parameter.detach(), architecture, n_sharing_heads, n_tokens)
        save_tensors(path, tensors, facts)
        del tensors


def extract_steps(model_directory: Path, output: Path, facts: Mapping[str, object] = {}) -> None:
    """Write the rounding steps of a checked model, float32, in the shapes of its weights; nothing if it has none.

    They go through TransformerLens in place of the weights, so that each comes to lie where its weight does. Raises
    OSError if the file cannot be written.
    """
    if not (model_directory / STEPS).exists():
        save_tensors(output, {}, facts)
        return
    # Slow to import, and needed by this function alone.
    from transformers import AutoConfig, AutoModelForCausalLM

    steps = load_file(model_directory / STEPS)
    config = AutoConfig.from_pretrained(model_directory)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    # All else is NaN, in the memory of one number.
    tensors = {
        name: each_weight(steps[name], tensor.shape) if name in steps else torch.tensor(torch.nan).expand(tensor.shape)
        for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(tensors, assign=True)
    model.tie_weights()
    bridge = load_bridge(model_directory, model)
    n_heads = bridge.cfg.n_heads
    n_sharing_heads = n_heads // (bridge.cfg.n_key_value_heads or n_heads)
    architecture = ARCHITECTURES[config.model_type]
    written = {}
    for name, parameter in bridge.tl_parameters().items():
        if name.endswith(MATRICES) and not parameter.isnan().any():
            written[name] = stored_weight(name, parameter.detach(), architecture, n_sharing_heads, n_tokens=0)
    save_tensors(output, written, facts)


def each_weight(steps: Float[Tensor, "_ _"], shape: torch.Size) -> Float[Tensor, "n m"]:
    """The step of each weight of a matrix, of which SHARE neighbours have one."""
    shared_by_columns = steps.shape[0] == shape[0]
    return steps.repeat_interleave(SHARE, dim=1 if shared_by_columns else 0)


def has_weight(name: str, architecture: Architecture) -> bool:
    """False for what the bridge has under this name and the model does not: it fills in what a model lacks."""
    if name.endswith(GAINS):
        return name.split(".")[-2] in architecture.gains
    return name != "unembed.W_U" or "W_U" in architecture.readouts


def stored_weight(
    name: str, parameter: Float[Tensor, "..."], architecture: Architecture, n_sharing_heads: int, n_tokens: int
) -> Float[Tensor, "..."]:
    """A parameter of the bridge as the weight files have it (shapes at the top of this module), contiguous.

    n_sharing_heads: the number of query heads that share a key and value head. n_tokens: the rows that are not padding.
    """
    if name.endswith((".W_K", ".W_V")):
        parameter = parameter[::n_sharing_heads]  # the bridge repeats them, one for each query head
    elif name.endswith(GAINS) and architecture.gain_offset:
        parameter = architecture.gain_offset + parameter
    elif name == "unembed.W_U":
        parameter = parameter[:, :n_tokens]
    elif name == "embed.W_E":
        parameter = parameter[:n_tokens]
    return parameter.contiguous()
