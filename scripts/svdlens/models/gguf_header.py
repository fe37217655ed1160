"""Is this file a GGUF file that can safely be read? Asked of its header, before any library sees it.

A GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) is a header, with metadata (keys and values)
and a table of tensors, and the values of the tensors. Its numbers say how long each part is, and may come from anyone:
the libraries that read it believe them. Here no loop is longer, and nothing that is kept larger, than what the file
holds. In every function `where` begins the messages of errors; it says which model it is and where it lies.
"""

import math
import mmap
import struct
from contextlib import suppress
from functools import cache
from pathlib import Path

from svdlens.errors import SvdlensError

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # 1 had lengths of 32 bits
ALIGNMENT = 32  # of the values, where the metadata name no other
# Many times what real files have. Libraries make one or more objects of each.
MOST_KEYS = 1 << 16
MOST_TENSORS = 1 << 16
MOST_ELEMENTS = 1 << 21  # of all arrays of the metadata together; three for each token of a vocabulary
MOST_DIMENSIONS = 4
LONGEST_KEY = 1 << 10  # bytes, of the names of keys and tensors
LONGEST_ELEMENT = 1 << 12  # bytes, of a text in an array, such as a token

TEXT, ARRAY = 8, 9
# The other types of metadata, by their numbers: as struct writes them.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
# Names under which the library keeps what is no metadata.
RESERVED = ("GGUF.version", "GGUF.tensor_count", "GGUF.kv_count")

AGAIN = "Fetch or copy the file again, from a source that you trust."


class Cursor:
    """Reads a file from its beginning on, and stops where it would read beyond its end."""

    def __init__(self, data: mmap.mmap, where: str) -> None:
        self.data, self.where, self.at = data, where, 0

    def error(self, problem: str, fix: str = AGAIN) -> SvdlensError:
        return SvdlensError(f"{self.where}: {problem}. {fix}")

    def bytes(self, length: int, what: str) -> bytes:
        """The next `length` bytes. Raises SvdlensError if there are fewer; `what` says what they are."""
        left = len(self.data) - self.at
        if length > left:
            raise self.error(
                f"{what} should be {length} bytes long, but the file of {len(self.data)} bytes ends {left} bytes after "
                f"its beginning: the file is cut short or damaged"
            )
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, form: str, what: str) -> int:
        """The next number, in a form of struct, little-endian."""
        (value,) = struct.unpack(f"<{form}", self.bytes(struct.calcsize(f"<{form}"), what))
        return int(value)

    def count(self, form: str, what: str, most: int) -> int:
        """The next number, which says how many. Raises SvdlensError if it is larger than `most`."""
        value = self.number(form, f"the number of {what}")
        if value > most:
            raise self.error(f"the header says that there are {value} {what}; svdlens reads {most} at most")
        return value

    def text(self, what: str, longest: int | None = None) -> str:
        """The next text. Raises SvdlensError if it is no UTF-8, or longer than `longest` bytes (None: any length)."""
        length = self.number("Q", f"the length of {what}")
        if longest is not None and length > longest:
            raise self.error(f"{what} should be {length} bytes long; svdlens reads {longest} at most")
        try:
            return self.bytes(length, what).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"{what} is no UTF-8 ({error})") from error


def check_gguf(path: Path, where: str) -> None:
    """Raises SvdlensError unless libraries can read the header of the GGUF file, and its tensors lie in the file.

    Refused are: lengths and counts beyond the file or beyond what real files have, arrays of arrays, names that occur
    twice, types of metadata that there are not, types of tensors that the library gguf cannot dequantise, and tensors
    that overlap or do not lie where their alignment wants them. Reads the header alone.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise SvdlensError(f"{where}: cannot read {path.name} ({error.strerror}). Make it readable.") from error
    with file:
        size = path.stat().st_size
        if size < len(MAGIC) or file.read(len(MAGIC)) != MAGIC:
            raise SvdlensError(
                f"{where}: {path.name} ({size} bytes) is no GGUF file: it does not begin with {MAGIC.decode()}. {AGAIN}"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_header(Cursor(data, where))


def gguf_architecture(path: Path) -> str | None:
    """What the metadata of a GGUF file call its architecture; None where they do not. Reads no further than that.

    Raises SvdlensError for a header that cannot be read, OSError and ValueError for a file that cannot.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor = Cursor(data, str(path))
        if cursor.bytes(len(MAGIC), "the first word") != MAGIC or cursor.number("I", "the version") not in VERSIONS:
            return None
        cursor.number("Q", "the number of tensors")
        for _ in range(cursor.count("Q", "keys of the metadata", MOST_KEYS)):
            key = cursor.text("a key of the metadata", LONGEST_KEY)
            kind = cursor.number("I", f"the type of {key!r}")
            if key == "general.architecture":
                return cursor.text(key, LONGEST_KEY) if kind == TEXT else None
            skip_value(cursor, key, kind, MOST_ELEMENTS)
    return None


