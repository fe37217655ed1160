"""Is this directory a model that svdlens can read? Every check here runs before a model is published."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from svdlens.errors import SvdlensError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")

FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
READ_AT_ONCE = 1 << 22  # values; keeps memory small whatever the size of the tensor

GPT2_TENSORS = {
    "wte.weight": ("vocab_size", "n_embd"),
    "wpe.weight": ("n_positions", "n_embd"),
    "ln_f.weight": ("n_embd",),
    "ln_f.bias": ("n_embd",),
}
GPT2_LAYER_TENSORS = {
    "ln_1.weight": ("n_embd",),
    "ln_1.bias": ("n_embd",),
    "attn.c_attn.weight": ("n_embd", "3 n_embd"),
    "attn.c_attn.bias": ("3 n_embd",),
    "attn.c_proj.weight": ("n_embd", "n_embd"),
    "attn.c_proj.bias": ("n_embd",),
    "ln_2.weight": ("n_embd",),
    "ln_2.bias": ("n_embd",),
    "mlp.c_fc.weight": ("n_embd", "n_inner"),
    "mlp.c_fc.bias": ("n_inner",),
    "mlp.c_proj.weight": ("n_inner", "n_embd"),
    "mlp.c_proj.bias": ("n_embd",),
}
GPT2_UNEMBED = {"lm_head.weight": ("vocab_size", "n_embd")}
# Causal masks that old versions of transformers saved along with the weights. They hold no weights.
GPT2_BUFFER = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")

# model_type in config.json -> the one class of it that svdlens reads.
SUPPORTED = {"gpt2": "GPT2LMHeadModel"}

RESTORE = "Restore the config.json that was saved with these weights."


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies: bytes begin to end of a file."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def model_file_names(available: Iterable[str]) -> list[str]:
    """The files, of those available in a directory or repository, that belong to the model, sorted.

    Weights are model.safetensors, or else the index and its shards; never a pickle, code or a file in a subfolder.
    """
    names = set(available)
    weights = {SINGLE} & names or {name for name in names if name == INDEX or SHARD.fullmatch(name)}
    return sorted(weights | (names & {"config.json", "token_counts.parquet", *TOKENIZER_FILES}))


def check_file_names(available: Iterable[str], where: str) -> None:
    """Raises SvdlensError unless the names hold safetensors weights, a config.json and a tokenizer."""
    names = set(available)
    if SINGLE not in names and INDEX not in names:
        pickles = sorted(name for name in names if name.endswith(PICKLE_SUFFIXES))
        if pickles:
            raise SvdlensError(
                f"{where}: its weights are pickles only ({pickles[0]}). A pickle can run any code and is never loaded; "
                f"convert it once with AutoModelForCausalLM.from_pretrained(...).save_pretrained(..., "
                f"safe_serialization=True), or name a revision that has {SINGLE}."
            )
        raise SvdlensError(f"{where}: {SINGLE} is missing. Weights are {SINGLE}, or {INDEX} and its shards; add them.")
    if "config.json" not in names:
        raise SvdlensError(f"{where}: config.json is missing. Add the config.json that was saved with the weights.")
    if "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= names:
        raise SvdlensError(
            f"{where}: tokenizer.json is missing, and so is the pair vocab.json and merges.txt. "
            f"Add the tokenizer, for example with AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )


def check_model_directory(directory: Path, name: str) -> None:
    """Check that `directory` holds the model called `name` in config.yaml, whole and in a form that svdlens reads.

    Reads one piece of one tensor at a time. Raises SvdlensError for missing files, pickles, damaged weights, an
    unsupported architecture, a config.json or tokenizer that disagrees with the tensors, and values that are not
    finite.
    """
    directory = Path(directory)
    where = f"model {name!r} in {directory}"
    if not directory.is_dir():
        raise SvdlensError(f"{where}: no such directory. Correct models.{name} in config.yaml.")
    check_file_names((path.name for path in directory.iterdir() if path.is_file()), where)
    config = read_config(directory, where)
    tensors = read_tensors(directory, where)
    check_shapes(config, tensors, where)
    check_tokenizer(directory, config["vocab_size"], where)
    for tensor_name, tensor in tensors.items():
        check_finite(tensor_name, tensor, where)


def read_config(directory: Path, where: str) -> dict[str, Any]:
    """config.json with n_inner filled in. Raises SvdlensError unless it describes a model that svdlens supports."""
    config = read_json(directory / "config.json", where)
    settings = (
        read_json(directory / "tokenizer_config.json", where) if (directory / "tokenizer_config.json").exists() else {}
    )
    for file, content in (("config.json", config), ("tokenizer_config.json", settings)):
        if "auto_map" in content:
            raise SvdlensError(
                f"{where}: {file} has auto_map {content['auto_map']!r}, which asks to run code that came with the "
                f"model. svdlens runs no such code; use a model whose code is part of transformers."
            )
    kind, classes = config.get("model_type"), config.get("architectures")
    if classes != [SUPPORTED.get(str(kind))]:
        known = ", ".join(f"model_type {kind!r} with architectures [{name!r}]" for kind, name in SUPPORTED.items())
        raise SvdlensError(
            f"{where}: config.json has model_type {kind!r} with architectures {classes!r}, which is not supported. "
            f"Supported: {known}. Use such a model."
        )
    if config.get("n_inner") is None and isinstance(config.get("n_embd"), int):
        config["n_inner"] = 4 * config["n_embd"]
    for key in ("n_embd", "n_layer", "n_head", "n_inner", "n_positions", "vocab_size"):
        value = config.get(key)
        if type(value) is not int or value < 1:
            raise SvdlensError(f"{where}: config.json has {key} = {value!r}, not a whole number above 0. {RESTORE}")
    if config["n_embd"] % config["n_head"]:
        raise SvdlensError(
            f"{where}: config.json has n_embd = {config['n_embd']} and n_head = {config['n_head']}, "
            f"but n_embd must be a multiple of n_head. {RESTORE}"
        )
    return config


def read_json(path: Path, where: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SvdlensError(f"{where}: cannot read {path.name} ({error.strerror}). Make it readable.") from error
    except ValueError as error:
        raise SvdlensError(f"{where}: {path.name} is not JSON ({error}). Fetch or copy it again.") from error
    if not isinstance(content, dict):
        raise SvdlensError(f"{where}: {path.name} holds a {type(content).__name__}, not a JSON object. Copy it again.")
    return content


def read_tensors(directory: Path, where: str) -> dict[str, Tensor]:
    """Every tensor of the model by its name without the leading "transformer.", in order of name.

    Raises SvdlensError for a missing or damaged weights file and for two tensors of one name.
    """
    tensors: dict[str, Tensor] = {}
    for path in weight_paths(directory, where):
        for name, tensor in read_header(path, where).items():
            short = name.removeprefix("transformer.")
            if short in tensors:
                raise SvdlensError(
                    f"{where}: the tensor {short!r} is there twice ({tensors[short].path.name} and {path.name}). "
                    f"Save the model again with save_pretrained."
                )
            tensors[short] = tensor
    return dict(sorted(tensors.items()))


def weight_paths(directory: Path, where: str) -> list[Path]:
    if (directory / SINGLE).exists():
        return [directory / SINGLE]
    shards = read_json(directory / INDEX, where).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise SvdlensError(f"{where}: {INDEX} has no weight_map. Fetch or copy it again.")
    names = sorted({str(shard) for shard in shards.values()})
    for name in names:
        # Also keeps a name such as ../../secret.safetensors from leading out of the directory.
        if not SHARD.fullmatch(name):
            raise SvdlensError(
                f"{where}: {INDEX} names the shard {name!r}; shards are called model-00001-of-00002.safetensors and so "
                f"on. Save the model again with save_pretrained."
            )
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise SvdlensError(
            f"{where}: {INDEX} names {len(names)} shards, but {', '.join(missing)} is missing. "
            f"Fetch or copy the missing shards too."
        )
    return [directory / name for name in names]


def read_header(path: Path, where: str) -> dict[str, Tensor]:
    """Names, types, shapes and places of the tensors of one file, after safetensors has accepted it as whole."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if start == b"version ":
            raise SvdlensError(
                f"{where}: {path.name} is a Git LFS pointer of {path.stat().st_size} bytes, not weights. "
                f"Run `git lfs pull` there, or fetch the file itself."
            )
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except SafetensorError as error:
        raise SvdlensError(
            f"{where}: {path.name} ({path.stat().st_size} bytes) is cut short or damaged: {error}. "
            f"Delete it, then fetch or copy it again."
        ) from error
    except OSError as error:
        raise SvdlensError(f"{where}: cannot read {path.name} ({error.strerror}). Make it readable.") from error
    header.pop("__metadata__", None)
    return {
        name: Tensor(path, entry["dtype"], tuple(entry["shape"]), *(8 + length + at for at in entry["data_offsets"]))
        for name, entry in header.items()
    }


