"""Exact effects, the stratified sample, and rank correlations with their intervals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from svdlens.edit.updates import Update
from svdlens.effects.ablation import agreement_rows, exact_effects, metrics_of, rank_correlation, stratified_sample
from svdlens.effects.slopes import measure_effects
from svdlens.models.load import load_model, module_of
from tiny import make_tiny

WINDOWS = torch.randint(1, 300, (2, 10), generator=torch.Generator().manual_seed(0))


def test_exact_effects_are_those_of_edited_weights_and_go_over_into_slopes(tmp_path: Path) -> None:
    model = load_model(make_tiny("gpt2", tmp_path / "tiny"), "tiny").double()
    module = module_of(model, "mlp.W_out", 1)
    write = torch.linalg.svd(module.weight)[2][:1]
    update = Update(1, "mlp.W_out", slice(0, 24), write @ module.weight.T, write, torch.ones(1))
    sets = [[3, 4], [77]]
    before = metrics_of(model, WINDOWS, sets)
    assert before[2] == pytest.approx(float(model(WINDOWS).logits.log_softmax(-1)[..., 77].mean()))
    found = exact_effects(model, WINDOWS, update, [-1.0, 1e-3], sets, before, workers=2)
    assert np.array_equal(metrics_of(model, WINDOWS, sets, workers=2), before)
    for metric, targets in enumerate([None, *sets]):
        _, [effects] = measure_effects(model, WINDOWS, [update], targets)
        assert found[1, metric] / 1e-3 == pytest.approx(float(effects.slope), rel=0.05, abs=1e-5)
    module.weight.sub_(update.matrix())
    np.testing.assert_allclose(metrics_of(model, WINDOWS, sets) - before, found[0], atol=1e-9)
    assert np.abs(found[0]).max() > 1e-4


def made_up(layers: int = 6, directions: int = 40) -> pd.DataFrame:
    places = [
        (m, layer, i, s)
        for m in ("ov", "mlp_in")
        for layer in range(layers)
        for i in range(directions)
        for s in (1, -1)
    ]
    table = pd.DataFrame(places, columns=["matrix", "layer", "index", "sign"]).assign(head=None)
    strength = np.random.default_rng(0).lognormal(0, 3, len(table) // 2).repeat(2)
    table["first_order"] = np.where(table["index"] == 7, np.nan, strength * np.where(table["index"] % 2, 1, -1))
    return table


def test_the_sample_has_every_stratum_alike_and_no_null_space() -> None:
    table = made_up()
    sample = stratified_sample(table, 180, seed=0)
    assert len(sample) == 180 and not sample.duplicated(["matrix", "layer", "index"]).any()
    assert sample["first_order"].notna().all() and (sample["sign"] == 1).all()
    sizes = sample.groupby(["matrix", "depth", "stratum"]).size()
    assert len(sizes) == 2 * 3 * 10 and set(sizes) == {3}
    assert (sample["depth"] == sample["layer"] // 2).all()
    # The strongest tenth of each place is that.
    for _, place in sample.groupby(["matrix", "depth"]):
        strength = place["first_order"].abs().groupby(place["stratum"]).agg(["min", "max"])
        assert (strength["max"].to_numpy()[:-1] <= strength["min"].to_numpy()[1:]).all()
    pd.testing.assert_frame_equal(sample, stratified_sample(table, 180, seed=0))
    assert not sample.equals(stratified_sample(table, 180, seed=1))


def test_a_sample_larger_than_the_table_is_the_table() -> None:
    table = made_up(3, 5)
    assert len(stratified_sample(table, 1000, 0)) == 2 * 3 * 5


def test_the_interval_of_the_rank_correlation_is_that_of_fisher() -> None:
    """Of normal numbers Spearman's is close to the correlation, whose interval is known (Fisher 1915; Fieller 1957)."""
    random = np.random.default_rng(0)
    first = random.normal(size=300)
    second = 0.8 * first + 0.6 * random.normal(size=300)
    first[5] = np.nan
    found, low, high = rank_correlation(first, second, seed=0)
    expected = pd.Series(first).corr(pd.Series(second), method="spearman")
    assert found == pytest.approx(expected)
    half = norm.ppf(0.975) * np.sqrt(1.06 / (299 - 3))
    np.testing.assert_allclose([low, high], np.tanh(np.arctanh(expected) + np.array([-half, half])), atol=0.015)
    assert rank_correlation(first, second, seed=0) == (found, low, high)


def test_errors_grow_where_the_exact_effect_bends() -> None:
    slopes = np.random.default_rng(1).normal(size=60)
    rows = [
        pd.DataFrame({"matrix": ["ov"] * 30 + ["mlp_in"] * 30, "eps": eps, "predicted": eps * slopes})
        .assign(exact=eps * slopes + 0.5 * eps**2 * np.abs(slopes))
        for eps in (-0.1, -1.0)
    ]  # fmt: skip
    table = agreement_rows(pd.concat(rows, ignore_index=True), seed=0)
    assert table["matrix"].tolist() == ["all", "ov", "mlp_in"] * 2 and table["n"].tolist() == [60, 30, 30] * 2
    small, large = (table[(table["eps"] == eps) & (table["matrix"] == "all")].iloc[0] for eps in (-0.1, -1.0))
    assert small["error"] == pytest.approx(0.05, rel=0.3) and large["error"] > 4 * small["error"]
    assert small["low"] <= small["spearman"] <= small["high"] and small["spearman"] > 0.95
