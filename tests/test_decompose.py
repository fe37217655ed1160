"""Singular values and vectors against numpy's dense float64 SVD, planted matrices, and real attention of gpt2-small."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from safetensors.torch import save_file

import decompose_matrices
from shared_data import shared
from svdlens.decompose import (
    Decomposition,
    decompose_dense,
    decompose_layer,
    decompose_product,
    fix_signs,
    stack_layers,
)
from svdlens.errors import SvdlensError
from svdlens.settings import Setting
from svdlens.threads import single_threaded_pool
from svdlens.weights import WeightFile, factors

EVERY = 10_000  # more directions than any matrix here has
# The side whose largest coordinate is positive: the residual stream's, and of two the one that writes or asks.
DECIDING = {"ov": "right", "qk": "left", "mlp_in": "left", "mlp_out": "right"}

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """The number of torch threads is global, and scripts change it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def orthonormal(seed: int, size: int, count: int) -> np.ndarray:
    """`count` orthonormal rows."""
    return np.linalg.qr(normal(seed, size, count))[0].T


def write_weights(path: Path, layers: int, heads: int, d_model: int, d_head: int, d_mlp: int, seed: int) -> WeightFile:
    """A weight file with attention and MLP; gains are not one."""
    generator = np.random.default_rng(seed)
    shapes = {
        **{f"attn.W_{name}": (heads, d_model, d_head) for name in "QKV"},
        "attn.W_O": (heads, d_head, d_model),
        "ln1.w": (d_model,),
        "mlp.W_in": (d_model, d_mlp),
        "mlp.W_out": (d_mlp, d_model),
        "ln2.w": (d_model,),
    }
    tensors = {
        f"blocks.{layer}.{name}": torch.from_numpy(generator.standard_normal(shape).astype(np.float32))
        for layer in range(layers)
        for name, shape in shapes.items()
    }
    save_file(tensors, path)
    return WeightFile(path)


def decompose_all(
    weights: WeightFile, matrix: str, directions: int = EVERY, jobs: int = 1
) -> list[list[Decomposition]]:
    with single_threaded_pool(jobs) as pool:
        return [decompose_layer(weights, matrix, layer, Setting(), directions, pool) for layer in range(weights.layers)]


def check_svd(found: Decomposition, dense: np.ndarray, rank: int) -> None:
    """`found` has every direction of `dense`, up to `rank` of them."""
    left, values, right = (part.numpy() for part in found)
    expected = np.linalg.svd(dense, compute_uv=False)
    tolerance = 1e-10 * max(expected[0], 1e-300)
    assert values.shape == (rank,)
    assert left.shape == (rank, dense.shape[0])
    assert right.shape == (rank, dense.shape[1])
    assert left.dtype == values.dtype == right.dtype == np.float64
    np.testing.assert_allclose(values, expected[:rank], rtol=0, atol=tolerance)
    assert (expected[rank:] <= tolerance).all()
    assert (np.diff(values) <= 0).all()
    assert (values >= 0).all()
    np.testing.assert_allclose(left.T @ np.diag(values) @ right, dense, rtol=0, atol=tolerance)
    for vectors in (left, right):
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(rank), rtol=0, atol=1e-10)


# --- values, vectors, reconstruction


@settings(max_examples=25)
@given(data=st.data(), d_model=st.integers(2, 24), heads=st.integers(1, 3), seed=seeds)
def test_products_of_heads_against_numpy(data, tmp_path_factory, d_model, heads, seed):
    d_head = data.draw(st.integers(1, d_model + 2))
    path = tmp_path_factory.mktemp("heads") / "attention.safetensors"
    weights = write_weights(path, 2, heads, d_model, d_head, 3, seed)
    raw = {name: tensor.astype(np.float64) for name, tensor in load_file(path).items()}
    for matrix, transposed in (("ov", False), ("qk", True)):
        for layer, decompositions in enumerate(decompose_all(weights, matrix)):
            assert len(decompositions) == heads
            first = raw[f"blocks.{layer}.attn.W_{'Q' if transposed else 'V'}"]
            second = raw[f"blocks.{layer}.attn.W_{'K' if transposed else 'O'}"]
            for head, found in enumerate(decompositions):
                dense = first[head] @ (second[head].T if transposed else second[head])
                check_svd(found, dense, min(d_model, d_head))


