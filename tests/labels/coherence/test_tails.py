"""p-values beyond a null's scores: fits against scipy, planted tails, and how often further scores have small ones."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from svdlens.labels.coherence.nulls import p_values
from svdlens.labels.coherence.tails import (
    CHECK_LEVEL,
    FARTHEST,
    FEWEST_ABOVE,
    SUPPORT,
    TAIL_SHARES,
    Tail,
    candidates_of,
    exceedance_probabilities,
    fit_tail,
    goodness_of_fit,
    point_estimate,
)

N = 2000
"""Lists of 1,000 random directions."""
TAILS = {
    "normal": stats.norm(),
    "exponential": stats.expon(),
    "bounded": stats.beta(2, 3),
    "skewed": stats.lognorm(0.5),
    "heavy": stats.t(5),
}


def exceedances(shape: float, n: int, seed: int) -> np.ndarray:
    return np.sort(stats.genpareto(shape, scale=2.0).rvs((1, n), random_state=seed))


# --- the fit


@pytest.mark.parametrize("shape", [-0.4, -0.1, 0.0, 0.2, 0.5])
def test_planted_shapes_and_scales_are_found(shape):
    samples = exceedances(shape, 400, 0), exceedances(shape, 20_000, 1)
    for sample, tolerance in zip(samples, (0.2, 0.03), strict=True):
        theta, k = (one[0] for one in point_estimate(sample, candidates_of(sample)))
        assert -k == pytest.approx(shape, abs=tolerance)
        assert k / theta == pytest.approx(2.0, rel=tolerance)
    likeliest, _, scale = stats.genpareto.fit(samples[1][0], floc=0)
    assert (-k, k / theta) == pytest.approx((likeliest, scale), abs=0.01)


def test_probabilities_are_averages_of_scipys_survival_functions():
    tail = fit_tail(stats.norm.rvs(size=N, random_state=3))
    x = tail.threshold + np.linspace(0, 5, 30)
    expected = np.zeros(30)
    for theta, k, weight in zip(*(one[0] for one in tail.candidates), strict=True):
        expected += weight * stats.genpareto.sf(x, -k, loc=tail.threshold, scale=k / theta)
    assert exceedance_probabilities(x, tail) == pytest.approx(expected * tail.n_above / N, rel=1e-8)
    # And near the one of shape and scale, where there are scores.
    inside = tail.threshold + np.array([0.1, 0.3, 0.6])
    single = stats.genpareto.sf(inside, tail.shape, loc=tail.threshold, scale=tail.scale) * tail.n_above / N
    assert exceedance_probabilities(inside, tail) == pytest.approx(single, rel=0.05)


def test_the_check_rejects_true_fits_as_rarely_as_it_promises():
    rejected = []
    for seed in range(400):
        sample = exceedances(0.1, 150, seed)
        theta, k = point_estimate(sample, candidates_of(sample))
        rejected.append(goodness_of_fit(sample, theta, k) < CHECK_LEVEL)
    assert 0.02 <= np.mean(rejected) <= 0.09


def test_a_fit_that_fails_its_check_is_not_used():
    # A second hump, far above the first: no generalised Pareto distribution has one.
    rng = np.random.default_rng(0)
    humps = np.concatenate([rng.normal(size=1800), rng.normal(50, 0.5, 200)])
    tail = fit_tail(humps)
    assert tail is None or tail.n_above < 200  # within the hump there may be one
    two = np.concatenate([rng.normal(size=1900), rng.normal(20, 0.1, 60), rng.normal(40, 0.1, 40)])
    assert fit_tail(two) is None
    scores = np.array([0.0, 19.0, 50.0, np.nan])
    assert np.array_equal(p_values(scores, two, fit_tail(two)), p_values(scores, two), equal_nan=True)


def test_too_few_scores_and_scores_of_few_values_have_no_fit():
    normal = stats.norm.rvs(size=N, random_state=1)
    smallest = int(FEWEST_ABOVE / TAIL_SHARES[0])
    assert fit_tail(normal[: smallest - 1]) is None and fit_tail(np.empty(0)) is None
    assert fit_tail(np.full(N, np.nan)) is None and fit_tail(np.zeros(N)) is None
    assert fit_tail(np.round(normal)) is None
    # Missing ones do not count.
    with_missing = np.append(normal, [np.nan] * 500)
    assert fit_tail(with_missing).facts() == fit_tail(normal).facts()


def test_a_fit_depends_neither_on_the_order_of_scores_nor_on_chance():
    normal = stats.norm.rvs(size=N, random_state=2)
    assert fit_tail(normal).facts() == fit_tail(normal[::-1]).facts()
    # Nor on the unit of the scores.
    moved = fit_tail(10 * normal + 3)
    assert moved.shape == pytest.approx(fit_tail(normal).shape) and moved.check == fit_tail(normal).check


# --- p-values


@pytest.mark.parametrize("name", TAILS)
def test_p_values_are_counted_where_they_can_be_and_never_0(name):
    null = TAILS[name].rvs(size=N, random_state=4)
    tail, scores = fit_tail(null), np.sort(np.append(null, TAILS[name].isf(np.logspace(-1, -12, 200))))
    p, counted = p_values(scores, null, tail), p_values(scores, null)
    assert (np.diff(p) <= 0).all()
    supported = counted >= (1 + SUPPORT) / (1 + N)
    assert np.array_equal(p[supported], counted[supported])
    assert (p[~supported] <= (1 + SUPPORT) / (1 + N)).all()
    assert p.min() >= 1 / FARTHEST / (1 + N) > 0
    assert p_values(np.array([1e300]), null, tail)[0] == p_values(np.array([np.inf]), null, tail)[0] > 0


def share_below(level: float, truth: Any, null: np.ndarray, tail: Tail | None) -> float:
    """The share of further scores with p at most `level`: the p-value falls with the score, so there is one cut."""

    def above(log_share: float) -> float:
        return float(p_values(truth.isf(np.exp([log_share])), null, tail)[0] - level)

    most, least = np.log(0.3), np.log(1e-12)
    return 0.0 if above(least) > 0 else float(np.exp(brentq(above, most, least, xtol=1e-3)))


@pytest.mark.slow
@pytest.mark.parametrize("name", TAILS)
def test_further_scores_have_small_p_values_as_often_as_they_should(name):
    ratios: dict[float, list[float]] = {0.05: [], 1e-3: [], 1e-4: [], 1e-5: []}
    for seed in range(200):
        null = TAILS[name].rvs(size=N, random_state=1000 + seed)
        tail = fit_tail(null)
        for level, found in ratios.items():
            found.append(share_below(level, TAILS[name], null, tail) / level)
    mean = {level: np.mean(found) for level, found in ratios.items()}
    assert 0.6 <= mean[0.05] <= 1.4
    assert 1 / 2 <= mean[1e-3] <= 2
    assert 1 / 2 <= mean[1e-4] <= 2
    assert 1 / 4 <= mean[1e-5] <= 4
