"""How well first-order effects tell what scaling a direction really does: exact effects of a sample, and rank
correlations with them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.stats import bootstrap, rankdata
from torch import Tensor, nn

from svdlens.edit.hooks import edited
from svdlens.edit.updates import Update
from svdlens.effects.metrics import metric_sum, metric_terms
from svdlens.runtime.compute import single_threaded_pool

DEPTHS, STRENGTHS, RESAMPLES = 3, 10, 2000
FEWEST = 10
"""Directions of which there is a rank correlation."""


def metrics_of(
    model: nn.Module, windows: Int[Tensor, "n length"], target_sets: Sequence[Sequence[int]], workers: int = 1
) -> Float[np.ndarray, " metrics"]:
    """The loss on a text, and the mean log-probability of each set of tokens, from one forward pass; nats per token."""
    wanted = [None, *(torch.tensor(targets) for targets in target_sets)]

    def of_window(window: Int[Tensor, " length"]) -> list[float]:
        with torch.no_grad():
            logits = model(window[None], use_cache=False).logits[0]
        return [float(metric_sum(logits, window, targets)) / metric_terms(len(window), targets) for targets in wanted]

    with single_threaded_pool(workers) as pool:
        means: np.ndarray = np.mean(list(pool.map(of_window, windows)), axis=0)
    return means


def exact_effects(
    model: nn.Module,
    windows: Int[Tensor, "n length"],
    update: Update,
    eps: Sequence[float],
    target_sets: Sequence[Sequence[int]],
    before: Float[np.ndarray, " metrics"],
    workers: int = 1,
) -> Float[np.ndarray, "eps metrics"]:
    """By how much metrics_of changes from `before` as the one direction of `update` is scaled by 1 + eps, by a
    forward pass for each eps."""
    changes = []
    for one in eps:
        scaled = replace(update, eps=torch.tensor([one], dtype=torch.float64))
        with edited(model, [scaled]):
            changes.append(metrics_of(model, windows, target_sets, workers) - before)
    return np.stack(changes)


def stratified_sample(effects: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """`size` directions of a table of effects of all kinds of matrices, one row each, those of null space left out.

    As many of each stratum as can be: a kind of matrix, a third of the layers, and a tenth of these by the magnitude of
    the first-order effect. So weak and strong effects are in the sample alike.
    What does not go round falls to large strata first.
    """
    rows = effects[(effects["sign"] == 1) & effects["first_order"].notna()].reset_index(drop=True)
    depth = rows["layer"] * DEPTHS // (effects["layer"].max() + 1)
    places = rows.assign(depth=depth, strength=rows["first_order"].abs()).groupby(["matrix", "depth"], observed=True)
    rank = places["strength"].rank(method="first") - 1
    rows = rows.assign(depth=depth, stratum=(rank * STRENGTHS // places["strength"].transform("size")).astype(int))
    # In the order of a draw without replacement from each stratum, the first of every stratum, then the second...
    drawn = rows.sample(frac=1.0, random_state=seed)
    turn = drawn.groupby(["matrix", "depth", "stratum"], observed=True).cumcount()
    chosen = drawn.assign(turn=turn).sort_values("turn", kind="stable").head(size)
    return chosen.drop(columns="turn").sort_index()


def rank_correlation(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"], seed: int
) -> tuple[float, float, float]:
    """Spearman's rank correlation, with the 95 % percentile bootstrap interval over rows; of rows in which both are."""
    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]

    def statistic(one: np.ndarray, other: np.ndarray, axis: int = -1) -> np.ndarray:
        ranks = [rankdata(values, axis=axis) for values in (one, other)]
        first, second = (rank - rank.mean(axis=axis, keepdims=True) for rank in ranks)
        products = (first**2).sum(axis=axis) * (second**2).sum(axis=axis)
        correlations: np.ndarray = (first * second).sum(axis=axis) / np.sqrt(products)
        return correlations

    drawn = bootstrap(
        (first, second), statistic, paired=True, vectorized=True, n_resamples=RESAMPLES, method="percentile",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = drawn.confidence_interval
    return float(statistic(first, second)), float(low), float(high)


def agreement_rows(effects: pd.DataFrame, seed: int) -> pd.DataFrame:
    """How well eps times the slope tells the exact change, by eps and by kind of matrix (`all` for all of them).

    effects: a row for each direction and eps, with `matrix`, `eps`, `predicted` and `exact`. Columns: n, spearman with
    its interval low and high, and the median of |exact - predicted| in medians of |exact|.
    """
    pieces = []
    for eps, rows in effects.groupby("eps", sort=False):
        for matrix in ("all", *dict.fromkeys(effects["matrix"])):
            own = rows if matrix == "all" else rows[rows["matrix"] == matrix]
            own = own[own["predicted"].notna()]
            if len(own) < FEWEST:
                continue
            correlation, low, high = rank_correlation(own["predicted"].to_numpy(), own["exact"].to_numpy(), seed)
            error = (own["exact"] - own["predicted"]).abs().median() / own["exact"].abs().median()
            pieces.append((eps, matrix, len(own), correlation, low, high, error))
    return pd.DataFrame(pieces, columns=["eps", "matrix", "n", "spearman", "low", "high", "error"])
