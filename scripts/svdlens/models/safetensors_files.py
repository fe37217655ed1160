"""The safetensors files of a model: names, types, shapes and places of the tensors, and their values piece by piece."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from svdlens.errors import SvdlensError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")

FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
READ_AT_ONCE = 1 << 22  # values; keeps memory small whatever the size of the tensor


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies: bytes begin to end of a file."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


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


def read_tensors(directory: Path, prefix: str, where: str) -> dict[str, Tensor]:
    """Every tensor of the model by its name without the leading `prefix`, in order of name.

    Raises SvdlensError for a missing or damaged weights file and for two tensors of one name.
    """
    tensors: dict[str, Tensor] = {}
    for path in weight_paths(directory, where):
        for name, tensor in read_header(path, where).items():
            short = name.removeprefix(prefix)
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
