"""The raw weights of a model for the time of one call, and their singular value decompositions."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from svdlens.errors import SvdlensError
from svdlens.interactive.model_files import put_model
from svdlens.spec.matrix_kinds import MATRIX_KINDS, Layer
from svdlens.spec.settings import Setting, shared_setting, svd_key
from svdlens.svd.layer_by_layer import Arrays, Task, number_arrays
from svdlens.svd.model_svd import decompose_layers
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.weight_files import WeightFile


class RawModel(NamedTuple):
    """A model's `directory`, and the `files` of its raw weights by name in GROUPS."""

    directory: Path
    files: dict[str, Path]


ONE_AT_A_TIME = threading.RLock()
"""Threads, random numbers and devices of torch are settings of the process, and a model is changed while it is saved:
calls from several threads follow one another."""


@contextlib.contextmanager
def raw_model(model: Any, tokenizer: Any) -> Iterator[RawModel]:
    """The model as put_model takes it. Its files are temporary; torch is afterwards as it was. Raises SvdlensError."""
    with (
        ONE_AT_A_TIME,
        temporary_directory() as temporary,
        torch.random.fork_rng(devices=[]),
        torch.device("cpu"),  # whatever the person's default is
        no_progress_bars(),
    ):
        threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
        directory = Path(temporary) / "model"
        files = {group: Path(temporary) / f"{group}.safetensors" for group in GROUPS}
        try:
            put_model(model, tokenizer, directory)
            extract_weights(directory, files)
            yield RawModel(directory, files)
        finally:
            torch.set_num_threads(threads)
            torch.set_grad_enabled(gradients)


def temporary_directory() -> "tempfile.TemporaryDirectory[str]":
    """A new one. Raises SvdlensError where none can be made."""
    try:
        return tempfile.TemporaryDirectory(prefix="svdlens-")
    except OSError as error:
        raise SvdlensError(
            f"no temporary directory can be made, where the model is read from: {error}. Name a directory that is "
            "there and can be written to in TMPDIR."
        ) from error


@contextlib.contextmanager
def no_progress_bars() -> Iterator[None]:
    """Within it, transformers shows none for what it saves and loads: the person has asked for neither."""
    # Slow to import, and needed by this function alone.
    from transformers.utils import logging

    were_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_shown:
            logging.enable_progress_bar()


def decompose(
    raw: RawModel,
    matrix: str,
    setting: Setting,
    numbers: Mapping[str, Sequence[int]],
    directions: int,
    threads: int,
    device: str,
) -> Arrays:
    """What `decompose_matrices` writes into the SVD file of one kind of matrix (svd/model_svd.py).

    numbers: of layers and heads, where not all are asked for, which the model has.
    """
    kind = MATRIX_KINDS[matrix]
    weights = WeightFile(raw.files[kind.weight_group])
    own = (["layers"] if kind.in_layers else []) + (["heads"] if kind.per_head else [])
    used = {name: chosen for name, chosen in numbers.items() if name in own}
    heads = tuple(used["heads"]) if "heads" in used else None
    task = Task(matrix, shared_setting(svd_key(setting, matrix)), directions, heads)
    layers: Sequence[Layer] = used.get("layers", range(weights.layers)) if kind.in_layers else [None]
    arrays = decompose_layers(weights, task, layers, threads, device)
    return arrays | number_arrays(used)


def check_device(device: str) -> None:
    """Raises SvdlensError unless torch can compute there."""
    if device not in ("cpu", "cuda"):
        raise SvdlensError(f"device={device!r}: write 'cpu' or 'cuda'.")
    if device == "cuda" and not torch.cuda.is_available():
        raise SvdlensError(f"device='cuda': torch {torch.__version__} finds no CUDA device here. Write 'cpu'.")
