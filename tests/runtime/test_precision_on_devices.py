"""Products in full precision, whatever torch was told, and its switches as they were afterwards."""

from collections.abc import Callable, Iterator

import pytest
import torch

from devices import each_device, on_cuda, switches
from svdlens.runtime.compute import device_for, full_precision


def legacy_tf32() -> None:
    torch.backends.cuda.matmul.allow_tf32 = True


def new_tf32() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"


def all_float32() -> None:
    torch.set_float32_matmul_precision("medium")


def no_sums_in_bfloat16() -> None:
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


STATES = {state.__name__: state for state in (legacy_tf32, new_tf32, all_float32, no_sums_in_bfloat16)}
each_state = pytest.mark.parametrize("state", [lambda: None, *STATES.values()], ids=["default", *STATES])


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    before = switches()
    yield
    torch.set_float32_matmul_precision("highest")
    cuda.fp32_precision, cpu.fp32_precision = before[1:3]
    cuda.allow_bf16_reduced_precision_reduction = before[3]
    assert switches() == before


@each_state
def test_the_switches_are_off_within_and_restored_after(state: Callable[[], None]) -> None:
    state()
    before = switches()
    with pytest.raises(ZeroDivisionError), full_precision():
        assert switches()[:4] == ["highest", "ieee", "ieee", False]
        with full_precision():
            pass
        assert switches()[:4] == ["highest", "ieee", "ieee", False]
        raise ZeroDivisionError
    assert switches() == before


@each_device
@each_state
def test_float32_is_multiplied_as_float32(state: Callable[[], None], device: str) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 512, 512, generator=generator).to(device)
    exact = one.double() @ other.double()

    def error() -> float:
        return float((one @ other - exact).norm() / exact.norm())

    state()
    has_tf32 = device == "cuda" and torch.cuda.get_device_capability()[0] >= 8
    if has_tf32 and state is legacy_tf32:
        assert error() > 5e-5  # of 10 bits
    with full_precision():
        assert error() < 5e-6


@on_cuda
def test_a_job_with_a_gpu_gets_it() -> None:
    assert device_for(1) == "cuda"
    assert torch.ones(2, device=device_for(1)).is_cuda
    assert device_for(0) == "cpu"
