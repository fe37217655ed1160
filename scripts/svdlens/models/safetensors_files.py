"""The safetensors files of a model: names, types and shapes of the tensors, and whether their values are finite.

And the writing of one piece by piece.

In every function `where` begins the messages of errors; it says which model it is and where it lies.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.errors import SvdlensError

SINGLE = "model.safetensors"
STEPS = "rounding_steps.safetensors"  # beside the weights of a quantised model (gguf_rounding.py)
INDEX = "model.safetensors.index.json"
SHARD = re.compile(r'[^/\\:*?"<>|\x00-\x1f]+\.safetensors')  # no path, on any system

FLOATS = ("F16", "F32", "F64", "BF16")
READ_AT_ONCE = 1 << 22  # values; keeps memory small whatever the number of rows


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a safetensors file: its name there, its type as safetensors writes it, such as F32, its shape."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]


def read_json(path: Path, where: str) -> dict[str, Any]:
    """The object in a JSON file. Raises SvdlensError if the file cannot be read or holds anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SvdlensError(f"{where}: cannot read {path.name} ({error.strerror}). Make it readable.") from error
    except (ValueError, RecursionError) as error:
        raise SvdlensError(f"{where}: {path.name} is not JSON ({error}). Fetch or copy it again.") from error
    if not isinstance(content, dict):
        raise SvdlensError(f"{where}: {path.name} holds a {type(content).__name__}, not a JSON object. Copy it again.")
    return content


def read_tensors(directory: Path, name_of: Callable[[str], str], where: str) -> dict[str, StoredTensor]:
    """Every tensor of the model by what `name_of` makes of its name in the files, in order of these names.

    Raises SvdlensError for a missing or damaged weights file and for two tensors of one name.
    """
    tensors: dict[str, StoredTensor] = {}
    for path in weight_paths(directory, where):
        for tensor in read_header(path, where):
            short = name_of(tensor.name)
            if short in tensors:
                raise SvdlensError(
                    f"{where}: the tensor {short!r} is there twice ({tensors[short].path.name} and {path.name}). "
                    f"Save the model again with save_pretrained."
                )
            tensors[short] = tensor
    return dict(sorted(tensors.items()))


def weight_paths(directory: Path, where: str) -> list[Path]:
    """The files with the weights: model.safetensors, else the shards that the index names.

    Raises SvdlensError for an index that names no shards or anything else, and for a shard that is missing.
    """
    if (directory / SINGLE).exists():
        return [directory / SINGLE]
    return [directory / name for name in shard_names(directory, {path.name for path in directory.iterdir()}, where)]


def shard_names(directory: Path, available: Collection[str], where: str) -> list[str]:
    """The names of the shards, sorted, as the index in `directory` has them; none where there is no index.

    They may be called anything that is a file's name. available: the names that there are. Raises SvdlensError for an
    index that names no shards or anything else, and for a shard that is missing.
    """
    if INDEX not in available:
        return []
    shards = read_json(directory / INDEX, where).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise SvdlensError(f"{where}: {INDEX} has no weight_map. Fetch or copy it again.")
    for name in shards.values():
        # Also keeps a name such as ../../secret.safetensors from leading out of the directory.
        if not isinstance(name, str) or not SHARD.fullmatch(name) or name == STEPS:
            raise SvdlensError(
                f"{where}: {INDEX} names the shard {name!r}; shards are files beside it, with plain names that end in "
                f".safetensors. Save the model again with save_pretrained."
            )
    names = sorted(set(shards.values()))
    missing = [name for name in names if name not in available]
    if missing:
        raise SvdlensError(
            f"{where}: {INDEX} names {len(names)} shards, but {', '.join(missing)} is missing. "
            f"Fetch or copy the missing shards too."
        )
    return names


