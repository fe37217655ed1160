"""All matrices of a model: decompositions against numpy, the script, weights that cannot be decomposed."""

import json
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
from random_weights import check_svd, no_steps, orthonormal, write_weights
from shared_data import shared
from svdlens.errors import SvdlensError
from svdlens.runtime.compute import device_for
from svdlens.spec.matrix_kinds import MATRIX_KINDS, layers_and_heads
from svdlens.spec.settings import SWITCHES, Setting
from svdlens.svd.layer_by_layer import Task, chosen_numbers
from svdlens.svd.matrix_svd import VALUE_TOLERANCE, Decomposition, decompose, fix_signs
from svdlens.svd.model_stability import measure_layers
from svdlens.svd.model_svd import decompose_layers
from svdlens.svd.weight_noise import WeightNoise
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile

MATRICES = ("ov", "qk", "mlp_in", "mlp_out")

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """The number of torch threads is global, and jobs change it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def task(matrix: str, directions: int | None = None) -> Task:
    return Task(matrix, Setting(), directions)


def arrays_of(weights: WeightFile, wanted: Task, threads: int = 1) -> dict[str, torch.Tensor]:
    return decompose_layers(weights, wanted, range(weights.layers), threads)


def each_matrix(arrays: dict[str, torch.Tensor], matrix: str) -> list[Decomposition]:
    parts = [arrays[name].double() for name in Decomposition._fields]
    parts = [part.flatten(0, 1) for part in parts] if MATRIX_KINDS[matrix].per_head else parts
    return [Decomposition(*one) for one in zip(*parts, strict=True)]


# --- against numpy


@settings(max_examples=25)
@given(data=st.data(), d_model=st.integers(2, 24), heads=st.integers(1, 3), seed=seeds)
def test_products_of_heads_against_numpy(data, tmp_path_factory, d_model, heads, seed):
    d_head = data.draw(st.integers(1, d_model + 2))
    path = tmp_path_factory.mktemp("heads") / "attention.safetensors"
    weights = write_weights(path, 2, heads, d_model, d_head, 3, seed)
    raw = {name: tensor.astype(np.float64) for name, tensor in load_file(path).items()}
    for matrix, transposed in (("ov", False), ("qk", True)):
        svds = each_matrix(arrays_of(weights, task(matrix)), matrix)
        assert len(svds) == 2 * heads
        for number, one in enumerate(svds):
            layer, head = divmod(number, heads)
            first = raw[f"blocks.{layer}.attn.W_{'Q' if transposed else 'V'}"][head]
            second = raw[f"blocks.{layer}.attn.W_{'K' if transposed else 'O'}"][head]
            dense = first @ (second.T if transposed else second)
            check_svd(one, dense, min(d_model, d_head), relative=1e-6)  # stored in float32


@settings(max_examples=40)
@given(d_model=st.integers(2, 24), d_mlp=st.integers(1, 40), seed=seeds)
def test_mlps_against_numpy(tmp_path_factory, d_model, d_mlp, seed):
    path = tmp_path_factory.mktemp("mlp") / "mlp.safetensors"
    weights = write_weights(path, 1, 1, d_model, 1, d_mlp, seed)
    raw = {name: tensor.astype(np.float64) for name, tensor in load_file(path).items()}
    for matrix, name in (("mlp_in", "W_in"), ("mlp_out", "W_out")):
        [svd] = each_matrix(arrays_of(weights, task(matrix)), matrix)
        check_svd(svd, raw[f"blocks.0.mlp.{name}"], min(d_model, d_mlp), relative=1e-6)


def test_the_arrays_are_what_the_functions_for_one_matrix_find(tmp_path: Path) -> None:
    layers, heads, d_model, d_head, d_mlp, k = 2, 3, 10, 4, 15, 3
    weights = write_weights(tmp_path / "weights.safetensors", layers, heads, d_model, d_head, d_mlp, seed=1)
    shapes = {
        "ov": [(layers, heads, k, d_model), (layers, heads, d_head), (layers, heads, k, d_model)],
        "qk": [(layers, heads, k, d_model), (layers, heads, d_head), (layers, heads, k, d_model)],
        "mlp_in": [(layers, k, d_model), (layers, d_model), (layers, k, d_mlp)],
        "mlp_out": [(layers, k, d_mlp), (layers, d_model), (layers, k, d_model)],
    }
    for matrix, expected in shapes.items():
        arrays = arrays_of(weights, task(matrix, k))
        assert list(arrays) == list(Decomposition._fields)
        assert [tuple(array.shape) for array in arrays.values()] == expected
        assert [array.dtype for array in arrays.values()] == [torch.float32, torch.float64, torch.float32]
        assert all(array.is_contiguous() for array in arrays.values())
        # No more digits than float32 has, of what is not beyond it.
        assert torch.equal(arrays["values"], arrays["values"].float().double())
        last = factors(weights, matrix, 1, Setting())
        last = [factor[heads - 1] for factor in last] if MATRIX_KINDS[matrix].per_head else last
        decomposition = fix_signs(decompose(last, k), matrix)
        for array, alone in zip(arrays.values(), decomposition, strict=True):
            in_array = array[1, heads - 1] if MATRIX_KINDS[matrix].per_head else array[1]
            torch.testing.assert_close(in_array, alone.to(array.dtype), rtol=1e-6, atol=1e-6)


def test_a_model_of_one_head(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights.safetensors", 1, 1, 8, 8, 16, seed=1)
    for matrix in ("ov", "qk"):
        arrays = arrays_of(weights, task(matrix))
        assert [tuple(arrays[name].shape) for name in Decomposition._fields] == [(1, 1, 8, 8), (1, 1, 8), (1, 1, 8, 8)]


# --- the script


class Wildcards(dict):
    """With attributes and items, like Snakemake's."""

    __getattr__ = dict.__getitem__