@settings(max_examples=40)
@given(d_model=st.integers(2, 24), d_mlp=st.integers(1, 40), seed=seeds)
def test_dense_matrices_against_numpy(tmp_path_factory, d_model, d_mlp, seed):
    path = tmp_path_factory.mktemp("mlp") / "mlp.safetensors"
    weights = write_weights(path, 1, 1, d_model, 1, d_mlp, seed)
    raw = {name: tensor.astype(np.float64) for name, tensor in load_file(path).items()}
    for matrix, name in (("mlp_in", "W_in"), ("mlp_out", "W_out")):
        [[found]] = decompose_all(weights, matrix)
        check_svd(found, raw[f"blocks.0.mlp.{name}"], min(d_model, d_mlp))


@settings(max_examples=25)
@given(
    d_in=st.integers(1, 12),
    inner=st.integers(1, 14),
    d_out=st.integers(1, 12),
    scale=st.integers(-100, 100),
    seed=seeds,
)
def test_products_of_any_shape_and_scale(d_in, inner, d_out, scale, seed):
    first, second = normal(seed, d_in, inner) * 10.0**scale, normal(seed + 1, inner, d_out)
    found = decompose_product(torch.from_numpy(first), torch.from_numpy(second), EVERY)
    check_svd(found, first @ second, min(d_in, inner, d_out))


@pytest.mark.parametrize("directions", [1, 3, 8])
def test_fewer_directions_are_the_first_of_all_and_every_value_stays(directions: int) -> None:
    first, second = torch.from_numpy(normal(1, 20, 8)), torch.from_numpy(normal(2, 8, 20))
    for route in (
        lambda k: decompose_product(first, second, k),
        lambda k: decompose_dense(first @ second, k),
    ):
        every, some = route(EVERY), route(directions)
        assert torch.equal(some.values, every.values)
        for name in ("left", "right"):
            assert getattr(some, name).shape == (directions, 20)
            torch.testing.assert_close(getattr(some, name), getattr(every, name)[:directions], rtol=0, atol=1e-12)


@settings(max_examples=25)
@given(data=st.data(), d_model=st.integers(2, 20), d_head=st.integers(1, 20), seed=seeds)
def test_a_planted_rank_is_found(data, d_model, d_head, seed):
    rank = data.draw(st.integers(1, min(d_model, d_head)))
    first = orthonormal(seed, d_model, rank).T @ normal(seed + 1, rank, d_head)
    second = normal(seed + 2, d_head, d_model)
    found = decompose_product(torch.from_numpy(first), torch.from_numpy(second), EVERY)
    dense = first @ second
    check_svd(found, dense, min(d_model, d_head))
    # Of a random product the last value may be small; rounding errors are much smaller.
    assert (found.values[rank:] <= 1e-13 * found.values[0] * max(d_model, d_head)).all()
    assert found.values[rank - 1] > 0


def test_a_planted_spectrum_is_found() -> None:
    """Values over nine orders of magnitude, and vectors up to one sign for both sides."""
    left, right = orthonormal(1, 30, 6), orthonormal(2, 30, 6)
    values = np.array([1e3, 50.0, 3.0, 1.0, 1e-2, 1e-6])
    mixing = orthonormal(3, 6, 6)
    first, second = left.T * values @ mixing, mixing.T @ right
    for found in (
        decompose_product(torch.from_numpy(first), torch.from_numpy(second), EVERY),
        decompose_dense(torch.from_numpy(first @ second), 6),
    ):
        np.testing.assert_allclose(found.values[:6], values, rtol=0, atol=1e-12 * values[0])
        for row in range(5):
            agreement = [found.left[row].numpy() @ left[row], found.right[row].numpy() @ right[row]]
            np.testing.assert_allclose(np.abs(agreement), 1, atol=1e-8)
            assert agreement[0] * agreement[1] > 0


def test_rank_one() -> None:
    column, row = normal(1, 7, 1), normal(2, 1, 9)
    found = fix_signs(decompose_product(torch.from_numpy(column), torch.from_numpy(row), EVERY), "ov")
    check_svd(found, column @ row, 1)
    np.testing.assert_allclose(found.values[0], np.linalg.norm(column) * np.linalg.norm(row), rtol=1e-14)
    sign = np.sign(row[0, np.abs(row[0]).argmax()])
    np.testing.assert_allclose(found.right[0], sign * row[0] / np.linalg.norm(row), atol=1e-14)
    np.testing.assert_allclose(found.left[0], sign * column[:, 0] / np.linalg.norm(column), atol=1e-14)


