"""How much of a query lies along each direction, and how much would by chance.

A query is a vector of the residual stream, its cosines are with the singular vectors (Millidge & Black 2022, who search
for a concept with the pseudo-inverse of the unembedding, and take what has a cosine of at least 0.15 either way).

By chance: the cosines of random queries of as many words, as frequent as those of the query. Some directions have a
part of every token, so each direction is compared with its own cosines with random queries, as a standard score; how
far out such scores lie is counted over all directions together (as Tusher, Tibshirani & Chu 2001 do for genes), since
a single direction would need a random query for each step of its p value.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from svdlens.readout.control_directions import seeded
from svdlens.runtime.compute import single_threaded_pool

FIRST_BAND = 3
"""The most frequent tokens, up to rank 10^3, are one band of frequency; those up to 10^4 the next, and so on."""
DIRECTIONS_AT_ONCE = 4096
BINS = 1 << 16
"""Standard scores of random queries are counted in so many bins; a score takes all in its own bin for larger."""


class Cosines(NamedTuple):
    """Of each query with each direction. standard_score: how many standard deviations of the cosines of random queries
    with this direction the cosine is off their mean, 0 for a direction of zeros. p_value: the share of the random
    queries, over all directions, that are at least as far off, either way. q_value: of these, over the directions of
    the query (Benjamini & Hochberg 1995)."""

    cosine: Float[np.ndarray, "queries directions"]
    standard_score: Float[np.ndarray, "queries directions"]
    p_value: Float[np.ndarray, "queries directions"]
    q_value: Float[np.ndarray, "queries directions"]


def query_vector(vectors: Float[Tensor, "d_vocab d_model"], ids: Sequence[Sequence[int]]) -> Float[Tensor, " d_model"]:
    """The sum of the `vectors` of the words; that of a word of several pieces is the mean of theirs.

    With the rows of the pseudo-inverse of W_U it is the vector whose logits come closest, by least squares, to 1 for
    the tokens of the query and 0 for all others.
    """
    return torch.stack([vectors[list(pieces)].mean(0) for pieces in ids]).sum(0)


def frequency_bands(log_ranks: Float[np.ndarray, " d_vocab"]) -> Int[np.ndarray, " d_vocab"]:
    """The band of frequency of each token (FIRST_BAND), by the natural logarithm of its rank, 1 the most frequent."""
    # A rank of exactly 1,000 belongs below, whatever the rounding of its logarithm.
    return np.maximum(np.ceil(log_ranks / np.log(10) - 1e-9), FIRST_BAND).astype(np.int64)


def null_group(ids: Sequence[Sequence[int]], bands: Int[np.ndarray, " d_vocab"]) -> tuple[int, int]:
    """What a query has in common with the random ones that it is compared with: the number of its words, and the band
    in the middle of theirs. A word of several pieces is as rare as the rarest."""
    of_words = [max(bands[list(pieces)]) for pieces in ids]
    return len(ids), int(np.sort(of_words)[len(ids) // 2])


def null_queries(
    vectors: Float[Tensor, "d_vocab d_model"],
    bands: Int[np.ndarray, " d_vocab"],
    group: tuple[int, int],
    n: int,
    seed: int,
) -> Float[Tensor, "n d_model"]:
    """`n` sums of the vectors of as many random tokens of a band as `group` says."""
    n_words, band = group
    members = np.flatnonzero(bands == band)
    ids = seeded(seed, "trace", str(n_words), str(band)).choice(members, (n, n_words))
    return vectors[torch.from_numpy(ids)].sum(1)


def trace(
    queries: Float[Tensor, "queries d_model"],
    random: Float[Tensor, "n d_model"],
    directions: Float[Tensor, "directions d_model"],
    threads: int,
) -> Cosines:
    """The cosines of the `queries`, which are alike in what null_group says, with all `directions`, beside those of
    `random` queries, at least 3. float32 and in tiles of a fixed size, so that no number of threads changes a bit.
    """
    unit_queries, unit_random, n = unit_rows(queries), unit_rows(random), len(random)
    largest = (n - 1) / n**0.5  # of n numbers none can be more of their standard deviations off their mean

    def tile(start: int) -> tuple[Tensor, Tensor, Tensor]:
        part = directions[start : start + DIRECTIONS_AT_ONCE].float()
        lengths = torch.linalg.vector_norm(part, dim=1)
        cosines = divided(unit_queries @ part.T, lengths)
        by_chance = divided(unit_random @ part.T, lengths)
        mean = by_chance.mean(0)
        deviation = torch.linalg.vector_norm(by_chance.sub_(mean), dim=0) / (n - 1) ** 0.5
        counts = torch.histc(divided(by_chance, deviation).abs_(), BINS, 0, largest)
        return cosines, divided(cosines - mean, deviation), counts.long()

    with single_threaded_pool(threads) as pool:
        cosines, scores, counts = zip(*pool.map(tile, range(0, len(directions), DIRECTIONS_AT_ONCE)), strict=True)
    score = torch.cat(scores, dim=1)
    # Each random query is part of the mean and deviation that it was divided by, the queries are not.
    at_least = torch.stack(counts).sum(0).flip(0).cumsum(0).flip(0)
    p_of_bin = (1 + at_least).double() / (1 + at_least[0])
    bins = (within(score, n).abs() * (BINS / largest)).long().clamp_(max=BINS - 1)
    q_values = torch.stack([benjamini_hochberg(p_of_bin, row)[row] for row in bins])
    return Cosines(torch.cat(cosines, dim=1).numpy(), score.numpy(), p_of_bin[bins].numpy(), q_values.numpy())


def benjamini_hochberg(p_of_bin: Float[Tensor, " bins"], bins: Int[Tensor, " directions"]) -> Float[Tensor, " bins"]:
    """The q value of each bin, of which p falls with the number, for directions in these `bins`: no sorting."""
    so_far_out = torch.bincount(bins, minlength=len(p_of_bin)).flip(0).cumsum(0).flip(0)
    return torch.cummin(p_of_bin * len(bins) / so_far_out.clamp(min=1), 0).values


def within(score: Float[Tensor, "..."], n: int) -> Float[Tensor, "..."]:
    """Turn standard scores by the mean and standard deviation of the others into those by that of all n, itself among
    them. Larger stays larger, so that ranks need but one of the two (internally and externally studentised residuals;
    Cook & Weisberg 1982, section 2.2)."""
    share = n / (n - 1)
    return score * ((n - 1) / (share**2 * (n - 2) + share * score.square())).sqrt()


def divided(numbers: Tensor, by: Tensor) -> Tensor:
    """`numbers` / `by`, and 0 where that is 0."""
    return torch.where(by > 0, numbers / torch.where(by > 0, by, 1), 0)


def unit_rows(rows: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
    """Each row scaled to length 1, float32; one of zeros stays one."""
    lengths = torch.linalg.vector_norm(rows.double(), dim=1, keepdim=True)
    return divided(rows.double(), lengths).float()
