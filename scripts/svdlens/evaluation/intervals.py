"""Confidence intervals of fractions, of rows that are independent and of rows that come matrix by matrix."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.special import stdtrit

CONFIDENCE = 0.95
NORMAL_QUANTILE = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
MATRIX = ["layer", "head"]
"""Columns that tell the matrices of one kind apart; heads are empty for MLPs."""


def wilson_interval(
    k: pd.Series, n: pd.Series, quantile: pd.Series | float = NORMAL_QUANTILE
) -> tuple[pd.Series, pd.Series]:
    """Interval of k / n at the level CONFIDENCE (Wilson 1927), or with another `quantile` than the normal one.

    As statsmodels' proportion_confint, which is the oracle in the tests and takes a second to import.
    """
    squared = quantile**2
    centre = (k + squared / 2) / (n + squared)
    half = quantile * np.sqrt(k * (n - k) / n + squared / 4) / (n + squared)
    # Rounding must not lead out of what a fraction can be.
    return (centre - half).clip(lower=0.0), (centre + half).clip(upper=1.0)


def interval_over_matrices(
    k: pd.Series, n: pd.Series, n_matrices: pd.Series, design_effect: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Interval of k / n at the level CONFIDENCE, for matrices like the `n_matrices` that the n rows are of.

    Wilson's with n divided by the design effect (1 where it is empty), and the quantile of Student's t with a degree of
    freedom less than matrices (Korn & Graubard 1998; Dean & Pagano 2015), but no narrower than that of independent
    rows. Of a single matrix rows are taken as independent: that interval is about the directions of this matrix.
    """
    several = n_matrices > 1
    student = pd.Series(stdtrit((n_matrices - 1).where(several, 1), (1 + CONFIDENCE) / 2), index=k.index)
    quantile = (student * np.sqrt(design_effect.fillna(1.0))).clip(lower=NORMAL_QUANTILE)
    return wilson_interval(k, n, quantile.where(several, NORMAL_QUANTILE))


def shares_over_matrices(counts: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The share k / n of each combination of `keys`, with an interval for matrices like those that there are.

    `counts` has a row for each combination and matrix, with the numbers n and k of rows. Returned are the keys, n, k,
    n_matrices, design_effect, fraction, low and high, one row for each combination, in ascending order of the keys.

    The design effect is by how much the variance of the share is larger than if rows were independent: the
    linearisation estimator with matrices as clusters and the factor G / (G - 1) for G of them, divided by the binomial
    variance (Kish 1965). It is empty for a single matrix, and where no row or every row counts. For the interval see
    interval_over_matrices.
    """
    n, k = counts["n"].astype(float), counts["k"].astype(float)
    terms = counts[list(keys)].assign(n=n, k=k, n_matrices=1, kk=k * k, kn=k * n, nn=n * n)
    if keys:
        sums = terms.groupby(list(keys), dropna=False, observed=True).sum().reset_index()
    else:
        sums = terms.sum().to_frame().T
    fraction, matrices = sums["k"] / sums["n"], sums["n_matrices"]
    several = matrices > 1
    between = sums["kk"] - 2 * fraction * sums["kn"] + fraction**2 * sums["nn"]
    binomial = sums["n"] * fraction * (1 - fraction)
    freedom = (matrices - 1).where(several, 1)
    effect = ((freedom + 1) / freedom * between.clip(lower=0) / binomial.where(binomial > 0)).where(several)
    low, high = interval_over_matrices(sums["k"], sums["n"], matrices, effect)
    whole = {name: sums[name].astype(int) for name in ("n", "k", "n_matrices")}
    return sums[list(keys)].assign(**whole, design_effect=effect, fraction=fraction, low=low, high=high)


def difference_interval(one: Sequence[pd.Series], other: Sequence[pd.Series]) -> tuple[pd.Series, pd.Series]:
    """Interval of the difference of two independent fractions, each with its low and high end (Newcombe 1998, method
    10; Zou & Donner 2008 for intervals other than Wilson's)."""
    (fraction, low, high), (other_fraction, other_low, other_high) = one, other
    difference = fraction - other_fraction
    below = np.hypot(fraction - low, other_high - other_fraction)
    above = np.hypot(high - fraction, other_fraction - other_low)
    return difference - below, difference + above


def paired_excess(counts: pd.DataFrame, others: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The share k / n of `counts` less that of `others` in each combination of `keys`, with its interval.

    Both have a row for each combination and matrix. Returned are the keys, excess, low and high, one row for each
    combination of `counts`; empty where `others` has no rows. Matrices are the clusters of the linearised difference,
    so that what a matrix does to both shares cancels out; Student's t with a degree of freedom less than matrices, but
    no narrower than if just the rows of these matrices were drawn anew, as chance can have it with few of them. Of a
    single matrix both shares are taken as independent, and so are its rows (difference_interval).
    """
    matrix = [*dict.fromkeys([*keys, *MATRIX])]
    own, other = (table[[*matrix, "n", "k"]] for table in (counts, others))
    both = own.merge(other, on=matrix, how="left", suffixes=("", "_other"))
    both = both.fillna({"k_other": 0, "n_other": 0}).astype({"k_other": float, "n_other": float})
    groups = both.assign(matrices=1).groupby(list(keys), dropna=False, sort=False, observed=True)
    sums = groups[["k", "n", "k_other", "n_other", "matrices"]].transform("sum")
    share, share_other = sums["k"] / sums["n"], sums["k_other"] / sums["n_other"].where(sums["n_other"] > 0)
    terms = (both["k"] - share * both["n"]) / sums["n"]
    terms -= (both["k_other"] - share_other * both["n_other"]) / sums["n_other"]
    within = both["k"] * (both["n"] - both["k"]) / both["n"] / sums["n"] ** 2
    spread_other = both["k_other"] * (both["n_other"] - both["k_other"]) / both["n_other"].clip(lower=1)
    within += spread_other / sums["n_other"] ** 2
    table = both.assign(**sums, share=share, other=share_other, squares=terms**2, within=within)
    summed = table.groupby(list(keys), dropna=False, sort=False, observed=True)
    squares, within = (summed[name].sum().reset_index(drop=True) for name in ("squares", "within"))
    table = summed[["k", "n", "k_other", "n_other", "matrices", "share", "other"]].first().reset_index()
    several = table["matrices"] > 1
    freedom = (table["matrices"] - 1).where(several, 1)
    half = stdtrit(freedom, (1 + CONFIDENCE) / 2) * np.sqrt((freedom + 1) / freedom * squares)
    half = np.maximum(half, NORMAL_QUANTILE * np.sqrt(within))
    excess = table["share"] - table["other"]
    n_other = table["n_other"].where(table["n_other"] > 0)
    low, high = difference_interval(
        (table["share"], *wilson_interval(table["k"], table["n"])),
        (table["other"], *wilson_interval(table["k_other"], n_other)),
    )
    low, high = low.where(~several, excess - half), high.where(~several, excess + half)
    return table[list(keys)].assign(excess=excess, low=low.clip(lower=-1.0), high=high.clip(upper=1.0))
