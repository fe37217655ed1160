"""A file whose header lies is refused before a tensor of it is read; NaN and infinity are found wherever they are."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file

from svdlens.errors import SvdlensError
from svdlens.models import safetensors_files
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.safetensors_files import (
    StoredTensor,
    count_not_finite,
    read_json,
    read_tensors,
    write_in_pieces,
)

WHERE = "model 'mine' in here"


def write_file(path: Path, header: bytes, data: bytes, length: int | None = None) -> None:
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header + data)


def entry(name: str, *offsets: int, dtype: str = "F32", shape: str = "2") -> str:
    return f'"{name}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":{list(offsets)}}}'


# The header, the number of bytes after it, and what the message says of it.
HOSTILE: dict[str, tuple[bytes, int, str]] = {
    "overlap": (f"{{{entry('a', 0, 8)},{entry('b', 4, 12)}}}".encode(), 12, "invalid offset for tensor `b`"),
    "the same bytes twice": (f"{{{entry('a', 0, 8)},{entry('b', 0, 8)}}}".encode(), 8, "invalid offset"),
    "a gap": (f"{{{entry('a', 0, 8)},{entry('b', 12, 20)}}}".encode(), 20, "invalid offset for tensor `b`"),
    "bytes before the first": (f"{{{entry('a', 4, 12)}}}".encode(), 12, "invalid offset"),
    "past the end": (f"{{{entry('a', 0, 8)}}}".encode(), 4, "cut short or damaged"),
    "more values than bytes": (f"{{{entry('a', 0, 8, shape='3')}}}".encode(), 8, "invalid shape"),
    "negative": (f"{{{entry('a', 0, 8, shape='-2')}}}".encode(), 8, "invalid value"),
    "a fraction": (f"{{{entry('a', 0, 8, shape='2.0')}}}".encode(), 8, "invalid type"),
    "a product that overflows": (f"{{{entry('a', 0, 0, shape=f'{2**63},2')}}}".encode(), 0, "overflow"),
    "an unknown type": (f"{{{entry('a', 0, 8, dtype='F33')}}}".encode(), 8, "unknown variant `F33`"),
    "not UTF-8": (b'{"\xff":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8, "UTF-8"),
    "not JSON": (b"{'a': 1}", 8, "invalid JSON"),
    "a list": (b"[]", 0, "invalid JSON"),
    "nested without end": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 0, "recursion limit"),
    "a name twice": (f"{{{entry('a', 0, 8)},{entry('b', 8, 16)},{entry('a', 0, 8)}}}".encode(), 16, "'a' 2 times"),
    "a name twice, once escaped": (f"{{{entry('a', 0, 8)},{entry(chr(92) + 'u0061', 0, 8)}}}".encode(), 8, "'a' 2 tim"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_header_that_lies_is_refused(case: str, tmp_path: Path) -> None:
    header, n_bytes, message = HOSTILE[case]
    write_file(tmp_path / "model.safetensors", header, bytes(n_bytes))
    with pytest.raises(SvdlensError) as error:
        read_tensors(tmp_path, str, WHERE)
    assert str(error.value).startswith(f"{WHERE}: ")
    assert "model.safetensors" in str(error.value)
    assert message in str(error.value)
    assert "again" in str(error.value)  # fetch, copy or save it


@pytest.mark.parametrize("length", [0, 1, 10**8 + 1, 2**63, 2**64 - 1])
def test_a_header_of_another_length_than_the_file_says_is_refused(length: int, tmp_path: Path) -> None:
    write_file(tmp_path / "model.safetensors", f"{{{entry('a', 0, 8)}}}".encode(), bytes(8), length)
    with pytest.raises(SvdlensError, match=r"cut short or damaged.*Delete it, then fetch or copy it again"):
        read_tensors(tmp_path, str, WHERE)


def test_names_types_and_shapes_are_those_that_were_saved(tmp_path: Path) -> None:
    saved = {
        "model.b": np.zeros((3, 2), dtype=np.float16),
        "a": np.zeros((), dtype=np.int64),
        "model.c": np.zeros((0, 4), dtype=np.float64),
    }
    save_file(saved, tmp_path / "model.safetensors", {"format": "pt"})
    path = tmp_path / "model.safetensors"
    assert list(read_tensors(tmp_path, LAYOUTS["llama"].present_name, WHERE).items()) == [
        ("a", StoredTensor(path, "a", "I64", ())),
        ("b", StoredTensor(path, "model.b", "F16", (3, 2))),
        ("c", StoredTensor(path, "model.c", "F64", (0, 4))),
    ]


def test_json_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(SvdlensError, match=r"config\.json is not JSON .* copy it again"):
        read_json(tmp_path / "config.json", WHERE)


@given(
    shape=st.one_of(st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 12), st.integers(1, 12))),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    read_at_once=st.integers(1, 50),
    data=st.data(),
)
def test_every_value_that_is_not_finite_is_counted_in_pieces_of_any_size(
    shape: tuple[int, ...], dtype: torch.dtype, read_at_once: int, data: st.DataObject, tmp_path_factory
) -> None:
    values = torch.ones(shape)
    places = data.draw(st.sets(st.integers(0, values.numel() - 1)))
    for place in places:
        values.view(-1)[place] = data.draw(st.sampled_from([float("nan"), float("inf"), -float("inf")]))
    directory = tmp_path_factory.mktemp("values")
    save_torch_file({"before": torch.full((5,), float("nan")), "w": values.to(dtype)}, directory / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safetensors_files, "READ_AT_ONCE", read_at_once)
        assert count_not_finite(read_tensors(directory, str, WHERE)["w"]) == len(places)


def test_the_largest_finite_numbers_are_finite(tmp_path: Path) -> None:
    types = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    largest = {str(dtype): torch.tensor([torch.finfo(dtype).max], dtype=dtype) for dtype in types}
    save_torch_file(largest, tmp_path / "model.safetensors")
    tensors = read_tensors(tmp_path, str, WHERE)
    assert [count_not_finite(tensor) for tensor in tensors.values()] == [0] * 4


def test_an_index_that_is_none_is_refused(tmp_path: Path) -> None:
    for content in ({}, {"weight_map": {}}, {"weight_map": ["model-00001-of-00001.safetensors"]}):
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
        with pytest.raises(SvdlensError, match=r"index\.json has no weight_map\. Fetch or copy it again"):
            read_tensors(tmp_path, str, WHERE)


@given(seed=st.integers(0, 2**32), rows_at_once=st.integers(1, 7))
def test_a_file_written_in_pieces_is_read_as_one_written_whole(seed: int, rows_at_once: int) -> None:
    random = np.random.default_rng(seed)
    shapes = {f"t{i}": tuple(random.integers(1, 6, random.integers(1, 4)).tolist()) for i in range(4)}
    tensors = {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}

    def pieces_of(name: str) -> Iterator[np.ndarray]:
        rows = tensors[name][:, ::-1] if tensors[name].ndim > 1 else tensors[name]  # not contiguous
        return (rows[i : i + rows_at_once] for i in range(0, len(rows), rows_at_once))

    with TemporaryDirectory() as directory:
        path = Path(directory) / "model.safetensors"
        write_in_pieces(path, shapes, pieces_of)
        for name, values in load_file(path).items():
            assert np.array_equal(values, np.concatenate(list(pieces_of(name))))
        assert read_tensors(Path(directory), str, WHERE).keys() == tensors.keys()


def test_pieces_that_do_not_fill_a_tensor_write_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"12 bytes of a, which is \[4\] float32"):
        write_in_pieces(tmp_path / "model.safetensors", {"a": (4,)}, lambda name: [np.ones(3, np.float32)])
    assert list(tmp_path.iterdir()) == []
