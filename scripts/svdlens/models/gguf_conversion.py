"""A model in a GGUF file as transformers would have saved it: config.json, tokenizer files and float32 weights.

The header is checked first (gguf_header.py); then the library gguf reads it and dequantises, and transformers makes the
configuration and the tokenizer. Tensors are dequantised and written some rows at a time, so that memory does not grow
with the model. In every function `where` begins the messages of errors; it says which model it is and where it lies.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from svdlens.errors import SvdlensError
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import complete_config
from svdlens.models.gguf_header import check_gguf
from svdlens.models.gguf_rounding import has_steps, step_rows, steps_shape
from svdlens.models.gguf_tensors import ANOTHER, GgufTensor, float32_rows, read_gguf
from svdlens.models.layouts.layout import dimension, dimension_keys, required_tensors
from svdlens.models.safetensors_files import SINGLE, STEPS, write_in_pieces
from svdlens.spec.architectures import ARCHITECTURES

# Of ARCHITECTURES those of which it is tested that transformers reads a GGUF file; the same names in both.
GGUF_ARCHITECTURES = ("gpt2", "llama", "qwen2", "gemma2")
# llama.cpp wants them as nn.Linear has them, [out, in].
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
FREQUENCIES = "rope_freqs.weight"
# What a Llama 3 was trained with beside `factor`, which is all that its GGUF file keeps.
LLAMA3_ROPE = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def convert_gguf(path: Path, directory: Path, model: str, architecture: str, where: str) -> dict[str, str]:
    """Write the model in a GGUF file into `directory`, as config.json, tokenizer files and model.safetensors.

    And rounding_steps.safetensors, if it is quantised: how coarsely the matrices of its layers are rounded, by their
    names in model.safetensors and in the same order, one step for every SHARE neighbours (gguf_rounding.py).
    model, architecture: its name and architecture in config.yaml. Returns the quantisation of each tensor (F32, Q4_1,
    ...) by its name in model.safetensors. Raises SvdlensError if the file is damaged, is of another architecture, has
    no tokenizer, or has not exactly the tensors that its metadata ask for.
    """
    check_gguf(path, where)
    metadata, tensors = read_gguf(path, where)
    check_metadata(metadata, model, architecture, where)
    config = read_config(path, metadata, tensors, architecture, where)
    names = tensor_names(config, tensors, architecture, where)
    shapes = {name: tensor_shape(name, tensors[names[name]], architecture) for name in names}
    save_config(config, architecture, directory, where)
    save_tokenizer(path, directory, where)

    def pieces_of(name: str) -> Iterator[np.ndarray]:
        return tensor_pieces(name, tensors[names[name]], config, architecture)

    def steps_of(name: str) -> Iterator[np.ndarray]:
        return step_pieces(name, tensors[names[name]], config, architecture)

    write_in_pieces(directory / SINGLE, shapes, pieces_of)
    rounded = [name for name in names if names[name].startswith("blk.") and has_steps(tensors[names[name]])]
    if rounded:
        steps_shapes = {name: steps_shape(tensors[names[name]], is_transposed(name, architecture)) for name in rounded}
        write_in_pieces(directory / STEPS, steps_shapes, steps_of)
    return {name: tensors[names[name]].quantisation for name in names}


def check_metadata(metadata: Mapping[str, Any], model: str, architecture: str, where: str) -> None:
    """Raises SvdlensError unless it is a dense model of the architecture that config.yaml names, with a tokenizer."""
    found = metadata.get("general.architecture")
    if found not in GGUF_ARCHITECTURES:
        raise SvdlensError(
            f"{where}: its general.architecture is {found!r}; from GGUF files svdlens reads "
            f"{', '.join(GGUF_ARCHITECTURES)}. Use such a model, or a directory with safetensors."
        )
    n_experts = metadata.get(f"{found}.expert_count") or 0
    if n_experts:
        raise SvdlensError(
            f"{where}: its {found}.expert_count is {n_experts}, a mixture of experts. Its layers have many MLPs, and "
            f"svdlens reads models with one MLP in each layer. Use a dense model."
        )
    if found != architecture:
        raise SvdlensError(
            f"{where}: its general.architecture is {found!r}, but the configuration has {architecture!r} ('gpt2' "
            f"where it says nothing). Write `architecture: {found}` under models.{model}."
        )
    for key in ("tokenizer.ggml.model", "tokenizer.ggml.tokens"):
        if key not in metadata:
            raise SvdlensError(
                f"{where}: it has no tokenizer: {key} is missing from its metadata. Use a file with a tokenizer, or a "
                f"directory with safetensors and the tokenizer."
            )


def read_config(
    path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, GgufTensor], architecture: str, where: str
) -> dict[str, Any]:
    """config.json as transformers makes it of the metadata, with what it leaves out and svdlens or the model needs.

    Raises SvdlensError if transformers cannot, if numbers do not fit together, and for rotary frequencies that no
    config.json says.
    """
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    try:
        config = dict(load_gguf_checkpoint(str(path))["config"])
    except Exception as error:  # it checks nothing
        raise SvdlensError(
            f"{where}: transformers cannot make a configuration of its metadata ({error!r}). {ANOTHER}"
        ) from error
    config = {key: value for key, value in config.items() if key != "_model_name_or_path"}
    if config["model_type"] != architecture:
        raise SvdlensError(
            f"{where}: transformers takes it for {config['model_type']!r}, not {architecture!r}. {ANOTHER}"
        )
    if architecture == "gpt2":
        config |= {"n_positions": config.pop("n_ctx", None), "n_inner": config.pop("feed_forward_length", None)}
    elif architecture == "llama":
        config |= {
            "attention_bias": "blk.0.attn_q.bias" in tensors,
            "mlp_bias": "blk.0.ffn_up.bias" in tensors,
        }
    # The sizes that transformers would take for those that the file does not say are sizes of other models.
    layout = LAYOUTS[architecture]
    sizes = [key for key in dimension_keys(layout) if key not in (*layout.derived, "num_key_value_heads", "head_dim")]
    config = complete_config(dict.fromkeys(sizes) | config, architecture, f"{where}, as a directory", ANOTHER)
    n_layers = config[layout.keys["n_layer"]]
    if n_layers > len(tensors):
        raise SvdlensError(
            f"{where}: its {architecture}.block_count is {n_layers}, but it has only {len(tensors)} tensors. {ANOTHER}"
        )
    if ARCHITECTURES[architecture].rotary and config["head_dim"] % 2:
        raise SvdlensError(
            f"{where}: its heads have {config['head_dim']} dimensions, which rotary position embeddings cannot turn in "
            f"pairs. {ANOTHER}"
        )
    return config | rope_scaling(config, metadata, tensors, architecture, where)


def rope_scaling(
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    tensors: Mapping[str, GgufTensor],
    architecture: str,
    where: str,
) -> dict[str, Any]:
    """The key rope_parameters of config.json if rotary frequencies are scaled, which transformers leaves out; else {}.

    Raises SvdlensError for a scaling that config.json cannot say.
    """
    prefix = f"{architecture}.rope.scaling"
    kind, theta = metadata.get(f"{prefix}.type", "none"), config.get("rope_theta", 10_000.0)
    if not isinstance(theta, int | float) or not theta > 0:
        raise SvdlensError(f"{where}: its {architecture}.rope.freq_base is {theta!r}, no number above 0. {ANOTHER}")
    if FREQUENCIES in tensors:
        factor = llama3_factor(tensors[FREQUENCIES], theta, config["head_dim"], where)
        return {"rope_parameters": {"rope_type": "llama3", "rope_theta": theta, "factor": factor, **LLAMA3_ROPE}}
    if kind == "none":
        return {}
    scaling = {"rope_type": kind, "rope_theta": theta, "factor": metadata.get(f"{prefix}.factor")}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = metadata.get(f"{prefix}.original_context_length")
    if kind not in ("linear", "yarn") or None in scaling.values():
        raise SvdlensError(
            f"{where}: its {prefix} is {scaling}; svdlens reads the types none, linear and yarn, with a factor, and "
            f"for yarn the original_context_length. {ANOTHER}"
        )
    return {"rope_parameters": scaling}


def llama3_factor(frequencies: GgufTensor, theta: float, head_dim: int, where: str) -> float:
    """The `factor` of a Llama 3, from what its frequencies are divided by.

    frequencies: the tensor FREQUENCIES, [head_dim / 2]. theta: base of the frequencies. Raises SvdlensError if they are
    scaled in another way than in Llama 3.
    """
    if frequencies.shape == (head_dim // 2,):
        (stored,) = float32_rows(frequencies)
        factor = float(stored.max())
        if np.allclose(stored, llama3_factors(theta, head_dim, factor), rtol=1e-4):
            return factor
    raise SvdlensError(
        f"{where}: the tensor {FREQUENCIES!r} scales rotary frequencies in another way than Llama 3 does, which "
        f"config.json cannot say. {ANOTHER}"
    )


def llama3_factors(theta: float, head_dim: int, factor: float) -> np.ndarray:
    """What Llama 3 divides each rotary frequency by (Dubey et al. 2024; rope_type llama3 of transformers).

    theta: base of the frequencies. Frequencies whose wavelength is short against the original context stay, long ones
    are divided by `factor`, and between them the reciprocal goes over linearly in the number of wavelengths.
    """
    wavelengths = 2 * math.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    low, high = LLAMA3_ROPE["low_freq_factor"], LLAMA3_ROPE["high_freq_factor"]
    n_wavelengths = LLAMA3_ROPE["original_max_position_embeddings"] / wavelengths
    share = np.clip((n_wavelengths - low) / (high - low), 0, 1)
    return np.asarray(1 / ((1 - share) / factor + share))


def tensor_names(
    config: Mapping[str, Any], tensors: Mapping[str, GgufTensor], architecture: str, where: str
) -> dict[str, str]:
    """The name in the GGUF file of each tensor of the model, by its name in model.safetensors.

    Raises SvdlensError if the file has a tensor too few or too many, or one of another shape than its metadata ask for.
    """
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    layout = LAYOUTS[architecture]
    n_layers = config[layout.keys["n_layer"]]
    kind = next(kind for kind, name in MODEL_ARCH_NAMES.items() if name == architecture)
    name_map = get_tensor_name_map(kind, n_layers)
    shapes = {layout.prefix + name: shape for name, shape in required_tensors(layout, config, n_layers).items()}
    shapes |= layout.unembedding if "output.weight" in tensors else {}
    names = {name: str(name_map.get_name(name, try_suffixes=(".weight", ".bias"))) for name in shapes}
    missing = sorted(set(names.values()) - tensors.keys())
    unknown = sorted(tensors.keys() - set(names.values()) - {FREQUENCIES})
    if missing or unknown:
        problem = (
            f"the tensor {missing[0]!r} is missing from" if missing else f"the tensor {unknown[0]!r} is no part of"
        )
        raise SvdlensError(f"{where}: {problem} a {architecture} with {n_layers} layers. {ANOTHER}")
    for name, shape in shapes.items():
        found = tensor_shape(name, tensors[names[name]], architecture)
        expected = tuple(dimension(words, config) for words in shape)
        if found != expected:
            raise SvdlensError(
                f"{where}: the tensor {names[name]!r}, in transformers {name!r}, is {list(found)}, but the metadata "
                f"ask for [{', '.join(shape)}] = {list(expected)}. {ANOTHER}"
            )
    return names


def is_transposed(name: str, architecture: str) -> bool:
    """Whether llama.cpp stores the tensor with this name in model.safetensors transposed."""
    return architecture == "gpt2" and name.endswith(TRANSPOSED)


def tensor_shape(name: str, tensor: GgufTensor, architecture: str) -> tuple[int, ...]:
    """The shape that a tensor has in model.safetensors, where it has this name."""
    return tensor.shape[::-1] if is_transposed(name, architecture) else tensor.shape


def tensor_pieces(name: str, tensor: GgufTensor, config: Mapping[str, Any], architecture: str) -> Iterator[np.ndarray]:
    """The values, float32, that a tensor has in model.safetensors, where it has this name: some rows at a time.

    What llama.cpp's converter does to the weights of an architecture is undone here. A transposed matrix comes whole.
    """
    if is_transposed(name, architecture):
        return iter([np.concatenate(list(float32_rows(tensor))).T])
    order = row_order(name, tensor.shape[0], config, architecture)
    if name.endswith("norm.weight"):
        # It stores what the norm multiplies by.
        offset = np.float32(ARCHITECTURES[architecture].gain_offset)
        return (rows - offset for rows in float32_rows(tensor, order))
    return float32_rows(tensor, order)


def step_pieces(name: str, tensor: GgufTensor, config: Mapping[str, Any], architecture: str) -> Iterator[np.ndarray]:
    """The rounding steps of a tensor, float32, in the layout of tensor_pieces."""
    order = row_order(name, tensor.shape[0], config, architecture)
    if is_transposed(name, architecture):
        return iter([np.concatenate(list(step_rows(tensor, order))).T])
    return step_rows(tensor, order)


def row_order(name: str, n_rows: int, config: Mapping[str, Any], architecture: str) -> np.ndarray:
    """Which row of the GGUF file is each row of the tensor with this name in model.safetensors: [n_rows]."""
    order = np.arange(n_rows)
    if architecture == "llama":
        # llama.cpp rotates neighbouring dimensions; transformers one of the first half of a head with one of the
        # second. So the converter takes rows 0, d_head/2, 1, d_head/2 + 1, ... of each head.
        for layer, n_heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if f".self_attn.{layer}." in name:
                return order.reshape(config[n_heads], -1, 2).swapaxes(1, 2).ravel()
    return order


def save_config(config: Mapping[str, Any], architecture: str, directory: Path, where: str) -> None:
    """Write config.json as transformers does. Raises SvdlensError if it refuses a value."""
    from transformers import AutoConfig

    model_class = ARCHITECTURES[architecture].model_class
    try:
        AutoConfig.for_model(**{**config, "architectures": [model_class], "dtype": "float32"}).save_pretrained(
            directory
        )
    except OSError:
        raise
    except Exception as error:  # of many kinds
        raise SvdlensError(f"{where}: transformers refuses the configuration in it ({error}). {ANOTHER}") from error


def save_tokenizer(path: Path, directory: Path, where: str) -> None:
    """Write the tokenizer as transformers makes it of the metadata: tokenizer.json and tokenizer_config.json.

    Raises SvdlensError if transformers cannot.
    """
    from transformers import PreTrainedTokenizerFast
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

    try:
        architecture, content, settings = get_gguf_tokenizer(str(path))
        tokenizer, _ = convert_gguf_tokenizer(architecture, content)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **settings).save_pretrained(directory)
    except OSError:
        raise
    except BaseException as error:  # it checks nothing; a panic of the library tokenizers is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise SvdlensError(
            f"{where}: transformers cannot make a tokenizer of its metadata ({error!r}). {ANOTHER}"
        ) from error
