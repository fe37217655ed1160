"""Directions read as tokens: the dot product with every column of a read-out matrix, and the k best for either sign.

A token's rank is defined by its float64 score, ties by the lowest id. On a CPU, scoring everything in float64 would
take many times as long as a multiplication in low precision that finds, with a bound on its error, the few tokens that
can be among the k best; those alone are scored in float64. A GPU multiplies float64 fast enough, but sums in another
order, so that last digits differ; with a bound on that, the CPU scores again what they could decide. The result does
not depend on how it was found.
"""

import functools
import logging
import time
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svdlens.errors import SvdlensError
from svdlens.readout.score_errors import error_bound, product_error, upper_norms
from svdlens.readout.token_table import TopTokens
from svdlens.runtime.compute import full_precision, single_threaded_pool

logger = logging.getLogger(__name__)

TILE_BYTES = 2**25
"""Of approximate scores at a time, for each thread, on a GPU GPU_TILE_BYTES; all of them, for all directions, never
exist."""
GPU_TILE_BYTES = 2**28
COLUMNS_AT_ONCE = 2**10
"""Of a product on a CPU, and where every token is scored in float64. A float32 product with all columns of a read-out
matrix at once takes up to two fifths longer: less of it stays in the caches."""


class Precision(NamedTuple):
    """How approximate scores are made: operands are rounded to `dtype`, products are summed in float32, and sums are
    rounded with a relative error of `output_error`."""

    dtype: torch.dtype
    output_error: float


PRECISIONS = {
    "bfloat16": Precision(torch.bfloat16, 2.0**-8),
    "float32": Precision(torch.float32, 0.0),
}
ROUTES = {
    "bfloat16": ("bfloat16", "float32"),
    "float32": ("float32",),
    "float64_product": ("float64_product", "float32"),
    "float64": (),
}
"""What is tried in turn. Directions of which each leaves more than CANDIDATES_PER_K * k tokens are done in float64."""
CANDIDATES_PER_K = 16
GROUP = 64
"""Scores of which only the largest is compared, to find quickly what the k-th best score must be."""


class Approximation(NamedTuple):
    """A read-out matrix in low precision: its columns as rows [d_vocab, d_model], upper bounds of their norms, and of
    the norms of what rounding took from them (float64)."""

    columns: Float[Tensor, "d_vocab d_model"]
    norms: Float[Tensor, " d_vocab"]
    residuals: Float[Tensor, " d_vocab"]


class ReadoutMatrix:
    """A read-out matrix [d_model, d_vocab], prepared once to read many directions.

    mean [d_model]: of its columns, float64. columns [d_vocab, d_model]: the matrix transposed, float32 where that
    holds it exactly, else float64. Searches run on `device`. Raises SvdlensError if the matrix is not finite.
    """

    def __init__(self, matrix: Float[Tensor, "d_model d_vocab"], device: str = "cpu") -> None:
        self.mean = matrix.double().mean(dim=1)
        # What is not finite shows in the mean of its row, which is had in a fraction of the time of looking at all.
        if not self.mean.isfinite().all() and (n_not_finite := int((~matrix.isfinite()).sum())):
            raise SvdlensError(
                f"the read-out matrix has {n_not_finite} values that are NaN or infinite, and so would be the scores. "
                "Take a checkpoint without such values."
            )
        # Raw weights are float32 numbers; kept as such, half as much memory has to be read for scores.
        single = matrix.float()
        exact = single if torch.equal(single.to(matrix.dtype), matrix) else matrix.double()
        self.columns = exact.T.contiguous()
        self.device = device
        self.norms = upper_norms(self.columns).to(device)
        self.approximations: dict[str, Approximation] = {}
        self.columns_on_device: Tensor | None = None

    @property
    def d_vocab(self) -> int:
        """The number of tokens."""
        return len(self.columns)

    def prepare(self, name: str) -> None:
        """Put on the device what a search by the name of a route needs. Not safe in several threads."""
        if name in PRECISIONS:
            self.approximation(name)
        elif self.columns_on_device is None:
            self.columns_on_device = self.columns.to(self.device)

    def approximation(self, name: str) -> Approximation:
        """The matrix in a precision of PRECISIONS, made at the first call. Not safe to make in several threads."""
        if name not in self.approximations:
            low = self.columns.to(PRECISIONS[name].dtype)
            chunks = zip(self.columns.split(COLUMNS_AT_ONCE), low.split(COLUMNS_AT_ONCE), strict=True)
            residuals = torch.cat([upper_norms(exact - rounded.to(exact.dtype)) for exact, rounded in chunks])
            arrays = (array.to(self.device) for array in (low, upper_norms(low), residuals))
            self.approximations[name] = Approximation(*arrays)
        return self.approximations[name]


