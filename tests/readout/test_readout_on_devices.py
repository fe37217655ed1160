"""Token lists do not depend on the device, to the last id and the last bit of a score."""

import threading

import numpy as np
import pytest
import torch

from devices import each_device, on_cuda, switches, without_memory
from random_weights import normal
from svdlens.errors import SvdlensError
from svdlens.readout import top_tokens as readout
from svdlens.readout.projection import Reading, Vectors, project_directions
from svdlens.readout.score_errors import error_bound, product_error, upper_norms
from svdlens.readout.top_tokens import (
    PRECISIONS,
    ROUTES,
    ReadoutMatrix,
    TopTokens,
    top_tokens,
)
from svdlens.runtime.compute import full_precision

Case = tuple[np.ndarray, np.ndarray]
"""Directions [n, d_model] and a read-out matrix [d_model, d_vocab]."""


def as_bytes(top: dict[int, TopTokens]) -> dict[int, list[bytes]]:
    return {sign: [array.tobytes() for array in tokens] for sign, tokens in top.items()}


def read(case: Case, k: int, device: str, route: str | None = None, threads: int = 1) -> dict[int, list[bytes]]:
    directions, matrix = map(torch.from_numpy, case)
    return as_bytes(top_tokens(directions, ReadoutMatrix(matrix, device), k, threads, route))


def single(seed: int, *shape: int) -> np.ndarray:
    return normal(seed, *shape).astype(np.float32)


def ties() -> Case:
    """Every column stands four times, in scattered places."""
    order = np.random.default_rng(0).permutation(np.tile(np.arange(300), 4))
    return normal(1, 37, 96), normal(2, 96, 300)[:, order]


def last_bits() -> Case:
    """Scores that differ in their last bits alone: four columns at a time have the same numbers in another order."""
    generator = np.random.default_rng(0)
    columns = generator.permuted(np.repeat(normal(3, 96, 300), 4, axis=1), axis=0)
    return normal(4, 37, 1) * np.ones(96), columns[:, generator.permutation(1200)]


def whole_numbers() -> Case:
    """Exact scores, most of them tied; a direction and some columns are zero."""
    generator = np.random.default_rng(5)
    directions, matrix = (generator.integers(-2, 3, shape).astype(np.float32) for shape in ((20, 6), (6, 4000)))
    directions[7] = 0
    return directions, matrix


def too_close() -> Case:
    """Columns that agree to seven digits: no search can tell them apart, and float64 has to."""
    scales = 1 + 1e-9 * np.random.default_rng(6).permutation(900)
    return normal(7, 5, 64), normal(8, 64, 1) * scales


def all_sizes() -> Case:
    """Numbers over many orders of magnitude, some of them beyond bfloat16's and float32's reach."""
    return normal(9, 12, 40) * 10.0 ** np.arange(-18, 18, 3)[:, None], normal(10, 40, 700) * np.exp(3 * normal(11, 700))


def halfway() -> Case:
    """Scores in the middle between two numbers of float32, but for what the order of a sum does to them."""
    direction = normal(20, 96)
    direction[0] = 1
    matrix = normal(21, 96, 800)
    matrix[0] = 0
    middles = (3 + np.random.default_rng(22).permutation(800)) * (1 + 2.0**-24)
    matrix[0] = middles - direction @ matrix
    return direction * 2.0 ** np.arange(5)[:, None], matrix


CASES = {
    "random": lambda: (single(12, 130, 768), single(13, 768, 5003)),
    "one_direction": lambda: (single(14, 1, 33), single(15, 33, 3201)),
    "tiny": lambda: (single(16, 3, 4), single(17, 4, 5)),
    **{make.__name__: make for make in (ties, last_bits, whole_numbers, too_close, all_sizes, halfway)},
}
"""Functions that make a Case, by name."""


@each_device
@pytest.mark.parametrize("name", CASES)
def test_lists_are_those_of_a_cpu_that_scores_every_token_in_float64(name: str, device: str, monkeypatch) -> None:
    case = CASES[name]()
    row = 4 * case[1].shape[1]
    for k in (1, 50):
        expected = read(case, k, "cpu", "float64")
        for route in (*ROUTES, None):
            for threads, tile in ((1, readout.TILE_BYTES), (3, readout.TILE_BYTES), (2, 7 * row)):
                monkeypatch.setattr(readout, "TILE_BYTES", tile)
                monkeypatch.setattr(readout, "GPU_TILE_BYTES", tile)
                assert read(case, k, device, route, threads) == expected, (k, route, threads, tile)
                monkeypatch.undo()


@each_device
def test_ids_are_those_of_a_sort(device: str) -> None:
    directions, matrix = CASES["random"]()
    top = top_tokens(torch.from_numpy(directions), ReadoutMatrix(torch.from_numpy(matrix), device), 50)
    scores = directions.astype(np.float64) @ matrix.astype(np.float64)
    for sign, tokens in top.items():
        np.testing.assert_array_equal(tokens.ids, np.argsort(-sign * scores, axis=1, kind="stable")[:, :50])


