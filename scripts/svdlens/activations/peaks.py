"""Where in a text each direction projects most: one forward pass, of which only the best places are kept."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svdlens.activations.acting import Acting
from svdlens.activations.passages import Batch, Passages
from svdlens.models.load import module_of
from svdlens.runtime.compute import single_threaded_pool
from svdlens.runtime.progress import progress

SIGNS = (1, -1)
NONE = -1
"""The position of a peak where a text has fewer passages than are asked for."""
Found = tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"], Int[np.ndarray, " n"]]
"""Row, value and position of each peak that may be among the best."""


class Peaks:
    """The `n` highest projections of each of some directions, both signs, at most one of each passage.

    Row 2 i is direction i, row 2 i + 1 its opposite. values [2 k, n], highest first, -inf where there is none, and
    positions [2 k, n] in the text. Of equal values the earlier comes first.
    """

    def __init__(self, directions: int, n: int) -> None:
        self.values = np.full((2 * directions, n), -np.inf, dtype=np.float32)
        self.positions = np.full((2 * directions, n), NONE, dtype=np.int64)

    @property
    def least(self) -> Float[np.ndarray, " rows"]:
        """What a projection must reach to be among the best so far."""
        return self.values[:, -1]

    def merge(self, found: Found) -> None:
        """Take what is among the best of passages that no earlier call had."""
        n = self.values.shape[1]
        rows = np.unique(found[0])
        row = np.concatenate([np.repeat(rows, n), found[0]])
        value = np.concatenate([self.values[rows].reshape(-1), found[1]])
        position = np.concatenate([self.positions[rows].reshape(-1), found[2]])
        order = np.lexsort((position, -value, row))
        order = order[places(row[order]) < n]
        self.values[rows] = value[order].reshape(-1, n)
        self.positions[rows] = position[order].reshape(-1, n)


def places(sorted_groups: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The place of each in its run of equal numbers, from 0."""
    index = np.arange(len(sorted_groups))
    begins = np.append(True, sorted_groups[1:] != sorted_groups[:-1])[: len(index)]
    return index - np.maximum.accumulate(np.where(begins, index, 0))


def find_peaks(
    model: nn.Module, passages: Passages, directions: Sequence[Acting], n: int, threads: int = 1
) -> list[Peaks]:
    """The `n` places of a text where each direction projects most, for each of `directions`.

    model: from load_model. Batches of windows run side by side on `threads` threads, whose number changes nothing. In
    memory are the activations of as many batches as there are threads, and the best places.
    """
    peaks = [Peaks(len(one.vectors), n) for one in directions]
    by_module: dict[tuple[int, str], list[int]] = {}
    for number, one in enumerate(directions):
        by_module.setdefault((one.layer, one.module), []).append(number)
    running = threading.local()

    def hook_of(numbers: list[int]) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            batch = running.batch
            output = output.reshape(-1, output.shape[-1])[batch.kept]
            for number in numbers:
                running.found.append((number, best_of(output, directions[number], batch, peaks[number])))

        return hook

    def pass_through(batch: Batch) -> list[tuple[int, Found]]:
        running.batch, running.found = batch, []
        with torch.inference_mode():
            # Without the head: nobody looks at the logits.
            model.base_model(batch.ids, use_cache=False)  # type: ignore[operator]
        return running.found

    handles = [
        module_of(model, name, layer).register_forward_hook(hook_of(numbers))
        for (layer, name), numbers in by_module.items()
    ]
    try:
        batches = list(passages.batches())
        with single_threaded_pool(threads) as pool:
            for found in progress(pool.map(pass_through, batches), "text", total=len(batches)):
                for number, best in found:
                    peaks[number].merge(best)
    finally:
        for handle in handles:
            handle.remove()
    return peaks


def best_of(output: Float[Tensor, "tokens d_model"], acting: Acting, batch: Batch, peaks: Peaks) -> Found:
    """The peaks of a batch that may be among the best: of each passage the highest projection, the first of equals."""
    if acting.offset is not None:
        output = output - acting.offset
    projected = output @ acting.vectors.T
    least = peaks.least
    highest, lowest = projected.amax(dim=0).numpy(), projected.amin(dim=0).numpy()
    pieces = []
    for number, sign in enumerate(SIGNS):
        of_sign = least[number::2]
        # After some batches these are few.
        columns = np.flatnonzero((highest if sign > 0 else -lowest) >= of_sign)
        chosen = np.ascontiguousarray(sign * projected.numpy()[:, columns])
        maxima = np.maximum.reduceat(chosen, batch.starts, axis=0)
        passage, column = np.nonzero(maxima >= of_sign[columns])
        order = np.lexsort((passage, -maxima[passage, column], column))
        order = order[places(column[order]) < peaks.values.shape[1]]
        passage, column = passage[order], column[order]
        places_of = first_highest(chosen, batch, passage, column)
        pieces.append((2 * columns[column] + number, maxima[passage, column], places_of))
    row, value, position = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    return row, value, position + batch.offset


def first_highest(
    projected: Float[np.ndarray, "tokens k"],
    batch: Batch,
    passage: Int[np.ndarray, " n"],
    column: Int[np.ndarray, " n"],
) -> Int[np.ndarray, " n"]:
    """The first place in a passage at which a column is highest there."""
    if not len(passage):
        return np.zeros(0, dtype=np.int64)
    starts, lasts = batch.starts[passage], batch.ends[passage] - 1
    tokens = np.minimum(starts[:, None] + np.arange((lasts - starts).max() + 1), lasts[:, None])
    return starts + projected[tokens, column[:, None]].argmax(axis=1)
