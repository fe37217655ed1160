"""The fractions table: counts against a loop, intervals against statsmodels, controls and excess."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from svdlens.evaluation.fractions import fractions_of, fractions_of_readouts, wilson_interval


def labels(seed: int = 0, layers: int = 3, heads: int | None = 2, indices: int = 5, sides=("read", "write")):
    """A labels table with every kind, abstentions, and different shares by layer."""
    rng = np.random.default_rng(seed)
    rows = [
        (layer, head, index, side, sign)
        for layer in range(layers)
        for head in (range(heads) if heads else [None])
        for index in range(indices)
        for side in sides
        for sign in (1, -1)
    ]
    table = pd.DataFrame(rows, columns=["layer", "head", "index", "side", "sign"])
    table["interpretable"] = rng.random(len(table)) < 0.3 + 0.2 * table["layer"].fillna(0)
    table["kind"] = rng.choice(["semantic", "orthographic", "grammatical", "frequency", "glitch"], len(table))
    table.loc[~table["interpretable"], "kind"] = "none"
    table["status"] = np.where(rng.random(len(table)) < 0.1, "abstained", "ok")
    return table


def controls(n: int = 200, share: float = 0.2):
    table = labels(1, layers=1, heads=None, indices=n // 2, sides=("all",)).assign(layer=np.nan, head=np.nan)
    table["interpretable"] = np.arange(n) < share * n
    table["kind"] = np.where(table["interpretable"], "semantic", "none")
    return table.assign(status="ok")


def one(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_counts_are_those_of_a_loop():
    rows = labels()
    table = fractions_of(rows, controls(), rule="q_value < 0.05")
    found = lambda row: row["interpretable"] and row["kind"] not in ("frequency", "glitch")  # noqa: E731
    for layer in range(3):
        for side in ("read", "write", "all"):
            counted = [
                row
                for _, row in rows.iterrows()
                if row["layer"] == layer and side in (row["side"], "all") and row["status"] == "ok"
            ]
            share = one(table, group="layer", layer=layer, side=side, kind="all", unit="row")
            assert (share["n"], share["k"]) == (len(counted), sum(map(found, counted)))
            semantic = one(table, group="layer", layer=layer, side=side, kind="semantic", unit="row")
            assert semantic["k"] == sum(found(row) and row["kind"] == "semantic" for row in counted)


def test_each_readout_is_counted_against_its_own_controls():
    rows, random = labels(0), controls(200, 0.2)
    both = pd.concat([rows.assign(readout="W_U"), labels(1).assign(readout="W_E")])
    both_controls = pd.concat([random.assign(readout="W_U"), controls(200, 0.6).assign(readout="W_E")])
    table = fractions_of_readouts(both, both_controls, rule="r")
    assert list(table["readout"].unique()) == ["W_U", "W_E"]  # in the order of the rows
    for readout in ("W_U", "W_E"):
        alone = fractions_of(*(part[part["readout"] == readout] for part in (both, both_controls)), rule="r")
        found = table[table["readout"] == readout].drop(columns="readout").reset_index(drop=True)
        pd.testing.assert_frame_equal(found, alone)
    overall = table.query("group == 'all' and side == 'all' and kind == 'all' and unit == 'row'")
    assert overall["control_fraction"].tolist() == pytest.approx([0.2, 0.6])


def test_either_sign_counts_directions():
    rows = labels().assign(status="ok", kind="semantic")
    table = fractions_of(rows, controls(), rule="r")
    either = one(table, group="all", side="all", kind="all", unit="either")
    directions = rows.groupby(["layer", "head", "index", "side"])["interpretable"].any()
    assert (either["n"], either["k"]) == (len(directions), directions.sum())


def test_kinds_add_up_to_all():
    table = fractions_of(labels(), controls(), rule="r").query("unit == 'row' and group == 'all' and side == 'all'")
    by_kind = table.set_index("kind")["k"]
    assert by_kind["all"] == by_kind[["semantic", "grammatical", "orthographic"]].sum()


def test_intervals_agree_with_statsmodels():
    table = fractions_of(labels(), controls(200, 0.2), rule="r").query("kind == 'all' and unit == 'row'")
    for _, row in table.iterrows():
        assert (row["low"], row["high"]) == pytest.approx(proportion_confint(row["k"], row["n"], method="wilson"))
        assert row["control_fraction"] == pytest.approx(0.2)
        expected = confint_proportions_2indep(row["k"], row["n"], 40, 200, method="newcomb", compare="diff")
        assert row["excess"] == pytest.approx(row["fraction"] - 0.2)
        assert (row["excess_low"], row["excess_high"]) == pytest.approx(expected)


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_wilson_interval_at_the_edges(n):
    for k in {0, 1, n - 1, n}:
        expected = proportion_confint(k, n, method="wilson")
        found = wilson_interval(pd.Series([k]), pd.Series([n]))
        assert [one.iloc[0] for one in found] == pytest.approx(list(expected), abs=1e-12)
        assert 0 <= found[0].iloc[0] <= k / n <= found[1].iloc[0] <= 1


def test_without_controls_there_is_no_excess():
    table = fractions_of(labels(), controls().iloc[:0], rule="r")
    assert table[["control_fraction", "excess", "excess_low", "excess_high"]].isna().all(axis=None)
    assert table["fraction"].between(0, 1).all()


def test_the_rules_of_the_post_count_their_columns():
    rows, random = labels(), np.random.default_rng(2)
    for column in ("labelled", "verified"):
        rows[column] = random.choice([True, False, None], len(rows))
    known = rows["labelled"].notna() & rows["verified"].notna()
    both = rows["labelled"].eq(True) & rows["verified"].eq(True)
    rows["interpretable"] = both.astype(object).where(known, None)
    rows["kind"] = np.where(both, random.choice(["semantic", "grammatical", "orthographic"], len(rows)), "none")
    rows["status"] = np.where(known, "ok", "unparsed")
    for rule, column in {"P": "labelled", "V": "verified", "B": "interpretable"}.items():
        table = fractions_of(rows, None, rule)
        assert set(table["rule"]) == {rule}
        overall = one(table, group="all", side="all", kind="all", unit="row")
        assert (overall["n"], overall["k"]) == (rows[column].notna().sum(), rows[column].eq(True).sum())
        # Kinds are known of what both find.
        assert set(table["kind"]) == (set(rows["kind"]) - {"none"} if rule == "B" else set()) | {"all"}
        assert table[["control_fraction", "excess", "excess_low", "excess_high"]].isna().all(axis=None)
    # Not parsed is not counted, by either name of the rule.
    overall = one(fractions_of(rows, None, "both"), group="all", side="all", kind="all", unit="row")
    assert (overall["n"], overall["k"]) == (known.sum(), both.sum())
    assert len(fractions_of(rows.assign(labelled=None), None, "P")) == 0


def test_mlp_has_no_heads():
    table = fractions_of(labels(heads=None, sides=("write",)), controls(), rule="r")
    assert set(table["group"]) == {"all", "layer", "index"}
    assert set(table["side"]) == {"all", "write"}
    assert (table.query("side == 'all'")["k"].to_numpy() == table.query("side == 'write'")["k"].to_numpy()).all()