def top_tokens(
    directions: Float[Tensor, "n d_model"],
    matrix: ReadoutMatrix,
    k: int,
    threads: int = 1,
    precision: str | None = None,
) -> dict[int, TopTokens]:
    """The k highest scoring tokens of each direction (key +1) and of its opposite (key -1).

    The logit lens (nostalgebraist 2020) on directions of weights, as the post does it (Millidge & Black 2022).

    Scores are float64 dot products (logits, for a W_U and directions of unit length), ties go to the lowest id, and
    what is returned is rounded to float32. k is cut to the vocabulary. `precision` of the search is a key of ROUTES;
    None takes what is fastest here. The result depends neither on it, nor on `threads`, nor on the device. Raises
    SvdlensError for directions and scores that are not finite, and where the device has no room for the search.
    """
    exact = directions.double()
    if not exact.isfinite().all():
        raise SvdlensError(
            "a direction has values that are NaN or infinite, and so would be its scores; the weights must be finite. "
            "Take a checkpoint without such values."
        )
    n, k = len(exact), min(k, matrix.d_vocab)
    mean_scores = scores_of(exact.numpy(), matrix.mean.numpy())
    top = {
        sign: TopTokens(np.empty((n, k), np.int64), np.empty((n, k), np.float32), sign * mean_scores)
        for sign in (+1, -1)
    }
    try:
        # Operands in TF32 and sums in bfloat16 are further off than error_bound allows for.
        with full_precision():
            fill_in(exact, matrix, precision, threads, top)
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise SvdlensError(
            f"{matrix.device} has no room for the search among {matrix.d_vocab} tokens: {error}. Free its memory, or "
            "run on the CPU: leave the resource gpu of this rule at 0."
        ) from error
    if not all(np.isfinite(tokens.scores).all() for tokens in top.values()):
        raise SvdlensError(
            "a score (direction x read-out matrix) is beyond float32 (3.4e38). Such weights are damaged; take another "
            "checkpoint."
        )
    return top


def fill_in(
    exact: Float[Tensor, "n d_model"],
    matrix: ReadoutMatrix,
    precision: str | None,
    threads: int,
    top: dict[int, TopTokens],
) -> None:
    """Write the best tokens of float64 directions into `top`. The arguments are those of top_tokens."""
    n = len(exact)
    route = ROUTES[precision or fastest_precision(*matrix.columns.shape, matrix.device)]
    undecided = np.arange(n)
    # Each thread does tiles of its own from the product to the scores, and never waits for another.
    with single_threaded_pool(threads) as pool:
        for name in route:
            if not len(undecided):
                break
            matrix.prepare(name)
            tile_bytes = TILE_BYTES if matrix.device == "cpu" else GPU_TILE_BYTES
            itemsize = PRECISIONS[name].dtype.itemsize if name in PRECISIONS else 8
            tiles = tiles_of(undecided, itemsize * matrix.d_vocab, tile_bytes, threads)
            undecided_of_tiles = pool.map(lambda tile, name=name: search(exact, tile, matrix, name, top), tiles)
            undecided = np.concatenate([undecided[:0], *undecided_of_tiles])
        if route and len(undecided):
            logger.info("%d of %d directions were done in float64", len(undecided), n)
        list(pool.map(lambda row: score_every_token(exact[row].numpy(), row, matrix, top), undecided.tolist()))


