"""Files that are damaged or made to do harm are refused before a library reads them, and sound ones are not."""

import struct
import time
from pathlib import Path

import pytest
from gguf import GGUFReader
from hypothesis import example, given
from hypothesis import strategies as st

from gguf_files import array, gguf_bytes, key, make_gguf, tensor, text
from svdlens.errors import SvdlensError
from svdlens.models.gguf_header import check_gguf, readable_types

U32, TEXT, ARRAY = 4, 8, 9
MANY = 2**63


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def two(name: str = "b", offset: int = 128, **more: int) -> list[bytes]:
    return [tensor("a"), tensor(name, offset=offset, **more)]


# A file, and what the message has to have: the value and the rule.
HOSTILE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty": (b"", ("0 bytes", "no GGUF file")),
    "another kind of file": (b"PK\x03\x04" + bytes(100), ("no GGUF file", "does not begin with GGUF")),
    "nothing but its name": (b"GGUF", ("the version should be 4 bytes long", "ends 0 bytes after")),
    "version 1": (gguf_bytes(version=1), ("GGUF version 1", "versions 2 and 3")),
    "big-endian": (gguf_bytes(version=3 << 24), ("GGUF version 50331648", "little-endian")),
    "2^63 tensors": (gguf_bytes(n_tensors=MANY), (f"there are {MANY} tensors", "65536 at most")),
    "2^63 keys": (gguf_bytes(n_keys=MANY), (f"there are {MANY} keys", "65536 at most")),
    "more tensors than there are": (
        gguf_bytes([], [tensor()], b"", n_tensors=9),
        ("of the tensor ''", "cut short"),
    ),
    "more keys than there are": (gguf_bytes([], values=b"", n_keys=60_000), ("the type of ''", "cut short")),
    "long key": (gguf_bytes([text("k", MANY)]), (f"{MANY} bytes long", "1024 at most")),
    "key that is no UTF-8": (gguf_bytes([key("k", U32, u32(1)).replace(b"k", b"\xff")]), ("no UTF-8",)),
    "long value": (gguf_bytes([key("k", TEXT, text("v", 2**40))]), (f"'k' should be {2**40} bytes long", "cut short")),
    "value that is no UTF-8": (gguf_bytes([key("k", TEXT, text(b"\xff"))]), ("the value of 'k' is no UTF-8",)),
    "type of a value": (gguf_bytes([key("k", 13, u32(1))]), ("'k' has the type 13", "GGUF does not have")),
    "type of elements": (gguf_bytes([key("k", ARRAY, array(77, []))]), ("elements of 'k' have the type 77",)),
    "long array": (
        gguf_bytes([key("k", ARRAY, array(U32, [], count=MANY))]),
        (f"there are {MANY} elements of 'k'", "2097152 at most"),
    ),
    "array beyond the file": (
        gguf_bytes([key("k", ARRAY, array(U32, [], count=2**20))]),
        (f"the value of 'k' should be {2**22} bytes long",),
    ),
    "many short arrays": (
        gguf_bytes([key(f"k{i}", ARRAY, array(0, [bytes(2**20)], count=2**20)) for i in range(3)]),
        ("elements of 'k2'", "2097152 in all arrays", "reads 0 at most"),
    ),
    "long element": (gguf_bytes([key("k", ARRAY, array(TEXT, [text("t" * 4097)]))]), ("4097 bytes", "4096 at most")),
    "array of arrays": (
        gguf_bytes([key("k", ARRAY, array(ARRAY, [array(ARRAY, [array(U32, [])])]))]),
        ("'k' is an array of arrays", "without this key"),
    ),
    "key twice": (gguf_bytes([key("k", U32, u32(1))] * 2), ("the key 'k' of the metadata is there twice",)),
    "reserved key": (gguf_bytes([key("GGUF.version", U32, u32(1))]), ("the key 'GGUF.version'", "twice")),
    "alignment 0": (gguf_bytes([key("general.alignment", U32, u32(0))]), ("alignment is 0", "no", "power of two")),
    "alignment 24": (gguf_bytes([key("general.alignment", U32, u32(24))]), ("alignment is 24", "power of two")),
    "alignment that is a text": (gguf_bytes([key("general.alignment", TEXT, text("a"))]), ("of type 8", "uint32")),
    "alignment beyond the file": (
        gguf_bytes([key("general.alignment", U32, u32(2**31))], [tensor()]),
        ("'output_norm.weight' should end at byte", "cut short"),
    ),
    "type of a tensor": (gguf_bytes([], [tensor(kind=99)]), ("type 99, unknown", "Q4_1, Q4_K", "Use a file")),
    "type that none can dequantise": (gguf_bytes([], [tensor(kind=26)]), ("has the type I32", "cannot be read")),
    "no dimensions": (gguf_bytes([], [tensor(shape=())]), ("is [] of type F32", "at least one dimension")),
    "a dimension of 0": (gguf_bytes([], [tensor(shape=(0,))]), ("is [0] of type F32", "at least 1")),
    "2^32 dimensions": (gguf_bytes([], [text("a") + u32(2**32 - 1)]), (f"{2**32 - 1} dimensions", "4 at most")),
    "part of a block": (gguf_bytes([], [tensor(shape=(33,), kind=3)]), ("[33] of type Q4_1", "a multiple of 32")),
    # As 64 bits, the product of these is 0.
    "product of dimensions": (gguf_bytes([], [tensor(shape=(2**32, 2**32))]), (str(2**66 + 96), "cut short")),
    "offset": (gguf_bytes([], [tensor(offset=MANY)]), (f"byte {MANY + 96 + 128}", "cut short")),
    "offset beside the alignment": (gguf_bytes([], [tensor(offset=1)], bytes(256)), ("begins at 1", "alignment 32")),
    "tensor twice": (gguf_bytes([], two("a"), bytes(256)), ("the tensor 'a' is there twice",)),
    "tensors over one another": (gguf_bytes([], two(offset=96), bytes(256)), ("'b' begins at 96", "ends at 128")),
    "values that are cut short": (gguf_bytes([], [tensor()], bytes(127)), ("end at byte", "cut short or damaged")),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_at_once(case: str, tmp_path: Path) -> None:
    content, parts = HOSTILE[case]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    readable_types()  # the first time takes longer
    start = time.process_time()
    with pytest.raises(SvdlensError) as error:
        check_gguf(path, "model 'mine'")
    assert time.process_time() - start < 1
    said = str(error.value)
    assert said.startswith("model 'mine': ") and "\n" not in said and said.endswith(".")
    assert all(part in said for part in parts), said