def test_the_zero_matrix_has_zero_values_and_orthonormal_vectors() -> None:
    zeros = torch.zeros(6, 4, dtype=torch.float64)
    for found in (decompose_product(zeros, zeros.mT, EVERY), decompose_dense(zeros, EVERY)):
        for matrix in DECIDING:
            check_svd(fix_signs(found, matrix), np.zeros((6, found.right.shape[1])), 4)


def test_repeated_values_have_the_planted_subspaces() -> None:
    """The vectors of a block are arbitrary, the space that they span is not."""
    left, right = orthonormal(1, 16, 6), orthonormal(2, 16, 6)
    values = np.array([4.0, 4.0, 4.0, 2.0, 1.0, 1.0])
    first, second = torch.from_numpy(left.T * values), torch.from_numpy(right)
    for found in (decompose_product(first, second, EVERY), decompose_dense(first @ second, 6)):
        np.testing.assert_allclose(found.values[:6], values, atol=1e-13)
        for block in (slice(0, 3), slice(3, 4), slice(4, 6)):
            for vectors, planted in ((found.left.numpy(), left), (found.right.numpy(), right)):
                projector = vectors[block].T @ vectors[block]
                np.testing.assert_allclose(projector, planted[block].T @ planted[block], atol=1e-12)


# --- signs


@settings(max_examples=40)
@given(
    data=st.data(),
    d_in=st.integers(1, 12),
    d_out=st.integers(1, 12),
    matrix=st.sampled_from(list(DECIDING)),
    seed=seeds,
)
def test_the_sign_rule(data, d_in, d_out, matrix, seed):
    rank = min(d_in, d_out)
    dense = normal(seed, d_in, d_out)
    found = decompose_dense(torch.from_numpy(dense), EVERY)
    fixed = fix_signs(found, matrix)

    # Which signs the SVD came with does not matter.
    signs = data.draw(st.lists(st.sampled_from([1.0, -1.0]), min_size=rank, max_size=rank))
    flips = torch.tensor(signs, dtype=torch.float64)[:, None]
    flipped = fix_signs(found._replace(left=found.left * flips, right=found.right * flips), matrix)
    assert all(torch.equal(one, other) for one, other in zip(fixed, flipped, strict=True))

    # The deciding coordinate is positive; both sides are flipped together, and by nothing else than a sign.
    for row in getattr(fixed, DECIDING[matrix]).numpy():
        assert row[deciding_index(row)] > 0
    check_svd(fixed, dense, rank)
    assert torch.equal(fixed.left.abs(), found.left.abs())
    assert torch.equal(fixed.right.abs(), found.right.abs())


def deciding_index(row: np.ndarray) -> int:
    largest = max(abs(value) for value in row)
    return next(index for index, value in enumerate(row) if abs(value) >= largest * (1 - 1e-6))


@pytest.mark.parametrize(
    ("row", "sign"),
    [
        ([0.5, -0.9, 0.1], -1),
        ([0.5, 0.9, -0.1], +1),
        ([-0.7, 0.7, 0.7], -1),  # exact tie: the lowest index
        ([0.7, -0.7, -0.7], +1),
        ([0.1, -0.7, 0.7 * (1 + 5e-7)], -1),  # within 1e-6: the lowest index, though another is larger
        ([0.1, 0.7, -0.7 * (1 + 5e-7)], +1),
        ([0.1, -0.7, 0.7 * (1 + 2e-6)], +1),  # beyond: the largest
        ([0.7 * (1 + 5e-7), 0.1, -0.7], +1),
        ([-0.0, 0.0, 0.0], +1),  # nothing decides; left as it is
    ],
)
@pytest.mark.parametrize("matrix", DECIDING)
def test_ties_within_one_millionth_go_to_the_lowest_index(matrix: str, row: list[float], sign: int) -> None:
    deciding = torch.tensor([row], dtype=torch.float64)
    other = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    sides = (deciding, other) if DECIDING[matrix] == "left" else (other, deciding)
    fixed = fix_signs(Decomposition(sides[0], torch.ones(1), sides[1]), matrix)
    assert torch.equal(fixed.left, sign * sides[0])
    assert torch.equal(fixed.right, sign * sides[1])