def read_header(path: Path, where: str) -> list[StoredTensor]:
    """The tensors of one file. safetensors checks that they fill the file, without gaps and without overlap.

    Raises SvdlensError for a file that cannot be read, that safetensors refuses or that has two tensors of one name.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if start == b"version ":
            raise SvdlensError(
                f"{where}: {path.name} is a Git LFS pointer of {path.stat().st_size} bytes, not weights. "
                f"Run `git lfs pull` there, or fetch the file itself."
            )
        tensors = []
        with safe_open(path, framework="numpy") as header:
            for name in header.offset_keys():
                values = header.get_slice(name)  # reads none of them yet
                tensors.append(StoredTensor(path, name, values.get_dtype(), tuple(values.get_shape())))
        names = names_in_header(path)
    except SafetensorError as error:
        raise SvdlensError(
            f"{where}: {path.name} ({path.stat().st_size} bytes) is cut short or damaged: {error}. "
            f"Delete it, then fetch or copy it again."
        ) from error
    except OSError as error:
        raise SvdlensError(f"{where}: cannot read {path.name} ({error.strerror}). Make it readable.") from error
    if len(names) > len(set(names)):
        [(name, count)] = Counter(names).most_common(1)
        raise SvdlensError(
            f"{where}: the header of {path.name} names the tensor {name!r} {count} times, so it is open which one is "
            f"meant. Save the model again with save_pretrained."
        )
    return tensors


def names_in_header(path: Path) -> list[str]:
    """Every name in the header of a sound file, as often as it is there: safetensors takes the last of equal names."""
    with path.open("rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))
    names: list[str] = json.loads(header, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    return names


def count_not_finite(tensor: StoredTensor) -> int:
    """How many values of a tensor with a type of FLOATS, [n] or [n, m], are NaN or infinite."""
    # numpy has no bfloat16; torch does, but is slow to import.
    framework = "pt" if tensor.dtype == "BF16" else "numpy"
    n_rows = tensor.shape[0]
    rows_at_once = max(1, READ_AT_ONCE // math.prod(tensor.shape[1:]))
    count = 0
    with safe_open(tensor.path, framework=framework) as file:
        values = file.get_slice(tensor.name)
        for row in range(0, n_rows, rows_at_once):
            piece = values[row : min(row + rows_at_once, n_rows)]
            finite = np.isfinite(piece) if framework == "numpy" else piece.isfinite()
            count += int((~finite).sum())
    return count


def same_values(first: StoredTensor, second: StoredTensor) -> bool:
    """Whether two tensors, [n, m] with types of FLOATS, hold the same numbers."""
    if first.shape != second.shape:
        return False
    framework = "pt" if "BF16" in (first.dtype, second.dtype) else "numpy"  # as in count_not_finite
    rows_at_once = max(1, READ_AT_ONCE // math.prod(first.shape[1:]))
    with safe_open(first.path, framework=framework) as one, safe_open(second.path, framework=framework) as other:
        left, right = one.get_slice(first.name), other.get_slice(second.name)
        for row in range(0, first.shape[0], rows_at_once):
            rows = slice(row, min(row + rows_at_once, first.shape[0]))
            if (left[rows] != right[rows]).any():
                return False
    return True


def write_in_pieces(
    path: Path, shapes: Mapping[str, tuple[int, ...]], pieces_of: Callable[[str], Iterable[np.ndarray]]
) -> None:
    """Write a safetensors file of float32 tensors without ever holding one whole.

    shapes: by name. pieces_of: the values of the tensor of this name, in order, cut anywhere. The writer of safetensors
    itself wants all tensors of a file in memory. Raises ValueError if the pieces do not fill the shape, OSError or
    SvdlensError if the file cannot be written; then there is none.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the values begin at a multiple of 8 bytes
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            written = 0
            for piece in pieces_of(name):
                written += file.write(np.ascontiguousarray(piece, "<f4").data)
            if written != 4 * math.prod(shape):
                raise ValueError(f"{written} bytes of {name}, which is {list(shape)} float32")
