"""p-values beyond the largest of a null's scores, from a generalised Pareto distribution of its upper tail.

Exceedances over a high threshold are nearly generalised Pareto, whatever they are exceedances of (Pickands 1975;
Balkema & de Haan 1974). Knijnenburg et al. 2009 take p-values of permutation tests from such a fit where fewer than ten
permutations reach a score, and check the fit by the statistic of Anderson and Darling; so do we. Unlike theirs, our
p-values are averages over what is likely of the two parameters, weighted as Zhang & Stephens 2009 do for an estimate:
of 2,000 null scores, single fits put twice as many further scores below .0001 as they should, and up to ten times as
many below .00001; the averages are within a factor of 2 and of 4 (tests).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

TAIL_SHARES = (0.1, 0.08, 0.06, 0.04, 0.025)
"""Shares of the null above a threshold, tried in this order until a fit passes the check."""
FEWEST_ABOVE = 50
"""Null scores above a threshold, below which two parameters are not fitted."""
CHECK_LEVEL = 0.05
CHECK_SAMPLES = 399
CHECK_SEED = 0
SUPPORT = 10
"""Null scores that have to reach a score for its p-value to be counted (Knijnenburg et al. 2009)."""
FARTHEST = 100
"""No p-value is below 1 / FARTHEST of the smallest that could be counted: of what is beyond, a sample says nothing."""


class Candidates(NamedTuple):
    """Pairs of parameters of generalised Pareto distributions and their weights, which add up to 1, [samples, m] all.

    The probability to exceed x is (1 - theta x)^(1 / k), with theta = k / scale and k = -shape.
    """

    theta: Float[np.ndarray, "samples m"]
    k: Float[np.ndarray, "samples m"]
    weight: Float[np.ndarray, "samples m"]


class Tail(NamedTuple):
    """A generalised Pareto fit of the scores of a null above a threshold.

    threshold: above it are n_above of n null scores, by x or more the share (1 + shape x / scale)^(-1 / shape) of
    these. check: p of the goodness-of-fit test of shape and scale. candidates: what p-values are averaged over, arrays
    [1, m], of which shape and scale are the mean.
    """

    threshold: float
    n_above: int
    n: int
    shape: float
    scale: float
    check: float
    candidates: Candidates

    def facts(self) -> dict[str, float]:
        """For the metadata of a table."""
        names = ("threshold", "n_above", "n", "shape", "scale", "check")
        return {name: getattr(self, name) for name in names}


def candidates_of(exceedances: Float[np.ndarray, "samples n"]) -> Candidates:
    """Parameters that are likely for each sample of exceedances, positive and in ascending order; n at least 4.

    A grid of theta, each with the likeliest k for it, weighted by likelihood (Zhang & Stephens 2009).
    """
    n = exceedances.shape[-1]
    m = 20 + int(np.sqrt(n))
    largest, quartile = exceedances[..., -1:], exceedances[..., int(n / 4 + 0.5) - 1, None]
    theta = 1 / largest + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * quartile)
    k = -np.log1p(-theta[..., None] * exceedances[..., None, :]).mean(axis=-1)
    log_likelihood = n * (np.log(theta / k) + k - 1)
    weight = np.exp(log_likelihood - log_likelihood.max(axis=-1, keepdims=True))
    return Candidates(theta, k, weight / weight.sum(axis=-1, keepdims=True))


def point_estimate(
    exceedances: Float[np.ndarray, "samples n"], candidates: Candidates
) -> tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"]]:
    """theta, the weighted mean, and the k that is likeliest with it."""
    theta = np.sum(candidates.theta * candidates.weight, axis=-1)
    return theta, -np.log1p(-theta[..., None] * exceedances).mean(axis=-1)


def anderson_darling(
    exceedances: Float[np.ndarray, "samples n"],
    theta: Float[np.ndarray, " samples"],
    k: Float[np.ndarray, " samples"],
) -> Float[np.ndarray, " samples"]:
    """The statistic of each sample, in ascending order, against its own distribution (Anderson & Darling 1954)."""
    n = exceedances.shape[-1]
    log_above = np.log1p(-theta[..., None] * exceedances) / k[..., None]
    log_below = np.log(-np.expm1(np.minimum(log_above, -1e-300)))
    weights = 2 * np.arange(1, n + 1) - 1
    total: np.ndarray = -n - np.mean(weights * (log_below + log_above[..., ::-1]), axis=-1)
    return total


def goodness_of_fit(
    exceedances: Float[np.ndarray, "1 n"], theta: Float[np.ndarray, "1"], k: Float[np.ndarray, "1"]
) -> float:
    """p of the Anderson-Darling test that exceedances are of the distribution that was fitted to them.

    By a parametric bootstrap (Stute, Gonzalez Manteiga & Presedo Quindimil 1993): samples of the fitted distribution
    are fitted in the same way, because a distribution is closer to what it was fitted to than to other samples.
    """
    uniform = np.random.default_rng(CHECK_SEED).random((CHECK_SAMPLES, exceedances.shape[1]))
    samples = np.sort(-np.expm1(k * np.log(uniform)) / theta, axis=-1)
    statistics = anderson_darling(samples, *point_estimate(samples, candidates_of(samples)))
    observed = anderson_darling(exceedances, theta, k)
    return float((1 + np.sum(statistics >= observed)) / (1 + CHECK_SAMPLES))


def fit_tail(null: Float[np.ndarray, " n"]) -> Tail | None:
    """A fit of the upper tail of a null's scores that passes the check, the one with most scores; None without any.

    Scores that are NaN do not count. Too few scores, or many of the same, have no fit.
    """
    scores = np.sort(null[~np.isnan(null)])
    for share in TAIL_SHARES:
        n_above = int(share * len(scores))
        if n_above < FEWEST_ABOVE:
            break
        threshold = float(scores[-n_above - 1 : len(scores) - n_above + 1].mean())
        exceedances = scores[None, -n_above:] - threshold
        # No continuous distribution has as many of the same value.
        if len(np.unique(exceedances)) < n_above / 2 or exceedances[0, 0] <= 0:
            continue
        candidates = candidates_of(exceedances)
        theta, k = point_estimate(exceedances, candidates)
        check = goodness_of_fit(exceedances, theta, k)
        if check >= CHECK_LEVEL:
            return Tail(threshold, n_above, len(scores), -float(k[0]), float(k[0] / theta[0]), check, candidates)
    return None


def exceedance_probabilities(scores: Float[np.ndarray, " n"], tail: Tail) -> Float[np.ndarray, " n"]:
    """The probability that a null score is at least as high, for scores above the threshold of the tail."""
    theta, k, weight = (one[0] for one in tail.candidates)
    inside = np.maximum(1 - theta * (scores[:, None] - tail.threshold), 0)
    with np.errstate(divide="ignore"):
        above = np.exp(np.log(inside) / k)
    return tail.n_above / tail.n * (above @ weight)
