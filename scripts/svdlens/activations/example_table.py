"""The table of examples: the windows of a text in which each direction projects most, and how they fit its list."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from svdlens.activations.agreement import NO_TOKEN, agreement
from svdlens.activations.passages import Passages
from svdlens.activations.peaks import NONE, SIGNS, Peaks

Key = tuple[int, int | None]
"""Layer and head."""


def text_columns(
    positions: Int[np.ndarray, "rows n"], passages: Passages, texts: list[str], around: int
) -> dict[str, list[list[str]]]:
    """Of each window the token at the peak, and the text of up to `around` tokens of its passage on either side.

    texts: of all tokens by id. What is around a token is as the text has it.
    """
    made: dict[int, tuple[str, str, str]] = {}
    found = np.unique(positions[positions != NONE])
    for position, start, end in zip(found.tolist(), *(bound.tolist() for bound in passages.bounds(found)), strict=True):
        first, last = max(start, position - around), min(end, position + 1 + around)
        before, token, behind, after = (int(passages.begins[i]) for i in (first, position, position + 1, last))
        text = passages.text
        made[position] = (text[before:token], texts[passages.ids[position]], text[behind:after])
    kept = [[made[position] for position in row if position != NONE] for row in positions.tolist()]
    names = ("before", "tokens", "after")
    return {name: [[window[i] for window in row] for row in kept] for i, name in enumerate(names)}


def side_columns(
    peaks: Peaks,
    matrices: list[Key],
    live: Bool[np.ndarray, "matrices k"],
    list_scores: Mapping[Key, Float[np.ndarray, "k n"]],
    column_of: Int[np.ndarray, " d_vocab"],
    passages: Passages,
    texts: list[str],
    around: int,
) -> dict[str, Any]:
    """Columns for one side of some matrices of a layer, without its directions of null space.

    peaks: of all directions of the matrices, one after the other. live: which directions are none of null space.
    list_scores: of each matrix, what each of some tokens scores in the list of each direction; `column_of` has
    their columns by token id.
    """
    k = live.shape[1]
    n = peaks.values.shape[1]
    columns: dict[str, list[Any]] = {name: [] for name in ("layer", "head", "index", "sign")}
    scores: dict[str, list[Any]] = {name: [] for name in ("auc_at", "p_at", "auc_next", "p_next")}
    positions = peaks.positions.reshape(len(matrices), k, 2, n)
    token = np.where(positions == NONE, NO_TOKEN, column_of[passages.ids[positions]])
    _, end = passages.bounds(np.maximum(positions, 0))
    has_next = (positions != NONE) & (positions + 1 < end)
    following = np.where(has_next, column_of[passages.ids[np.where(has_next, positions + 1, 0)]], NO_TOKEN)
    for number, (layer, head) in enumerate(matrices):
        index = np.flatnonzero(live[number])
        columns["layer"] += [layer] * (2 * len(index))
        columns["head"] += [head] * (2 * len(index))
        columns["index"] += np.repeat(index, 2).tolist()
        columns["sign"] += [*SIGNS] * len(index)
        for name, windows in (("at", token), ("next", following)):
            found = agreement(list_scores[layer, head][index], windows[number, index])
            scores[f"auc_{name}"] += found.auc.reshape(-1).tolist()
            scores[f"p_{name}"] += found.p_value.reshape(-1).tolist()
    rows = np.repeat(live.reshape(-1), 2)
    kept = peaks.positions[rows]
    some = kept != NONE
    return {
        **columns,
        "positions": [row[one].tolist() for row, one in zip(kept, some, strict=True)],
        "projections": [row[one].tolist() for row, one in zip(peaks.values[rows], some, strict=True)],
        **text_columns(kept, passages, texts, around),
        **scores,
    }
