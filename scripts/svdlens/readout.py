"""Directions read as tokens: the dot product with every column of W_U, and the k best for either sign."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from svdlens.errors import SvdlensError

TILE_BYTES = 256 * 2**20


class TopTokens(NamedTuple):
    """ids [n, k] and scores [n, k], best first."""

    ids: Int[np.ndarray, "n k"]
    scores: Float[np.ndarray, "n k"]


def top_tokens(
    directions: Float[Tensor, "n d_model"], W_U: Float[Tensor, "d_model d_vocab"], k: int
) -> dict[int, TopTokens]:
    """The k highest scoring tokens of each direction (+1) and of its opposite (-1).

    Scores are float64 dot products direction @ W_U, ties go to the lowest id, and what is returned is rounded to
    float32. k is cut to the vocabulary. Raises SvdlensError for scores that are not finite.
    """
    k = min(k, W_U.shape[1])
    directions, W_U = directions.double(), W_U.double()
    columns = W_U.T.contiguous()
    rows_at_once = max(1, TILE_BYTES // (8 * W_U.shape[1]))
    found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {+1: [], -1: []}
    for tile in directions.split(rows_at_once):
        scores = tile @ W_U
        highest, lowest = scores.topk(k, dim=1).values, scores.topk(k, dim=1, largest=False).values
        # topk counts NaN as the largest of all, so nothing that is not finite escapes.
        if not (highest.isfinite().all() and lowest.isfinite().all()):
            raise SvdlensError(
                "a score (direction x W_U) is NaN or infinite; the weights must be finite. Take a checkpoint "
                "without such values."
            )
        # The last bits of a matrix product depend on the tile; nothing below may. So whatever might be among the
        # k best is scored again, by itself.
        slack = 1e-12 * tile.norm(dim=1, keepdim=True) * columns.norm(dim=1).max()
        for sign, threshold in (
            (+1, highest[:, -1:] - slack),
            (-1, lowest[:, -1:] + slack),
        ):
            candidates = scores >= threshold if sign > 0 else scores <= threshold
            for row, direction in zip(candidates, tile, strict=True):
                ids = row.nonzero()[:, 0]
                exact = sign * (columns[ids] * direction).sum(dim=1)
                # nonzero() counts up, and a stable sort keeps that order among equals.
                best = exact.argsort(descending=True, stable=True)[:k]
                found[sign].append((ids[best].numpy(), exact[best].float().numpy()))
    return {
        sign: TopTokens(np.stack([ids for ids, _ in rows]), np.stack([scores for _, scores in rows]))
        for sign, rows in found.items()
    }


def random_unit_directions(n: int, d_model: int, seed: int) -> Float[Tensor, "n d_model"]:
    """Independent directions, uniform on the sphere."""
    directions = np.random.default_rng(seed).standard_normal((n, d_model))
    return torch.from_numpy(directions / np.linalg.norm(directions, axis=1, keepdims=True))
