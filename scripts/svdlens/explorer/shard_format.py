"""Shards: how the explorer's data lie in .js files that a page opened from disk may load (docs/explorer.md).

A shard is a call of `svdlens.shards.add(name, header, payload)`. Its columns are integers split into planes of bytes,
so that deflate finds the planes that hardly change, and the deflated bytes are written 15 bits to a UTF-16 character:
browsers read UTF-16 after its byte order mark, and a file so written is a fifth smaller than in base64.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from svdlens.artefacts.atomic_files import atomic_path

BYTE_ORDER_MARK = b"\xff\xfe"
FIRST_CHARACTER = 0x3400  # 32,768 characters from here on are letters of CJK, Yi and Hangul: no quotes, no surrogates
BITS = 15
SMALLEST_EXPONENT = -100
INFINITE_EXPONENT = 310  # of no number in float64


class Column(NamedTuple):
    """`values` are integers, texts, or floats of which `digits` significant digits are kept (NaN: none)."""

    name: str
    values: Any
    digits: int | None = None


def number_codes(values: Float[np.ndarray, "..."], digits: int) -> Int[np.ndarray, "..."]:
    """An integer for each number rounded to `digits` significant digits; the larger the number, the larger its code.

    Neighbours among the rounded numbers have codes that differ by 1, so that steps between sorted numbers are small.
    Magnitudes below 10^-100 are 0. NaN is not allowed here.
    """
    magnitudes = np.abs(np.asarray(values, dtype=np.float64))
    infinite = np.isinf(magnitudes)
    magnitudes = np.where(infinite | (magnitudes < 10.0**SMALLEST_EXPONENT), 0.0, magnitudes)
    smallest, span = 10 ** (digits - 1), 9 * 10 ** (digits - 1)
    exponents = np.floor(np.log10(np.where(magnitudes > 0, magnitudes, 1.0))).astype(np.int64)
    # Scaled by exact powers of ten; 10^22 is the last of them in float64.
    shifts = digits - 1 - exponents
    powers = 10.0 ** np.abs(shifts)
    scaled = np.where(shifts >= 0, magnitudes * np.where(shifts >= 0, powers, 1.0), magnitudes / powers)
    mantissas = np.rint(scaled)
    # Scaling rounds as well: numbers so close to the middle between two others are rounded from all their digits.
    for index in zip(*np.nonzero(np.abs(np.abs(scaled - mantissas) - 0.5) < 1e-9), strict=True):
        mantissas[index] = int(f"{magnitudes[index]:.{digits - 1}e}".partition("e")[0].replace(".", ""))
    # Rounding leads up to the next power of ten, and the logarithm of numbers just below one is rounded up to it.
    above, below = mantissas >= 10 * smallest, mantissas < smallest
    exponents = exponents + above
    mantissas = np.where(above, smallest, np.where(below, 10 * smallest - 1, mantissas)).astype(np.int64)
    exponents = exponents - below
    codes = 1 + (exponents - SMALLEST_EXPONENT) * span + mantissas - smallest
    codes = np.where(infinite, 1 + (INFINITE_EXPONENT - SMALLEST_EXPONENT) * span, np.where(magnitudes > 0, codes, 0))
    return np.where(np.asarray(values) < 0, -codes, codes)


def number_values(codes: Int[np.ndarray, "..."], digits: int) -> Float[np.ndarray, "..."]:
    """The rounded numbers that have these codes."""
    codes = np.asarray(codes)
    smallest, span = 10 ** (digits - 1), 9 * 10 ** (digits - 1)
    numbers = np.abs(codes) - 1
    mantissas = numbers % span + smallest
    shifts = (numbers // span + SMALLEST_EXPONENT - digits + 1).astype(np.float64)
    with np.errstate(over="ignore"):
        upwards, downwards = 10.0 ** np.maximum(shifts, 0), 10.0 ** np.maximum(-shifts, 0)
        values = np.where(shifts < 0, mantissas / downwards, mantissas * upwards)
    return np.where(codes == 0, 0.0, np.sign(codes) * values)


def planes_of(values: Int[np.ndarray, " n"]) -> tuple[dict[str, int], bytes]:
    """What is needed to read integers back, and their bytes: all lowest bytes, all next ones, and so on."""
    values = np.asarray(values, dtype=np.int64).reshape(-1)
    minimum = int(values.min()) if values.size else 0
    rest = (values - minimum).astype(np.uint64)
    width = (int(rest.max()).bit_length() + 7) // 8 if values.size else 0
    planes = [((rest >> np.uint64(8 * byte)) & np.uint64(255)).astype(np.uint8).tobytes() for byte in range(width)]
    return {"count": values.size, "bytes": width, "minimum": minimum}, b"".join(planes)


def column_bytes(column: Column) -> tuple[dict[str, Any], bytes]:
    """The entry of a column in the header of its shard, and its bytes."""
    if column.digits is not None:
        values = np.asarray(column.values, dtype=np.float64).reshape(-1)
        codes = np.zeros(values.size, dtype=np.int64)
        known = ~np.isnan(values)
        codes[known] = number_codes(values[known], column.digits)
        # The smallest code stands for none where something is none.
        has_none = not known.all()
        if has_none:
            codes[~known] = codes[known].min(initial=0) - 1
        entry, raw = planes_of(codes)
        return {"name": column.name, **entry, "digits": column.digits, "none": has_none}, raw
    if isinstance(column.values, np.ndarray):
        entry, raw = planes_of(column.values)
        return {"name": column.name, **entry}, raw
    # Half a surrogate pair is no text, and JSON writes it as an escape.
    raw = json.dumps(list(column.values), ensure_ascii=False).encode("utf-8", errors="surrogatepass")
    return {"name": column.name, "text": len(raw)}, raw


def characters_of(raw: bytes) -> bytes:
    """`raw` as UTF-16 (little endian), 15 bits a character, the last filled up with zeros."""
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))
    fifteen = np.concatenate([bits, np.zeros(-len(bits) % BITS, dtype=np.uint8)]).reshape(-1, BITS)
    sixteen = np.concatenate([np.zeros((len(fifteen), 1), dtype=np.uint8), fifteen], axis=1)
    symbols = np.packbits(sixteen, axis=1).view(">u2").reshape(-1)
    return (symbols + np.uint16(FIRST_CHARACTER)).astype("<u2").tobytes()


def bytes_of(characters: bytes, size: int) -> bytes:
    """The `size` bytes that `characters_of` wrote."""
    symbols = np.frombuffer(characters, dtype="<u2") - np.uint16(FIRST_CHARACTER)
    bits = np.unpackbits(symbols.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 1:]
    return np.packbits(bits.reshape(-1))[:size].tobytes()


def script_json(value: object) -> str:
    """JSON that may stand in any script: ASCII, and with no way to end an element of HTML."""
    return json.dumps(value, separators=(",", ":")).replace("</", "<\\/").replace("<!--", "<\\u0021--")


def write_shard(
    directory: Path, stem: str, columns: Sequence[Column], facts: Mapping[str, object] | None = None
) -> str:
    """Write the shard and return its name, `stem` with a hash of what it holds: equal shards are one file."""
    pieces = [column_bytes(column) for column in columns]
    packed = zlib.compress(b"".join(raw for _, raw in pieces), 9)
    header = {"columns": [entry for entry, _ in pieces], "facts": dict(facts or {}), "bytes": len(packed)}
    digest = hashlib.sha256(script_json(header).encode() + packed).hexdigest()[:10]
    name = f"{stem}_{digest}"
    path = Path(directory) / f"{name}.js"
    if not path.exists():
        before = f'svdlens.shards.add({script_json(name)},{script_json(header)},"'.encode("utf-16-le")
        with atomic_path(path) as temporary:
            temporary.write_bytes(BYTE_ORDER_MARK + before + characters_of(packed) + '");\n'.encode("utf-16-le"))
    return name


def read_shard(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns by name, and facts: what shards.js reads, for tests and for other programs."""
    text = Path(path).read_bytes().decode("utf-16")
    arguments = text.removeprefix("svdlens.shards.add(").removesuffix(");\n")
    name, after = json.JSONDecoder().raw_decode(arguments)
    header, end = json.JSONDecoder().raw_decode(arguments, after + 1)
    assert path.stem == name.rpartition("/")[2], "a shard has the name of its file"
    payload = arguments[end + 2 : -1].encode("utf-16-le")
    raw, at, columns = zlib.decompress(bytes_of(payload, header["bytes"])), 0, {}
    for entry in header["columns"]:
        if "text" in entry:
            columns[entry["name"]] = json.loads(raw[at : at + entry["text"]].decode("utf-8", "surrogatepass"))
            at += entry["text"]
            continue
        count, width = entry["count"], entry["bytes"]
        planes = np.frombuffer(raw, np.uint8, count * width, at).reshape(width, count).astype(np.int64)
        at += count * width
        values = entry["minimum"] + (planes << (8 * np.arange(width))[:, None]).sum(axis=0)
        if "digits" in entry:
            numbers = number_values(values, entry["digits"])
            columns[entry["name"]] = np.where((values == entry["minimum"]) & entry["none"], np.nan, numbers)
        else:
            columns[entry["name"]] = values
    return columns, header["facts"]