@on_cuda
@pytest.mark.parametrize("route", ["bfloat16", "float32", "float64_product"])
@pytest.mark.parametrize(("d_model", "d_vocab"), [(1600, 50257), (4096, 32000)])
def test_lists_of_whole_vocabularies_are_those_of_the_cpu(d_model: int, d_vocab: int, route: str) -> None:
    directions = torch.nn.functional.normalize(torch.from_numpy(single(18, 256, d_model)))
    matrix = torch.from_numpy(single(19, d_model, d_vocab))
    on_cpu, on_card = ReadoutMatrix(matrix), ReadoutMatrix(matrix, "cuda")
    found = [as_bytes(top_tokens(directions, on_card, 50, threads, route)) for threads in (1, 4, 4)]
    assert found[0] == found[1] == found[2] == as_bytes(top_tokens(directions, on_cpu, 50, 4, "float32"))
    few = directions[:4]
    assert as_bytes(top_tokens(few, on_card, 50, 1, route)) == as_bytes(top_tokens(few, on_cpu, 50, 4, "float64"))


@each_device
@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize(("n", "d_model"), [(1, 16384), (7, 4096), (64, 1600), (300, 100)])
def test_the_bound_is_never_exceeded(n: int, d_model: int, name: str, device: str) -> None:
    """Long sums in few rows, which a device may split; terms over orders of magnitude, and some that cancel."""
    precision = PRECISIONS[name]
    x, w = (
        normal(seed, rows, d_model) * np.exp(2 * normal(seed + 1, rows, d_model)) for seed, rows in ((20, n), (30, 200))
    )
    half = d_model // 2
    x[:, half : 2 * half] = x[:, :half]
    w[:50, half : 2 * half] = -w[:50, :half]
    x, w = torch.from_numpy(x), torch.from_numpy(w)
    low_x, low_w = x.to(precision.dtype), w.to(precision.dtype)
    with full_precision():
        approximate = (low_x.to(device) @ low_w.to(device).T).double().cpu()
    bound = error_bound(
        upper_norms(w),
        upper_norms(low_w.double()),
        upper_norms(w - low_w.double()),
        residual=upper_norms(x - low_x.double())[:, None],
        size=upper_norms(low_x.double())[:, None],
        d_model=d_model,
    )
    exact = (x.numpy().astype(np.longdouble) @ w.numpy().astype(np.longdouble).T).astype(np.float64)
    assert (np.abs(approximate.numpy() - exact) <= (bound + precision.output_error * approximate.abs()).numpy()).all()


@each_device
@pytest.mark.parametrize(("n", "d_model", "scale"), [(1, 16384, 1.0), (64, 1600, 1e-170), (300, 100, 1e100)])
def test_the_bound_of_float64_is_never_exceeded(n: int, d_model: int, scale: float, device: str) -> None:
    x, w = (
        scale * normal(seed, rows, d_model) * np.exp(2 * normal(seed + 1, rows, d_model))
        for seed, rows in ((50, n), (60, 200))
    )
    half = d_model // 2
    x[:, half : 2 * half] = x[:, :half]
    w[:50, half : 2 * half] = -w[:50, :half]
    exact = x.astype(np.longdouble) @ w.astype(np.longdouble).T
    x, w = torch.from_numpy(x), torch.from_numpy(w)
    product = (x.to(device) @ w.to(device).T).cpu().numpy()
    bound = product_error(upper_norms(w), upper_norms(x)[:, None], d_model)
    assert (np.abs(product - exact) <= bound.numpy()).all()


@each_device
@pytest.mark.parametrize("route", ["bfloat16", "float32", "float64_product"])
def test_low_precision_of_the_user_is_off_during_the_search_and_on_after(route: str, device: str, monkeypatch) -> None:
    case = CASES["random"]()
    expected = read(case, 50, "cpu", "float64")
    search, during, lock = readout.search, [], threading.Lock()

    def watched(*arguments):
        with lock:
            during.append(switches()[:4])
        return search(*arguments)

    monkeypatch.setattr(readout, "search", watched)
    torch.set_float32_matmul_precision("high")
    try:
        before = switches()
        assert read(case, 50, device, route, 2) == expected
        assert switches() == before
    finally:
        torch.set_float32_matmul_precision("highest")
    assert during and all(one == ["highest", "ieee", "ieee", False] for one in during)


@each_device
def test_tables_do_not_depend_on_the_device(device: str) -> None:
    """All columns, of the singular vectors and of every control, through a tall and a wide stack of heads."""
    vectors: Vectors = {"read": torch.from_numpy(normal(40, 6, 8, 64)), "write": torch.from_numpy(normal(41, 6, 8, 64))}
    W_U = torch.from_numpy(single(42, 64, 3000))
    texts = [f"token {id}" for id in range(3000)]

    def columns(where: str) -> dict[str, object]:
        reading = Reading("ov", np.ones((2, 3, 8)), {"W_U": ReadoutMatrix(W_U, where)}, texts, 20, 2)
        return project_directions({"svd": {"W_U": vectors}}, "svd", {"random_unit": 30, "rotated": 30}, reading, 0)

    found, expected = columns(device), columns("cpu")
    assert list(found) == list(expected)
    for name, column in found.items():
        assert column == expected[name], name


def test_no_room_for_the_search_is_said(monkeypatch) -> None:
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(readout, "search", full)
    with pytest.raises(
        SvdlensError, match=r"^cpu has no room for the search among 5003 tokens: CUDA out.*gpu.*at 0\.$"
    ):
        read(CASES["random"](), 50, "cpu", "float32", 2)


@on_cuda
@pytest.mark.parametrize("route", ["float32", "float64_product"])
def test_no_room_for_the_search_on_the_device_is_said(route: str) -> None:
    directions, matrix = torch.ones(3, 2048), ReadoutMatrix(torch.ones(2048, 8192), "cuda")
    with (
        without_memory(),
        pytest.raises(SvdlensError, match=r"^cuda has no room for the search among 8192 tokens: CUDA out of memory"),
    ):
        top_tokens(directions, matrix, 50, 1, route)
