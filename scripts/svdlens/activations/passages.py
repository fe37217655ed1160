"""A text as windows of whole lines, for forward passes that look at each line once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from svdlens.errors import SvdlensError
from svdlens.models.token_windows import first_token, positions_of, tokens_in_text

AT_ONCE = 8
"""Windows in one forward pass: a fixed number, so that sums do not depend on the number of threads."""


@dataclass(frozen=True)
class Passages:
    """A text of n tokens. ids: of its tokens, in order. begins: with which character of `text` each begins, and where
    the last one ends. starts: with which token each passage begins, a passage being a line or, of a line that no window
    can hold, a piece of it. windows: the first and the last passage, exclusive, of each. first: what stands before the
    text of each window, of one token or none.
    """

    text: str
    ids: Int[np.ndarray, " n"]
    begins: Int[np.ndarray, " n+1"]
    starts: Int[np.ndarray, " passages"]
    windows: list[tuple[int, int]]
    first: list[int]

    def ends(self) -> Int[np.ndarray, " passages"]:
        return np.append(self.starts[1:], len(self.ids))

    def bounds(self, positions: Int[np.ndarray, "*p"]) -> tuple[Int[np.ndarray, "*p"], Int[np.ndarray, "*p"]]:
        """First token, and last, exclusive, of the passage of each position."""
        passage = np.searchsorted(self.starts, positions, side="right") - 1
        return self.starts[passage], self.ends()[passage]

    def batches(self) -> Iterator["Batch"]:
        """The text, some windows at a time."""
        ends = self.ends()
        for begin in range(0, len(self.windows), AT_ONCE):
            windows = self.windows[begin : begin + AT_ONCE]
            texts = [self.first + self.ids[self.starts[first] : ends[last - 1]].tolist() for first, last in windows]
            length = max(map(len, texts))
            # What fills up stands behind the text, where nothing that comes before sees it.
            ids = torch.tensor([text + [text[-1]] * (length - len(text)) for text in texts])
            columns = torch.arange(length)
            kept = (columns >= len(self.first)) & (columns < torch.tensor([[len(text)] for text in texts]))
            passages = slice(windows[0][0], windows[-1][1])
            offset = int(self.starts[passages.start])
            yield Batch(ids, kept.flatten(), self.starts[passages] - offset, ends[passages] - offset, offset)


@dataclass(frozen=True)
class Batch:
    """Windows of one forward pass. kept: which of its tokens are of the text; of these, those of each passage are from
    `starts` to `ends`, and the first is at `offset` in the text."""

    ids: Int[Tensor, "windows length"]
    kept: Tensor
    starts: Int[np.ndarray, " passages"]
    ends: Int[np.ndarray, " passages"]
    offset: int


def passages_of(text: str, model: nn.Module, directory: Path, length: int, tokens: int) -> Passages:
    """The first `tokens` of a text in windows of at most `length`, as many whole lines in each as fit.

    directory: of the model's tokenizer. Windows are no longer than what the model can take. Raises SvdlensError for a
    text without tokens.
    """
    found, places = tokens_in_text(text, directory)
    ids, begins = np.array(found[:tokens], dtype=np.int64), np.array(places[: tokens + 1], dtype=np.int64)
    if not len(ids):
        raise SvdlensError(f"the text {text[:40]!r} has no token. Give one with at least a word.")
    first = first_token(model)
    body = min(length, positions_of(model)) - len(first)
    place = np.arange(len(ids))
    line_ends = np.array([place for place, character in enumerate(text) if character == "\n"], dtype=np.int64)
    of_line = np.searchsorted(line_ends, begins[:-1])
    line_start = np.maximum.accumulate(np.where(np.append(True, of_line[1:] != of_line[:-1]), place, 0))
    starts = np.flatnonzero((place - line_start) % body == 0)
    sizes = np.diff(np.append(starts, len(ids)))
    windows, begin, filled = [], 0, 0
    for passage, size in enumerate(sizes.tolist()):
        if filled + size > body:
            windows.append((begin, passage))
            begin, filled = passage, 0
        filled += size
    return Passages(text, ids, begins, starts, [*windows, (begin, len(starts))], first)