def check_shapes(config: dict[str, Any], tensors: dict[str, Tensor], where: str) -> None:
    """Raises SvdlensError unless the tensors are exactly those that config.json asks for, in type and shape."""
    layers = {int(name.split(".")[1]) for name in tensors if re.match(r"h\.\d+\.", name)}
    if layers and max(layers) + 1 != config["n_layer"]:
        raise SvdlensError(
            f"{where}: config.json has n_layer = {config['n_layer']}, but the weights hold layers 0 to {max(layers)}. "
            f"{RESTORE}"
        )
    expected: dict[str, tuple[str, ...]] = dict(GPT2_TENSORS)
    # Without layers in the weights, one layer is enough to say what is missing.
    for layer in range(config["n_layer"] if layers else 1):
        expected |= {f"h.{layer}.{name}": shape for name, shape in GPT2_LAYER_TENSORS.items()}
    if "lm_head.weight" in tensors or config.get("tie_word_embeddings") is False:
        expected |= GPT2_UNEMBED
    missing = sorted(expected.keys() - tensors.keys())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SvdlensError(
            f"{where}: the tensor {missing[0]!r}{more} is missing from the weights of a "
            f"{config['architectures'][0]} with n_layer = {config['n_layer']}. Save it whole with save_pretrained."
        )
    unknown = sorted(name for name in tensors if name not in expected and not GPT2_BUFFER.fullmatch(name))
    if unknown:
        raise SvdlensError(
            f"{where}: the tensor {unknown[0]!r} is no part of a {config['architectures'][0]}. If it belongs to an "
            f"adapter, merge the adapter; then save the model again with save_pretrained."
        )
    sizes = config | {"3 n_embd": 3 * config["n_embd"]}
    for name, keys in expected.items():
        tensor = tensors[name]
        if tensor.dtype not in FLOATS:
            raise SvdlensError(
                f"{where}: the tensor {name!r} has the type {tensor.dtype}, not one of {', '.join(FLOATS)}. "
                f"Use weights that are not quantised."
            )
        wanted = tuple(sizes[key] for key in keys)
        if tensor.shape != wanted:
            raise SvdlensError(
                f"{where}: the tensor {name!r} is {list(tensor.shape)}, but config.json asks for "
                f"[{', '.join(keys)}] = {list(wanted)}. {RESTORE}"
            )