def test_layers_have_their_signs_fixed(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights.safetensors", 2, 3, 12, 4, 24, seed=5)
    for matrix, side in DECIDING.items():
        rows = torch.cat([getattr(one, side) for layer in decompose_all(weights, matrix) for one in layer])
        assert all(row[deciding_index(row)] > 0 for row in rows.numpy())


# --- the arrays that are stored


@pytest.mark.parametrize("heads", [1, 3])
def test_stacked_layers_keep_their_dimensions(heads: int, tmp_path: Path) -> None:
    layers, d_model, d_head, d_mlp, k = 2, 10, 4, 15, 3
    weights = write_weights(tmp_path / "weights.safetensors", layers, heads, d_model, d_head, d_mlp, seed=1)
    shapes = {
        "ov": [(layers, heads, k, d_model), (layers, heads, d_head), (layers, heads, k, d_model)],
        "qk": [(layers, heads, k, d_model), (layers, heads, d_head), (layers, heads, k, d_model)],
        "mlp_in": [(layers, k, d_model), (layers, d_model), (layers, k, d_mlp)],
        "mlp_out": [(layers, k, d_mlp), (layers, d_model), (layers, k, d_model)],
    }
    for matrix, expected in shapes.items():
        decompositions = decompose_all(weights, matrix, k)
        stacked = stack_layers(iter(decompositions), matrix)
        assert list(stacked) == ["left", "values", "right"]
        assert [tuple(tensor.shape) for tensor in stacked.values()] == expected
        assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in stacked.values())
        last = stacked["left"][1, heads - 1] if matrix in ("ov", "qk") else stacked["left"][1]
        assert torch.equal(last, decompositions[1][-1].left.float())


# --- weights that are not finite


@pytest.mark.parametrize(
    ("matrix", "name", "value"),
    [
        ("ov", "attn.W_V", np.nan),
        ("ov", "attn.W_O", np.inf),
        ("qk", "attn.W_K", -np.inf),
        ("mlp_in", "mlp.W_in", np.nan),
        ("mlp_out", "mlp.W_out", np.inf),
    ],
)
def test_weights_that_are_not_finite_are_refused(matrix: str, name: str, value: float, tmp_path: Path) -> None:
    write_weights(tmp_path / "sound.safetensors", 2, 2, 8, 4, 16, seed=1)
    tensors = {name: torch.from_numpy(tensor) for name, tensor in load_file(tmp_path / "sound.safetensors").items()}
    tensors[f"blocks.1.{name}"].view(-1)[[3, 9]] = value
    save_file(tensors, tmp_path / "wrong.safetensors")
    with pytest.raises(SvdlensError, match=rf"^{matrix} of layer 1 has 2 weights that are NaN or infinite.*checkpoint"):
        run_script(tmp_path / "wrong.safetensors", matrix, tmp_path / "svd", threads=2)
    assert not (tmp_path / "svd").exists()


# --- the same bytes for any number of threads


class Wildcards(dict):
    """With attributes and items, like Snakemake's."""

    __getattr__ = dict.__getitem__