def run_script(
    weights: Path,
    matrix: str,
    directory: Path,
    threads: int = 1,
    switches: tuple[str, ...] = (),
    gpu: int = 0,
    numbers: dict[str, list[int]] | None = None,
) -> Path:
    output, provenance = directory / f"{matrix}.safetensors", weights.with_name("provenance.json")
    provenance.write_text(json.dumps({"model": "mine", "revision": None, "rotary": False, "files": {}}))
    job = SimpleNamespace(
        wildcards=Wildcards(
            {"model": "mine", "matrix": matrix, **{name: "on" if name in switches else "off" for name in SWITCHES}}
        ),
        input=SimpleNamespace(weights=str(weights), parts=[], provenance=provenance),
        output=SimpleNamespace(svd=str(output)),
        params=SimpleNamespace(directions=32, numbers=numbers or {}, code="0f"),
        resources={"gpu": gpu},
        threads=threads,
        log="",
    )
    decompose_matrices.main(job)
    return output


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough for LAPACK to share the work out among threads, if it may."""
    path = tmp_path_factory.mktemp("larger") / "weights.safetensors"
    write_weights(path, 3, 4, 192, 48, 384, seed=2)
    return path


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_script_writes_the_same_bytes_for_one_and_two_threads(matrix: str, larger: Path, tmp_path: Path) -> None:
    contents = set()
    for threads in (1, 2):
        torch.set_num_threads(threads)  # as Snakemake does before a script starts, through the environment
        contents.add(run_script(larger, matrix, tmp_path / str(threads), threads).read_bytes())
    assert len(contents) == 1


def test_the_script_applies_its_switches(tmp_path: Path) -> None:
    write_weights(tmp_path / "weights.safetensors", 1, 2, 12, 5, 20, seed=4)
    raw = {name: tensor.astype(np.float64) for name, tensor in load_file(tmp_path / "weights.safetensors").items()}
    W_V = raw["blocks.0.attn.W_V"] * raw["blocks.0.ln1.w"][:, None]
    W_V -= W_V.mean(axis=1, keepdims=True)
    W_O = raw["blocks.0.attn.W_O"] - raw["blocks.0.attn.W_O"].mean(axis=2, keepdims=True)
    expected = np.linalg.svd(W_V @ W_O, compute_uv=False)[:, :5]
    svd = load_file(run_script(tmp_path / "weights.safetensors", "ov", tmp_path, 1, SWITCHES))
    np.testing.assert_allclose(svd["values"][0], expected, rtol=1e-6, atol=0)
    # A centred MLP has one value of exactly 0: nothing is written along the ones vector.
    W_out = raw["blocks.0.mlp.W_out"] - raw["blocks.0.mlp.W_out"].mean(axis=1, keepdims=True)
    expected = np.linalg.svd(W_out, compute_uv=False)
    svd = load_file(run_script(tmp_path / "weights.safetensors", "mlp_out", tmp_path, 1, ("write_center",)))
    np.testing.assert_allclose(svd["values"][0, :-1], expected[:-1], rtol=1e-6, atol=0)
    assert svd["values"][0, -1] <= 1e-7 * expected[0]


# --- weights that cannot be decomposed


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


@pytest.mark.parametrize("scale", [2.0**-144, 1e-30, 1e4, 1e30])
@pytest.mark.parametrize("matrix", MATRICES)
def test_weights_of_any_size_have_their_values_vectors_and_stability(matrix: str, scale: float, tmp_path: Path) -> None:
    """Values against numpy, from subnormal weights to those whose product is far beyond float32."""
    write_weights(tmp_path / "plain.safetensors", 1, 2, 8, 4, 12, seed=1)
    # Whole multiples of the scale, so that subnormal weights are not rounded.
    plain = {name: np.rint(16 * tensor) / 16 for name, tensor in load_file(tmp_path / "plain.safetensors").items()}
    for name, size in (("plain", 1.0), ("scaled", scale)):
        tensors = {key: (size * tensor.astype(np.float64)).astype(np.float32) for key, tensor in plain.items()}
        save_file({key: torch.from_numpy(tensor) for key, tensor in tensors.items()}, tmp_path / f"{name}.safetensors")
    weights, sound = (WeightFile(tmp_path / f"{name}.safetensors") for name in ("scaled", "plain"))
    layer_factors = factors(weights, matrix, 0, Setting())
    parts = [factor.numpy() / np.abs(factor.numpy()).max() for factor in layer_factors]
    expected = np.linalg.svd(parts[0] @ parts[1] if len(parts) == 2 else parts[0], compute_uv=False)
    expected = expected * np.prod([float(factor.abs().max()) for factor in layer_factors])
    found, before = (arrays_of(one, task(matrix)) for one in (weights, sound))
    values = found["values"][0].numpy()
    assert values.dtype == np.float64 and (values > 0).all()
    np.testing.assert_allclose(values, expected[..., : values.shape[-1]], rtol=2e-7)
    stability, stability_before = (
        measure_layers(WeightNoise(1e-3, one, no_steps()), task(matrix), [0]) for one in (weights, sound)
    )
    # The same matrix but for what rounding to float32 did to it, which powers of two and small numbers escape.
    tolerance = 1e-7 if scale == 2.0**-144 else 1e-3
    for one, other in ((found, before), (stability, stability_before)):
        for name in one.keys() - {"values"}:
            np.testing.assert_allclose(one[name], other[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", ["zero", "rank one", "repeated values"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_degenerate_matrices(kind: str, matrix: str, tmp_path: Path) -> None:
    """The values are right, every vector is finite and a unit vector, and stability is a cosine."""
    write_weights(tmp_path / "weights.safetensors", 1, 2, 8, 4, 12, seed=1)
    tensors = {}
    for name, tensor in load_file(tmp_path / "weights.safetensors").items():
        shape = tensor.shape
        if tensor.ndim == 1 or kind == "zero":
            tensor = np.ones(shape, np.float32) if tensor.ndim == 1 else np.zeros(shape, np.float32)
        elif kind == "rank one":
            tensor = tensor[..., :1] * tensor[..., :1, :]
        else:
            rows, columns = shape[-2:]
            isometry = orthonormal(3, max(rows, columns), min(rows, columns))
            tensor = np.broadcast_to(isometry if rows < columns else isometry.T, shape).astype(np.float32)
        tensors[name] = torch.from_numpy(np.ascontiguousarray(tensor))
    save_file(tensors, tmp_path / "degenerate.safetensors")
    weights = WeightFile(tmp_path / "degenerate.safetensors")
    arrays = arrays_of(weights, task(matrix, 64))
    expected = {"zero": [0, 0, 0, 0], "repeated values": [1, 1, 1, 1]}
    for one in each_matrix(arrays, matrix):
        if kind == "rank one":
            assert one.values[0] > 0
            assert (one.values[1:] <= 1e-6 * one.values[0]).all()
        else:
            np.testing.assert_allclose(one.values[:4], expected[kind], atol=1e-6)
        for vectors in (one.left, one.right):
            np.testing.assert_allclose(vectors.norm(dim=-1), 1, atol=1e-5)
    stability = measure_layers(WeightNoise(0.01, weights, no_steps()), task(matrix, 64), [0])
    for cosines in stability.values():
        assert ((cosines >= 0) & (cosines <= 1)).all()


def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    write_weights(tmp_path / "weights.safetensors", 1, 2, 8, 4, 16, seed=1)
    with pytest.raises(SvdlensError, match=r"^the resource gpu is 1, but torch .* finds no CUDA device.*gpu at 0\.$"):
        run_script(tmp_path / "weights.safetensors", "ov", tmp_path / "svd", gpu=1)
    assert device_for(0) == "cpu"


# --- real weights


def real_layer(layer: int) -> dict[str, np.ndarray]:
    raw = load_file(shared("gpt2-small-attention") / f"layer_{layer:02}.safetensors")
    return {name.split(f"h.{layer}.")[1]: tensor for name, tensor in raw.items()}


@pytest.mark.slow
def test_qk_of_gpt2_small(tmp_path: Path) -> None:
    """The attention of layer 9 of gpt2-small, as layer 0 of a weight file; every head against numpy."""
    raw = real_layer(9)
    query, key, _ = np.split(raw["attn.c_attn.weight"], 3, axis=1)
    tensors = {
        f"blocks.0.attn.W_{name}": torch.from_numpy(part.reshape(768, 12, 64).transpose(1, 0, 2).copy())
        for name, part in (("Q", query), ("K", key))
    }
    tensors["blocks.0.ln1.w"] = torch.from_numpy(raw["ln_1.weight"].copy())
    save_file(tensors, tmp_path / "attention.safetensors")
    svds = each_matrix(arrays_of(WeightFile(tmp_path / "attention.safetensors"), task("qk"), threads=2), "qk")
    for head, one in enumerate(svds):
        columns = slice(64 * head, 64 * (head + 1))
        dense = query[:, columns].astype(np.float64) @ key[:, columns].astype(np.float64).T
        check_svd(one, dense, 64, relative=1e-6)
    assert VALUE_TOLERANCE < 1e-6


# --- some layers and heads


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_script_decomposes_what_is_chosen_and_says_what_that_is(matrix: str, larger: Path, tmp_path: Path) -> None:
    """The same bytes as in the file of all layers and heads."""
    per_head = MATRIX_KINDS[matrix].per_head
    weights = larger if per_head else larger.with_name("mlp.safetensors")
    if not per_head:
        write_weights(weights, 3, 4, 64, 16, 96, seed=2)
    whole = load_file(run_script(weights, matrix, tmp_path))
    assert not {"layers", "heads"} & set(whole)
    chosen = {"layers": [0, 2], "heads": [1, 3]} if per_head else {"layers": [0, 2]}
    some = load_file(run_script(weights, matrix, tmp_path, numbers=chosen))
    assert {name: some.pop(name).tolist() for name in chosen} == chosen
    assert set(some) == set(whole)
    for name, array in some.items():
        expected = whole[name][[0, 2]][:, [1, 3]] if per_head else whole[name][[0, 2]]
        assert array.tobytes() == expected.tobytes()
    assert layers_and_heads(some["values"].shape, matrix, chosen) == (
        ([0, 0, 2, 2], [1, 3, 1, 3]) if per_head else ([0, 2], [None, None])
    )


@pytest.mark.parametrize(
    ("numbers", "parts"),
    [
        (
            {"layers": [1, 3]},
            ("mine has 3 layers", "`layers` of models.mine", "asks for 3", "models.mine.layers: [...]"),
        ),
        ({"layers": [0], "heads": [9, 2, 4]}, ("mine has 4 heads", "asks for 9, 4", "models.mine.heads: [...]")),
    ],
)
def test_a_number_that_the_model_does_not_have_is_refused(
    numbers: dict[str, list[int]], parts: tuple[str, ...], larger: Path
) -> None:
    for matrix in ("ov", "qk"):
        with pytest.raises(SvdlensError) as error:
            chosen_numbers(WeightFile(larger), matrix, "mine", numbers)
        assert all(part in str(error.value) for part in parts), error.value


def test_heads_that_share_keys_and_values_are_counted_as_query_heads(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"W_Q": (6, 8, 4), "W_K": (2, 8, 4), "W_V": (2, 8, 4), "W_O": (6, 4, 8)}
    save_file(
        {f"blocks.0.attn.{name}": torch.randn(shape, generator=generator) for name, shape in shapes.items()},
        tmp_path / "attention.safetensors",
    )
    weights = WeightFile(tmp_path / "attention.safetensors")
    for matrix in ("ov", "qk"):
        assert chosen_numbers(weights, matrix, "mine", {"heads": [5]}) == (range(1), (5,))
        with pytest.raises(SvdlensError, match="mine has 6 heads"):
            chosen_numbers(weights, matrix, "mine", {"heads": [6]})