def check_tokenizer(directory: Path, rows: int, where: str) -> None:
    """Raises SvdlensError unless the tokenizer has one token for each of the `rows` rows of the unembedding W_U."""
    if (directory / "tokenizer.json").exists():
        file = "tokenizer.json"
        try:
            ids = set(Tokenizer.from_file(str(directory / file)).get_vocab(with_added_tokens=True).values())
        except Exception as error:  # the library raises plain Exception
            raise SvdlensError(f"{where}: {file} is no tokenizer ({error}). Fetch or copy it again.") from error
    else:
        file = "vocab.json"
        ids = {number for number in read_json(directory / file, where).values() if type(number) is int}
    if ids != set(range(rows)):
        fix = "Use the tokenizer that was saved with these weights"
        if len(ids) < rows:
            fix += f", or cut W_U to its first {len(ids)} rows (model.resize_token_embeddings) and save the model again"
        raise SvdlensError(
            f"{where}: {file} has {len(ids)} tokens with ids up to {max(ids, default=None)}, but W_U has {rows} rows; "
            f"there must be one token, numbered from 0, for each row. {fix}."
        )


def check_finite(name: str, tensor: Tensor, where: str) -> None:
    """Raises SvdlensError if a weight is NaN or infinite. Causal masks are no weights and may hold what they like."""
    if GPT2_BUFFER.fullmatch(name):
        return
    bad = sum(int(not_finite(piece, tensor.dtype).sum()) for piece in pieces(tensor))
    if bad:
        raise SvdlensError(
            f"{where}: {bad} of the {math.prod(tensor.shape)} values of the tensor {name!r} in {tensor.path.name} are "
            f"NaN or infinite, and such a matrix has no singular values. Fetch or copy the file again, "
            f"or use another checkpoint."
        )


def pieces(tensor: Tensor) -> Iterator[np.ndarray]:
    dtype = np.dtype(FLOATS[tensor.dtype])
    with tensor.path.open("rb") as file:
        file.seek(tensor.begin)
        left = (tensor.end - tensor.begin) // dtype.itemsize
        while left:
            piece = np.fromfile(file, dtype, count=min(left, READ_AT_ONCE))
            yield piece
            left -= len(piece)


def not_finite(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "BF16":
        # numpy has no bfloat16: NaN and infinity are the bit patterns whose eight exponent bits are all set.
        return (values & 0x7F80) == 0x7F80
    return ~np.isfinite(values)