def run_script(weights: Path, matrix: str, directory: Path, threads: int, switches: tuple[str, ...] = ()) -> Path:
    names = ("read_gain", "read_center", "write_center")
    output = directory / f"{matrix}.safetensors"
    job = SimpleNamespace(
        wildcards=Wildcards({"matrix": matrix, **{name: "on" if name in switches else "off" for name in names}}),
        input=SimpleNamespace(weights=str(weights)),
        output=SimpleNamespace(svd=str(output)),
        params=SimpleNamespace(directions=32),
        threads=threads,
        log="",
    )
    decompose_matrices.main(job)
    return output


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough for LAPACK to share the work out among threads, if it may."""
    path = tmp_path_factory.mktemp("larger") / "weights.safetensors"
    write_weights(path, 2, 4, 192, 48, 384, seed=2)
    return path


@pytest.mark.parametrize("matrix", DECIDING)
def test_the_script_writes_the_same_bytes_for_one_and_two_threads(matrix: str, larger: Path, tmp_path: Path) -> None:
    contents = set()
    for threads in (1, 2):
        torch.set_num_threads(threads)  # as Snakemake does before a script starts, through the environment
        contents.add(run_script(larger, matrix, tmp_path / str(threads), threads).read_bytes())
    assert len(contents) == 1


def test_any_number_of_jobs_gives_the_bytes_of_single_threaded_lapack(larger: Path) -> None:
    """In float64, where a difference cannot be rounded away. The first matrix of a new thread is the dangerous one."""
    torch.set_num_threads(1)
    weights = WeightFile(larger)
    for matrix in DECIDING:
        expected = []
        for layer in range(weights.layers):
            parts = factors(weights, matrix, layer, Setting())
            if matrix in ("ov", "qk"):
                pairs = [(first.clone(), second.clone()) for first, second in zip(*parts, strict=True)]
                expected += [fix_signs(decompose_product(*pair, 32), matrix) for pair in pairs]
            else:
                expected.append(fix_signs(decompose_dense(parts[0], 32), matrix))
        for jobs in (1, 2):
            found = [one for layer in decompose_all(weights, matrix, 32, jobs) for one in layer]
            for one, other in zip(found, expected, strict=True):
                assert all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in zip(one, other, strict=True))


def test_the_script_applies_its_switches(tmp_path: Path) -> None:
    write_weights(tmp_path / "weights.safetensors", 1, 2, 12, 5, 20, seed=4)
    raw = {name: tensor.astype(np.float64) for name, tensor in load_file(tmp_path / "weights.safetensors").items()}
    W_V = raw["blocks.0.attn.W_V"] * raw["blocks.0.ln1.w"][:, None]
    W_V -= W_V.mean(axis=1, keepdims=True)
    W_O = raw["blocks.0.attn.W_O"] - raw["blocks.0.attn.W_O"].mean(axis=2, keepdims=True)
    expected = np.linalg.svd(W_V @ W_O, compute_uv=False)[:, :5]
    switches = ("read_gain", "read_center", "write_center")
    found = load_file(run_script(tmp_path / "weights.safetensors", "ov", tmp_path, 1, switches))
    np.testing.assert_allclose(found["values"][0], expected, rtol=1e-6, atol=0)


# --- real weights


def real_layer(layer: int) -> dict[str, np.ndarray]:
    raw = load_file(shared("gpt2-small-attention") / f"layer_{layer:02}.safetensors")
    return {name.split(f"h.{layer}.")[1]: tensor for name, tensor in raw.items()}


def decompose_real(layer: int, matrix: str, directory: Path) -> list[Decomposition]:
    """The attention of one layer of gpt2-small, as layer 0 of a weight file."""
    raw = real_layer(layer)
    tensors = {
        f"blocks.0.attn.W_{name}": part.reshape(768, 12, 64).transpose(1, 0, 2)
        for name, part in zip("QKV", np.split(raw["attn.c_attn.weight"], 3, axis=1), strict=True)
    }
    tensors["blocks.0.attn.W_O"] = raw["attn.c_proj.weight"].reshape(12, 64, 768)
    tensors["blocks.0.ln1.w"] = raw["ln_1.weight"]
    path = directory / "attention.safetensors"
    save_file({name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}, path)
    [decompositions] = decompose_all(WeightFile(path), matrix, 64)
    return decompositions


def test_ov_of_gpt2_small(tmp_path: Path) -> None:
    """The top values of layer 11, raw, are published with one decimal; every value against numpy for some heads."""
    decompositions = decompose_real(11, "ov", tmp_path)
    published = [120.9, 38.2, 38.1, 28.6, 97.8, 39.5, 37.6, 33.3, 480.9, 38.3, 29.1, 119.4]
    assert [round(one.values[0].item(), 1) for one in decompositions] == published
    raw = {name: tensor.astype(np.float64) for name, tensor in real_layer(11).items()}
    for head in (1, 8):
        rows = slice(64 * head, 64 * (head + 1))
        dense = raw["attn.c_attn.weight"][:, 2 * 768 :][:, rows] @ raw["attn.c_proj.weight"][rows]
        check_svd(decompositions[head], dense, 64)


def test_qk_of_gpt2_small(tmp_path: Path) -> None:
    decompositions = decompose_real(9, "qk", tmp_path)
    query, key, _ = np.split(real_layer(9)["attn.c_attn.weight"].astype(np.float64), 3, axis=1)
    dense = query[:, 64 * 5 : 64 * 6] @ key[:, 64 * 5 : 64 * 6].T
    check_svd(decompositions[5], dense, 64)
