"""Fractions interpretable, with their intervals and controls (table fractions of docs/design.md)."""

from statistics import NormalDist

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
GROUPS = {"all": [], "layer": ["layer"], "head": ["layer", "head"], "index": ["index"]}
KINDS = ("all", "semantic", "grammatical", "orthographic")
# Frequency and glitch lists can be coherent, and are still not interpretable.
NOT_INTERPRETABLE = ("frequency", "glitch")
# The rules of Millidge & Black (2022) by the column that each counts: what the labeller says by itself, what the
# verifier says, and both.
RULES = {"P": "labelled", "V": "verified", "B": "interpretable"}


def counted_rows(labels: pd.DataFrame, rule: str | None = None) -> pd.DataFrame:
    """Rows that count, and whether each is `found` interpretable.

    By P, V and B those in which the column of the rule is not null; by any other rule those with status ok.
    """
    column = RULES.get(rule or "", "interpretable")
    rows = labels[labels[column].notna() if rule in RULES else labels["status"] == "ok"]
    found = rows[column].fillna(False).astype(bool) & ~rows["kind"].isin(NOT_INTERPRETABLE)
    return rows.assign(found=found, original_side=rows["side"])


def count(rows: pd.DataFrame, keys: list[str], unit: str) -> pd.DataFrame:
    """n and k for each combination of `keys`, where a unit is a row or a direction of which either sign will do."""
    if unit == "either":
        direction = [*dict.fromkeys([*keys, "side", "layer", "head", "index", "original_side"])]
        rows = rows.groupby(direction, dropna=False)["found"].any().reset_index()
    grouped = rows.groupby(keys, dropna=False)["found"] if keys else rows.assign(one=0).groupby("one")["found"]
    return grouped.agg(n="size", k="sum").reset_index()


def fractions_of_readouts(labels: pd.DataFrame, controls: pd.DataFrame | None, rule: str) -> pd.DataFrame:
    """fractions_of for each read-out by itself, in the order of `labels`; each has controls of its own."""
    if controls is None:
        controls = labels.iloc[:0]
    pieces = [
        fractions_of(rows, controls[controls["readout"] == readout], rule).assign(readout=readout)
        for readout, rows in labels.groupby("readout", sort=False, observed=True)
    ]
    return pd.concat(pieces, ignore_index=True)


def fractions_of(labels: pd.DataFrame, controls: pd.DataFrame | None, rule: str) -> pd.DataFrame:
    """All fractions of one model, setting, matrix, labeller and read-out.

    `labels` and `controls` have the label columns; the fraction of the controls (labelled the same way, same unit
    and kind) stands beside each, and is null without controls. Intervals: Wilson for fractions, Newcombe's hybrid for
    the excess over controls. `rule` says when a row is interpretable: P, V or B by the columns of RULES, of which P and
    V have no kinds, since `kind` is that of rows that pass both; any other text is the rule of the labeller itself.
    """
    if controls is None:
        controls = labels.iloc[:0]
    rows, control_rows = counted_rows(labels, rule), counted_rows(controls, rule)
    rows = pd.concat([rows.assign(side="all"), rows])
    pieces = []
    for kind in KINDS[:1] if rule in ("P", "V") else KINDS:
        of_kind = rows.assign(found=rows["found"] & ((rows["kind"] == kind) | (kind == "all")))
        control_kind = control_rows.assign(
            found=control_rows["found"] & ((control_rows["kind"] == kind) | (kind == "all"))
        )
        for unit in ("row", "either"):
            control_count = count(control_kind, [], unit)
            for group, keys in GROUPS.items():
                if group == "head" and rows["head"].isna().all():
                    continue
                piece = count(of_kind, ["side", *keys], unit).assign(kind=kind, unit=unit, group=group)
                has_controls = len(control_count) > 0
                piece["control_n"] = control_count["n"].iloc[0] if has_controls else 0
                piece["control_k"] = control_count["k"].iloc[0] if has_controls else 0
                pieces.append(piece)
    table = pd.concat(pieces, ignore_index=True)
    for name in ("layer", "head", "index"):
        if name not in table:
            table[name] = np.nan
    return with_intervals(table).assign(rule=rule)


def wilson_interval(k: pd.Series, n: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Interval of k / n at the level CONFIDENCE (Wilson 1927).

    As statsmodels' proportion_confint, which is the oracle in the tests and takes a second to import.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    centre = (k + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(k * (n - k) / n + z**2 / 4) / (n + z**2)
    # Rounding must not lead out of what a fraction can be.
    return (centre - half).clip(lower=0.0), (centre + half).clip(upper=1.0)


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Fractions and their intervals from the counts n, k, control_n and control_k."""
    table = table.copy()
    table["fraction"] = table["k"] / table["n"]
    table["low"], table["high"] = wilson_interval(table["k"], table["n"])
    known = table["control_n"] > 0
    n_controls = table["control_n"].where(known, 1)
    table["control_fraction"] = (table["control_k"] / n_controls).where(known)
    control_low, control_high = wilson_interval(table["control_k"], n_controls)
    table["excess"] = table["fraction"] - table["control_fraction"]
    # Newcombe 1998, method 10.
    below = np.hypot(table["fraction"] - table["low"], control_high - table["control_fraction"])
    above = np.hypot(table["high"] - table["fraction"], table["control_fraction"] - control_low)
    table["excess_low"], table["excess_high"] = table["excess"] - below, table["excess"] + above
    return table.drop(columns=["control_n", "control_k"])
