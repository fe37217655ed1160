"""Intervals over matrices: design effects against statsmodels, and how often intervals hold what they should."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from svdlens.evaluation.intervals import difference_interval, paired_excess, shares_over_matrices, wilson_interval

RUNS = 2000


def counts_table(k: np.ndarray, m: int) -> pd.DataFrame:
    """Counts k [runs, matrices] of m rows each."""
    runs, matrices = k.shape
    return pd.DataFrame({"run": np.repeat(np.arange(runs), matrices), "k": k.ravel(), "n": m})


def planted_counts(share: float, correlation: float, matrices: int, m: int, seed: int) -> np.ndarray:
    """Counts of RUNS tables: shares of matrices are of a beta distribution, so that rows of one matrix are alike."""
    rng = np.random.default_rng(seed)
    if not correlation:
        return rng.binomial(m, share, (RUNS, matrices))
    total = 1 / correlation - 1
    return rng.binomial(m, rng.beta(total * share, total * (1 - share), (RUNS, matrices)))


def test_the_design_effect_is_that_of_a_regression_with_clusters():
    rng = np.random.default_rng(0)
    sizes, shares = rng.integers(5, 60, 15), rng.beta(2, 5, 15)
    counts = pd.DataFrame({"n": sizes, "k": rng.binomial(sizes, shares)})
    [row] = shares_over_matrices(counts, []).to_dict("records")
    hits = np.concatenate([np.arange(n) < k for n, k in zip(counts["n"], counts["k"], strict=True)]).astype(float)
    clusters = np.repeat(np.arange(15), sizes)
    model = sm.OLS(hits, np.ones(len(hits)))
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False})
    variance = fit.cov_params()[0, 0] * 15 / 14
    fraction = hits.mean()
    assert (row["n"], row["k"], row["n_matrices"]) == (len(hits), hits.sum(), 15)
    assert row["fraction"] == pytest.approx(fraction)
    assert row["design_effect"] == pytest.approx(variance * len(hits) / (fraction * (1 - fraction)))


def test_groups_are_counted_by_themselves_and_missing_keys_are_one():
    counts = pd.DataFrame({"head": [0, 0, 1, np.nan, np.nan], "n": 10, "k": [1, 3, 5, 7, 9]})
    table = shares_over_matrices(counts, ["head"])
    assert table["k"].tolist() == [4, 5, 16] and table["n_matrices"].tolist() == [2, 1, 2]
    assert table["design_effect"].isna().tolist() == [False, True, False]
    for _, rows in counts.groupby("head", dropna=False):
        alone = shares_over_matrices(rows, [])
        same = table[table["k"] == rows["k"].sum()][alone.columns].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, same)


def test_intervals_are_no_narrower_than_of_independent_rows_and_within_0_and_1():
    rng = np.random.default_rng(1)
    table = shares_over_matrices(
        counts_table(rng.integers(0, 21, (RUNS, 4)) * rng.integers(0, 2, (RUNS, 1)), 20), ["run"]
    )
    low, high = wilson_interval(table["k"], table["n"])
    assert (table["low"] <= low + 1e-12).all() and (table["high"] >= high - 1e-12).all()
    assert ((table["low"] >= 0) & (table["low"] <= table["fraction"])).all()
    assert ((table["high"] <= 1) & (table["high"] >= table["fraction"])).all()
    assert table.loc[table["k"] == 0, "design_effect"].isna().all() and (table["k"] == 0).any()


@pytest.mark.parametrize("matrices", [6, 24, 72])
def test_intervals_of_independent_rows_are_not_much_wider_than_wilsons(matrices):
    table = shares_over_matrices(counts_table(planted_counts(0.2, 0.0, matrices, 64, seed=0), 64), ["run"])
    low, high = wilson_interval(table["k"], table["n"])
    wider = ((table["high"] - table["low"]) / (high - low)).median()
    assert wider < {6: 1.3, 24: 1.1, 72: 1.05}[matrices]
    assert 0.8 < table["design_effect"].mean() < 1.2


@pytest.mark.parametrize("correlation", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("share", [0.1, 0.4])
@pytest.mark.parametrize("matrices,m", [(3, 128), (6, 384), (12, 128), (72, 128)])
def test_intervals_over_matrices_hold_the_share_that_matrices_have(matrices, m, share, correlation):
    table = shares_over_matrices(counts_table(planted_counts(share, correlation, matrices, m, seed=2), m), ["run"])
    held = ((table["low"] <= share) & (share <= table["high"])).mean()
    assert 0.9 <= held <= (0.98 if matrices > 3 else 1.0)
    if correlation:
        expected = 1 + (m - 1) * correlation
        assert table["design_effect"].mean() == pytest.approx(expected, rel=0.15 if matrices > 6 else 0.4)
        low, high = wilson_interval(table["k"], table["n"])
        assert ((low <= share) & (share <= high)).mean() < 0.85


@pytest.mark.parametrize("correlation", [0.0, 0.05])
def test_intervals_of_the_excess_hold_it(correlation):
    share, control, n = 0.3, 0.22, 2000
    table = shares_over_matrices(counts_table(planted_counts(share, correlation, 24, 128, seed=3), 128), ["run"])
    k = pd.Series(np.random.default_rng(4).binomial(n, control, RUNS).astype(float))
    own = table["fraction"], table["low"], table["high"]
    low, high = difference_interval(own, (k / n, *wilson_interval(k, pd.Series(np.full(RUNS, float(n))))))
    assert 0.93 <= ((low <= share - control) & (share - control <= high)).mean() <= 0.98


def test_the_paired_excess_holds_it_and_is_narrower_than_the_unpaired_one():
    """Matrices differ, and what they do to one share they do to the other."""
    rng = np.random.default_rng(5)
    held, widths = [], []
    for _ in range(400):
        level = rng.beta(2, 6, 24)
        one, other = (
            pd.DataFrame({"layer": np.arange(24), "head": np.nan, "n": n, "k": rng.binomial(n, level + more)})
            for n, more in ((128, 0.05), (40, 0.0))
        )
        _, excess, low, high = paired_excess(one.assign(of=1), other.assign(of=1), ["of"]).iloc[0]
        assert excess == pytest.approx(one["k"].sum() / one["n"].sum() - other["k"].sum() / other["n"].sum())
        held.append(low <= 0.05 <= high)
        shares = [shares_over_matrices(counts, []) for counts in (one, other)]
        unpaired = difference_interval(*([share[name] for name in ("fraction", "low", "high")] for share in shares))
        widths.append((high - low) / float((unpaired[1] - unpaired[0]).iloc[0]))
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.mean(widths) < 0.7


def test_the_paired_excess_of_a_single_matrix_takes_rows_as_independent():
    """By layer, and all layers with an interval over them; each group is as it is alone."""
    one = pd.DataFrame({"layer": [3, 4, 5], "head": np.nan, "n": [10, 20, 30], "k": [4, 10, 6], "side": "read"})
    other = one.assign(k=[2, 3, 9], n=[12, 15, 40])
    by_layer = paired_excess(one, other, ["side", "layer"])
    assert by_layer["layer"].tolist() == [3, 4, 5]
    own, others = ((part["k"] / part["n"], *wilson_interval(part["k"], part["n"])) for part in (one, other))
    low, high = difference_interval(own, others)
    np.testing.assert_allclose(by_layer[["low", "high"]].astype(float), np.stack([low, high], axis=1), rtol=1e-12)
    again = pd.concat([one.assign(side="write", k=5), one]), pd.concat([other.assign(side="write"), other])
    both = paired_excess(*again, ["side"]).set_index("side")
    alone = paired_excess(one, other, ["side"]).set_index("side")
    assert both.index.tolist() == ["write", "read"]
    np.testing.assert_allclose(both.loc["read"], alone.loc["read"], rtol=1e-12)


def test_the_paired_excess_counts_matrices_that_only_one_share_has():
    one = pd.DataFrame({"layer": [0, 1, 2], "head": 0, "n": 10, "k": [1, 2, 6], "of": 1})
    _, excess, low, high = paired_excess(one, one.iloc[:2], ["of"]).iloc[0]
    assert excess == pytest.approx(9 / 30 - 3 / 20) and low < excess < high


def test_without_the_other_share_there_is_no_paired_excess():
    one = pd.DataFrame({"layer": [0, 1, 2], "head": 0, "n": 10, "k": [1, 2, 6], "of": [1, 1, 2]})
    table = paired_excess(one, one.iloc[:2], ["of"]).set_index("of")
    assert table.loc[1].notna().all() and table.loc[2].isna().all()
