"""Two files of the same name that are no tables: arrays of an SVD, other arrays, texts, and all else byte for byte."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.comparison.tables import Compared, far_apart
from svdlens.comparison.undetermined import undetermined_vectors
from svdlens.errors import SvdlensError

NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")
"""A number that stands by itself, so none within a sha256 or a name."""
CROWDING = 0.01
"""How close neighbouring values of an SVD file are in a near-degenerate cluster: `cluster_tolerance` by default."""
VECTORS = ("left", "right", "random")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Raises SvdlensError where the file is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SvdlensError(f"{path} is no safetensors file: {reason}. Make it again, or delete it.") from error


def compare_arrays(name: Path, paths: tuple[Path, Path], tolerance: float, strict: bool) -> Compared:
    """Values within a tolerance; singular vectors by 1 - |cos|, outside near-degenerate clusters unless `strict`."""
    first, second = map(read_arrays, paths)
    if first.keys() != second.keys():
        array = sorted(first.keys() ^ second.keys())[0]
        return Compared(1, 1, first=f"{name}: only the {'first' if array in first else 'second'} has the array {array}")
    total = Compared()
    for array, one in first.items():
        other = second[array]
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            kinds = " and ".join(f"{each.dtype} {list(each.shape)}" for each in (one, other))
            total = added(total, Compared(1, 1, first=f"{name}: {array} is {kinds}"))
            continue
        if array in VECTORS and not strict:
            differ = vectors_apart(one, other, tolerance)
        elif np.issubdtype(one.dtype, np.floating):
            differ = far_apart(one, other, tolerance)
        else:
            differ = np.asarray(one != other)
        loose = np.zeros(differ.shape, dtype=bool)
        if not strict and array != "values":
            loose = loose_vectors(name, array, (first, second), differ.shape)
        total = added(total, compared_array(name, array, (one, other), differ, loose))
    return total


def loose_vectors(
    name: Path, array: str, files: tuple[dict[str, np.ndarray], dict[str, np.ndarray]], shape: tuple[int, ...]
) -> Bool[np.ndarray, "..."]:
    """Which vectors of an SVD file their matrix does not determine. A varimax basis rests on all of a subspace."""
    if array in VECTORS and "values" in files[0]:
        loose = [undetermined_vectors(file["values"], CROWDING)[..., : shape[-1]] for file in files]
        if all(each.shape == shape for each in loose):
            return np.asarray(loose[0] | loose[1])
    return np.full(shape, name.parts[0] in ("varimax", "stability"))


def vectors_apart(
    one: Float[np.ndarray, "... k size"], other: Float[np.ndarray, "... k size"], tolerance: float
) -> Bool[np.ndarray, "... k"]:
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    cosine = np.divide(np.abs(np.sum(one * other, axis=-1)), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    both_zero = ~one.any(axis=-1) & ~other.any(axis=-1)
    return np.asarray(~(1.0 - cosine <= tolerance) & ~both_zero)


def compared_array(
    name: Path, array: str, both: tuple[np.ndarray, np.ndarray], differ: np.ndarray, loose: np.ndarray
) -> Compared:
    failed = differ & ~loose
    first = None
    if failed.any():
        at = tuple(int(place) for place in np.argwhere(failed)[0])
        values = [value[at] for value in both]
        if np.ndim(values[0]):
            what = f"vectors of {values[0].shape[0]} numbers that start {values[0][:3]} and {values[1][:3]}"
        else:
            what = f"{values[0]} and {values[1]}"
        first = f"{name}: {array}{list(at)} is {what}"
    return Compared(differ.size, int(failed.sum()), int(loose.sum()), int((differ & loose).sum()), first)


def added(total: Compared, more: Compared) -> Compared:
    return Compared(
        total.rows + more.rows,
        total.differ + more.differ,
        total.apart + more.apart,
        total.apart_differ + more.apart_differ,
        total.first or more.first,
    )


def compare_texts(name: Path, paths: tuple[Path, Path], tolerance: float) -> Compared:
    """Texts letter by letter, but for numbers with a point or an exponent, which may differ by the tolerance."""
    texts = [decoded(path) for path in paths]
    if texts[0] == texts[1]:
        return Compared(1)
    lines = [text.splitlines() for text in texts]
    for number, (one, other) in enumerate(zip(*lines, strict=False), start=1):
        if not same_line(one, other, tolerance):
            at = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
            start = max(0, at - 30)
            what = f"{one[start : start + 80]!r} and {other[start : start + 80]!r}"
            return Compared(1, 1, first=f"{name}, line {number}: {what}")
    if len(lines[0]) != len(lines[1]):
        return Compared(1, 1, first=f"{name}: {len(lines[0])} lines and {len(lines[1])}")
    return Compared(1)


def decoded(path: Path) -> str:
    """The shards of the explorer may be UTF-16, all else is UTF-8."""
    content = path.read_bytes()
    return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8", "backslashreplace")


def same_line(one: str, other: str, tolerance: float) -> bool:
    if one == other:
        return True
    numbers = [NUMBER.findall(line) for line in (one, other)]
    if NUMBER.sub("#", one) != NUMBER.sub("#", other) or len(numbers[0]) != len(numbers[1]):
        return False
    return all(
        first == second
        or (is_float(first) and is_float(second) and not far_apart(float(first), float(second), tolerance))  # type: ignore[arg-type]
        for first, second in zip(*numbers, strict=True)
    )


def is_float(number: str) -> bool:
    return bool(set(number) & set(".eE"))


def compare_bytes(name: Path, paths: tuple[Path, Path]) -> Compared:
    """What went in, and what is no text: by sha256."""
    sums = [sha256_of(path) for path in paths]
    if sums[0] == sums[1]:
        return Compared(1)
    return Compared(1, 1, first=f"{name}: sha256 is {sums[0]} and {sums[1]}")