def check_header(cursor: Cursor) -> None:
    """Raises SvdlensError for what check_gguf refuses. `cursor` stands at the beginning of the file."""
    cursor.bytes(len(MAGIC), "the first word")
    version = cursor.number("I", "the version")
    if version not in VERSIONS:
        raise cursor.error(
            f"it is GGUF version {version}; svdlens reads versions {' and '.join(map(str, VERSIONS))}, little-endian",
            "Convert the model to GGUF again.",
        )
    n_tensors = cursor.count("Q", "tensors", MOST_TENSORS)
    n_keys = cursor.count("Q", "keys of the metadata", MOST_KEYS)
    alignment = check_metadata(cursor, n_keys)
    tensors: dict[str, tuple[int, int]] = {}
    for _ in range(n_tensors):
        name = cursor.text("the name of a tensor", LONGEST_KEY)
        if name in tensors:
            raise cursor.error(f"the tensor {name!r} is there twice")
        tensors[name] = check_tensor(cursor, name)
    start = -(-cursor.at // alignment) * alignment
    check_places(cursor, tensors, start, alignment)


def check_metadata(cursor: Cursor, n_keys: int) -> int:
    """The alignment that the metadata name. Raises SvdlensError if a key or a value cannot be read."""
    alignment, n_elements = ALIGNMENT, 0
    keys = set(RESERVED)
    for _ in range(n_keys):
        key = cursor.text("a key of the metadata", LONGEST_KEY)
        if key in keys:
            raise cursor.error(f"the key {key!r} of the metadata is there twice")
        keys.add(key)
        kind = cursor.number("I", f"the type of {key!r}")
        if key == "general.alignment":
            alignment = cursor.number("I", key) if kind == 4 else 0
            if alignment < 1 or alignment & (alignment - 1):
                raise cursor.error(f"{key} is {alignment} of type {kind}, not a power of two of type 4 (uint32)")
        else:
            n_elements += skip_value(cursor, key, kind, MOST_ELEMENTS - n_elements)
    return alignment


def skip_value(cursor: Cursor, key: str, kind: int, most: int) -> int:
    """Go past the value of a key; how many elements it has, if it is an array. Raises SvdlensError if it is none."""
    if kind == ARRAY:
        return check_array(cursor, key, most)
    if kind == TEXT:
        cursor.text(f"the value of {key!r}")
    elif kind in NUMBERS:
        cursor.number(NUMBERS[kind], f"the value of {key!r}")
    else:
        raise cursor.error(f"the value of {key!r} has the type {kind}, which GGUF does not have")
    return 0


def check_array(cursor: Cursor, key: str, most: int) -> int:
    """The number of elements of the array that comes next. Raises SvdlensError if there are more than `most`."""
    kind = cursor.number("I", f"the type of the elements of {key!r}")
    if kind == ARRAY:
        raise cursor.error(
            f"the value of {key!r} is an array of arrays; svdlens reads arrays of numbers and of texts",
            "Convert the model to GGUF again, without this key.",
        )
    if kind != TEXT and kind not in NUMBERS:
        raise cursor.error(f"the elements of {key!r} have the type {kind}, which GGUF does not have")
    n_elements = cursor.count("Q", f"elements of {key!r} (of {MOST_ELEMENTS} in all arrays)", most)
    if kind == TEXT:
        for _ in range(n_elements):
            cursor.text(f"an element of {key!r}", LONGEST_ELEMENT)
    else:
        cursor.bytes(n_elements * struct.calcsize(f"<{NUMBERS[kind]}"), f"the value of {key!r}")
    return n_elements


def check_tensor(cursor: Cursor, name: str) -> tuple[int, int]:
    """Where the values of the next entry of the table begin, and how many bytes they are.

    Raises SvdlensError for dimensions that cannot be, and for a type that cannot be dequantised.
    """
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    n_dimensions = cursor.count("I", f"dimensions of the tensor {name!r}", MOST_DIMENSIONS)
    shape = [cursor.number("Q", f"a dimension of the tensor {name!r}") for _ in range(n_dimensions)]
    number = cursor.number("I", f"the type of the tensor {name!r}")
    offset = cursor.number("Q", f"the place of the tensor {name!r}")
    readable = readable_types()
    if number not in readable:
        raise cursor.error(
            f"the tensor {name!r} has the type {type_name(number)}, which cannot be read. Types that can: "
            f"{', '.join(sorted(readable.values()))}",
            "Use a file of the model with such types.",
        )
    values_in_block, bytes_in_block = GGML_QUANT_SIZES[GGMLQuantizationType(number)]
    if not shape or min(shape) < 1 or shape[0] % values_in_block:
        raise cursor.error(
            f"the tensor {name!r} is {shape} of type {readable[number]}; it must have at least one dimension, each at "
            f"least 1, and the first a multiple of {values_in_block}"
        )
    return offset, math.prod(shape) // values_in_block * bytes_in_block


def check_places(cursor: Cursor, tensors: dict[str, tuple[int, int]], start: int, alignment: int) -> None:
    """Raises SvdlensError unless the tensors (by name: offset from `start` and size) lie in the file, side by side."""
    end = 0
    for name, (offset, size) in sorted(tensors.items(), key=lambda item: item[1]):
        if offset % alignment:
            raise cursor.error(f"the tensor {name!r} begins at {offset}, no multiple of the alignment {alignment}")
        if offset < end:
            raise cursor.error(f"the tensor {name!r} begins at {offset}, within another that ends at {end}")
        end = offset + size
        if start + end > len(cursor.data):
            raise cursor.error(
                f"the tensor {name!r} should end at byte {start + end}, but the file has {len(cursor.data)} bytes: it "
                f"is cut short or damaged"
            )


@cache
def readable_types() -> dict[int, str]:
    """The types of tensors that the library gguf can dequantise: their names by their numbers."""
    import numpy as np
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    readable = {}
    for kind in GGMLQuantizationType:
        block = np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8)
        with suppress(NotImplementedError):
            dequantize(block, kind)
            readable[int(kind)] = kind.name
    return readable


def type_name(number: int) -> str:
    """The name of a type of tensors, such as Q4_1, or its number where the library gguf does not know it."""
    from gguf.constants import GGMLQuantizationType

    names = {int(kind): kind.name for kind in GGMLQuantizationType}
    return names.get(number, f"{number}, unknown to the library gguf")