def tiles_of(rows: Int[np.ndarray, " n"], row_bytes: int, tile_bytes: int, threads: int) -> list[Int[np.ndarray, " _"]]:
    """The rows in equal tiles of `tile_bytes` of scores at most, as many for each thread."""
    n_per_thread = -(-len(rows) * row_bytes // (tile_bytes * threads))
    return [tile for tile in np.array_split(rows, max(1, n_per_thread) * threads) if len(tile)]


def search(
    directions: Float[Tensor, "n d_model"],
    tile: Int[np.ndarray, " rows"],
    matrix: ReadoutMatrix,
    name: str,
    top: dict[int, TopTokens],
) -> Int[np.ndarray, " undecided"]:
    """Fill in `top` for the rows of a tile by the search `name` of a route; returns the rows that stay undecided."""
    if name in PRECISIONS:
        return search_candidates(directions, tile, matrix, name, top)
    return search_by_product(directions, tile, matrix, top)


def search_by_product(
    directions: Float[Tensor, "n d_model"],
    tile: Int[np.ndarray, " rows"],
    matrix: ReadoutMatrix,
    top: dict[int, TopTokens],
) -> Int[np.ndarray, " undecided"]:
    """Fill in `top` for the rows of a tile from a float64 product on the matrix's device; returns the rest.

    That are directions with scores so close that their order is not sure, and those that are not finite. Where an order
    is sure but not to which float32 number a score is rounded, scores_of decides.
    """
    k = top[+1].ids.shape[1]
    columns = matrix.columns_on_device
    assert columns is not None
    exact = directions[tile].to(matrix.device)
    scores = torch.cat([exact @ part.double().T for part in columns.split(16 * COLUMNS_AT_ONCE)], dim=1)
    # This product and scores_of may be off in opposite ways.
    error = 2 * product_error(matrix.norms.max(), upper_norms(exact)[:, None], exact.shape[1])
    sure = torch.ones(len(tile), dtype=torch.bool, device=matrix.device)
    found = {}
    for sign in (+1, -1):
        best, ids = scores.topk(min(k + 1, matrix.d_vocab), dim=1, largest=sign > 0)
        best = sign * best
        sure &= best.isfinite().all(dim=1) & (best[:, :-1] - best[:, 1:] > 2 * error).all(dim=1)
        best = best[:, :k]
        unsure = (best - error).float() != (best + error).float()
        found[sign] = tuple(array.cpu().numpy() for array in (ids[:, :k], best.float(), unsure))
    decided = sure.cpu().numpy()
    for sign, (best_ids, rounded, is_unsure) in found.items():
        rows = tile[decided]
        top[sign].ids[rows], top[sign].scores[rows] = best_ids[decided], rounded[decided]
        row, place = np.nonzero(is_unsure & decided[:, None])
        again = scores_of(matrix.columns.numpy().take(best_ids[row, place], axis=0), directions[tile[row]].numpy())
        with np.errstate(over="ignore"):
            top[sign].scores[tile[row], place] = sign * again
    undecided: np.ndarray = tile[~decided]
    return undecided


def search_candidates(
    directions: Float[Tensor, "n d_model"],
    tile: Int[np.ndarray, " rows"],
    matrix: ReadoutMatrix,
    name: str,
    top: dict[int, TopTokens],
) -> Int[np.ndarray, " undecided"]:
    """Fill in `top` for the rows of a tile, candidates coming from scores in the precision `name`; returns the rest.

    That are directions with too many candidates, or with scores that low precision cannot hold.
    """
    precision, approximation = PRECISIONS[name], matrix.approximation(name)
    k = top[+1].ids.shape[1]
    exact = directions[tile].to(matrix.device)
    low = exact.to(precision.dtype)
    scores = approximate_scores(low, approximation.columns)
    # How far a score may be off, for the token of which that is most.
    error = error_bound(
        matrix.norms.max(),
        approximation.norms.max(),
        approximation.residuals.max(),
        residual=upper_norms(exact - low.double())[:, None],
        size=upper_norms(low)[:, None],
        d_model=exact.shape[1],
    )
    usable = torch.ones(len(tile), dtype=torch.bool, device=matrix.device)
    is_candidate = {}
    for sign in (+1, -1):
        largest = sign * largest_of_groups(scores, sign, k)
        # So many tokens have a score of this, and truly no less than `sure`.
        kth = largest.topk(k, dim=1, sorted=False).values.amin(dim=1, keepdim=True).double()
        sure = kth - precision.output_error * kth.abs() - error
        # A token of the k best reaches that, so its approximate score s has s + output_error |s| + error >= sure.
        least = (sure - error) / (1 + precision.output_error * (sure - error).sign())
        # Down by more than it may be rounded up.
        limits = torch.finfo(scores.dtype)
        least = (least - limits.eps * least.abs() - limits.tiny).to(scores.dtype)
        usable &= largest.isfinite().all(dim=1)
        is_candidate[sign] = reaching(scores, least, sign)
    usable, columns = usable.cpu(), matrix.columns.numpy()
    undecided = []
    for i, row in enumerate(tile.tolist()):
        candidates = {sign: np.flatnonzero(is_candidate[sign][i]) for sign in is_candidate}
        if not usable[i] or max(map(len, candidates.values())) > CANDIDATES_PER_K * k:
            undecided.append(row)
            continue
        direction = directions[row].numpy()
        for sign, ids in candidates.items():
            keep_best(ids, sign * scores_of(columns.take(ids, axis=0), direction), top[sign], row)
    return np.array(undecided, dtype=tile.dtype)


def approximate_scores(
    directions: Float[Tensor, "rows d_model"], columns: Float[Tensor, "d_vocab d_model"]
) -> Float[Tensor, "rows d_vocab"]:
    """The product, on a CPU of some columns at a time."""
    if directions.device.type != "cpu":
        return directions @ columns.T
    scores = directions.new_empty(len(directions), len(columns))
    for some, part in zip(scores.split(COLUMNS_AT_ONCE, dim=1), columns.split(COLUMNS_AT_ONCE), strict=True):
        some.copy_(directions @ part.T)
    return scores


def largest_of_groups(scores: Float[Tensor, "rows d_vocab"], sign: int, k: int) -> Float[Tensor, "rows groups"]:
    """The largest score (the smallest, for sign -1) of each group of GROUP tokens, and the scores of no whole group.

    The k-th largest of these is no larger than the k-th largest score. All scores where there are fewer than k groups.
    """
    n_groups = scores.shape[1] // GROUP
    if n_groups < k:
        return scores
    groups = scores[:, : GROUP * n_groups].unflatten(1, (GROUP, n_groups))
    largest = groups.amax(dim=1) if sign > 0 else groups.amin(dim=1)
    return torch.cat([largest, scores[:, GROUP * n_groups :]], dim=1)


def reaching(
    scores: Float[Tensor, "rows d_vocab"], least: Float[Tensor, "rows 1"], sign: int
) -> Bool[np.ndarray, "rows d_vocab"]:
    """Whether sign * score >= least."""
    if scores.device.type != "cpu" or not (least > 0).all():
        return (scores >= least if sign > 0 else scores <= -least).cpu().numpy()
    # Floating point numbers of one sign are in the order of their bits. Those of the other have the sign bit, which is
    # the smallest of a signed integer and the largest of an unsigned one. bfloat16 is compared ten times as fast so.
    signed, unsigned = {2: (np.int16, np.uint16), 4: (np.int32, np.uint32)}[scores.itemsize]
    bits = np.dtype(signed if sign > 0 else unsigned)
    as_bits = {2: torch.int16, 4: torch.int32}[scores.itemsize]
    compared: np.ndarray = scores.view(as_bits).numpy().view(bits) >= (sign * least).view(as_bits).numpy().view(bits)
    return compared


def score_every_token(
    direction: Float[np.ndarray, " d_model"], row: int, matrix: ReadoutMatrix, top: dict[int, TopTokens]
) -> None:
    """Fill in `top` for one row, without a search."""
    chunks = matrix.columns.split(COLUMNS_AT_ONCE)
    scores = np.concatenate([scores_of(chunk.numpy(), direction) for chunk in chunks])
    for sign, tokens in top.items():
        keep_best(np.arange(matrix.d_vocab), sign * scores, tokens, row)


def scores_of(
    columns: Float[np.ndarray, "m d_model"], directions: Float[np.ndarray, "*#m d_model"]
) -> Float[np.ndarray, " m"]:
    """The scores that ranks are defined by, float64, of columns with one direction, or with as many as there are
    columns. Each is summed by itself, in one order, whatever is beside it."""
    with np.errstate(over="ignore", invalid="ignore"):
        scores: np.ndarray = np.vecdot(columns.astype(np.float64, copy=False), directions)
    return scores


def keep_best(ids: Int[np.ndarray, " m"], scores: Float[np.ndarray, " m"], tokens: TopTokens, row: int) -> None:
    """Write the best of these tokens into a row of `tokens`, the best first; `ids` ascend."""
    # A stable sort keeps the lowest id first among equals. NaN comes last, where it would go unseen.
    best = np.argsort(-np.where(np.isnan(scores), np.inf, scores), kind="stable")[: tokens.ids.shape[1]]
    with np.errstate(over="ignore"):
        tokens.ids[row], tokens.scores[row] = ids[best], scores[best]


@functools.cache
def fastest_precision(d_vocab: int, d_model: int, device: str) -> str:
    """bfloat16 where this processor multiplies it several times as fast as float32, else float32; a key of ROUTES."""
    if device != "cpu":
        # Any product takes less time there than it takes to score candidates on the CPU.
        return "float64_product"
    seconds = {}
    for name, precision in PRECISIONS.items():
        rows, columns = (torch.ones(n, d_model, dtype=precision.dtype) for n in (64, min(d_vocab, 8192)))
        times = []
        for _ in range(3):
            start = time.perf_counter()
            (rows @ columns.T).sum().item()
            times.append(time.perf_counter() - start)
        seconds[name] = min(times)
    # It leaves more candidates to score, so it has to be clearly faster.
    chosen = "bfloat16" if 2 * seconds["bfloat16"] < seconds["float32"] else "float32"
    logger.info("%s for the search: %s", chosen, {name: f"{value * 1e3:.2f} ms" for name, value in seconds.items()})
    return chosen