SOUND: dict[str, bytes] = {
    "nothing in it": gguf_bytes(),
    "every type of number": gguf_bytes(
        [key(f"k{kind}", kind, bytes(size)) for kind, size in enumerate([1, 1, 2, 2, 4, 4, 4, 1])]
        + [key(f"k{kind}", kind, bytes(8)) for kind in (10, 11, 12)]
    ),
    "arrays": gguf_bytes(
        [
            key("texts", ARRAY, array(TEXT, [text("a"), text(""), text("ü")])),
            key("numbers", ARRAY, array(6, [bytes(4)] * 5)),
            key("empty", ARRAY, array(TEXT, [])),
        ]
    ),
    "two tensors, and more after them": gguf_bytes([], two(), bytes(1000)),
    "another alignment": gguf_bytes([key("general.alignment", U32, u32(64))], [tensor()], alignment=64),
    "version 2": gguf_bytes([key("k", TEXT, text("v"))], [tensor()], version=2),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_file_is_read_as_the_library_does(case: str, tmp_path: Path) -> None:
    path = tmp_path / "sound.gguf"
    path.write_bytes(SOUND[case])
    check_gguf(path, "model 'mine'")
    GGUFReader(path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gguf("llama", tmp_path_factory.mktemp("gguf"), "Q4_1")[1]


def judge(content: bytes, path: Path) -> bool:
    """Whether a file is taken for sound; then the library must be able to read all of it."""
    path.write_bytes(content)
    try:
        check_gguf(path, "model 'mine'")
    except SvdlensError:
        return False
    reader = GGUFReader(path)
    for field in reader.fields.values():
        field.contents()
    return True


@given(at=st.integers(0, 12_000), bits=st.integers(1, 255))
@example(at=8, bits=255)
def test_what_passes_with_any_byte_changed_the_library_can_read(at: int, bits: int, tiny: Path) -> None:
    content = bytearray(tiny.read_bytes())
    content[at] ^= bits
    judge(bytes(content), tiny.with_name("changed.gguf"))


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_anywhere_is_refused(share: float, tiny: Path) -> None:
    content = tiny.read_bytes()
    assert not judge(content[: int(share * len(content))], tiny.with_name("cut.gguf"))


@given(rest=st.binary(max_size=400))
def test_a_header_of_any_bytes_is_refused_or_read(rest: bytes, tiny: Path) -> None:
    judge(b"GGUF" + struct.pack("<I", 3) + rest, tiny.with_name("any.gguf"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SvdlensError, match=r"cannot read missing\.gguf"):
        check_gguf(tmp_path / "missing.gguf", "model 'mine'")
