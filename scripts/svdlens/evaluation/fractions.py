"""Fractions interpretable, with their intervals and controls (table fractions of docs/evaluation.md)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from svdlens.evaluation.counted_rows import counted_rows, cut_p
from svdlens.evaluation.intervals import (
    MATRIX,
    difference_interval,
    paired_excess,
    shares_over_matrices,
    wilson_interval,
)
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.spec.controls import RANDOM_UNIT, ROTATED

GROUPS = {"all": [], "layer": ["layer"], "head": ["layer", "head"], "index": ["index"]}
KINDS = ("all", "semantic", "grammatical", "orthographic")
UNITS = ("row", "either")
FIXED_P = 0.01
"""A p-value of the list null at which all tables are counted alike. Tables cut at .01 to .03, so nearly all rows below
this one are labelled, and 200 of 20,000 null lists decide about it."""
FALSE_DISCOVERY_RATE = 0.05
"""At which rows are counted as better than random directions."""
HITS = [*(f"k_{kind}" for kind in KINDS), "k_p01", "beyond_n", "beyond_k"]


def units_of(rows: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The rows of counted_rows, or of unit `either` one for each direction, side and read-out.

    Adds the columns HITS: whether a unit counts, in all and by kind; whether it counts at the p-value FIXED_P; whether
    there is a q-value of the direction null, and whether that is below FALSE_DISCOVERY_RATE. A direction counts if any
    of its signs does, and its kind is that of the sign of the highest score among those that count: so kinds are a
    partition of directions as they are of rows.
    """
    meaningful = ~rows["kind"].isin(NOT_INTERPRETABLE)
    q_direction = rows["q_direction"].astype(float)
    hits = {f"k_{kind}": rows["counts"] & (rows["kind"] == kind) for kind in KINDS[1:]}
    hits |= {
        "k_all": rows["counts"],
        "k_p01": (rows["p_value"].astype(float) <= FIXED_P) & meaningful,
        "beyond_n": q_direction.notna(),
        "beyond_k": q_direction < FALSE_DISCOVERY_RATE,
    }
    rows = rows.assign(**hits)
    if unit == "row":
        return rows
    rows = rows.sort_values(["counts", "score"], ascending=False, kind="stable", na_position="last")
    directions = rows.groupby(["layer", "head", "index", "side"], dropna=False, sort=False, observed=True)
    firsts = {name: "first" for name in hits if name in {f"k_{kind}" for kind in KINDS[1:]}}
    return directions.agg({name: firsts.get(name, "any") for name in hits}).reset_index()


def fractions_of_sweep(
    files: Sequence[Path], places: Sequence[tuple[str, str, str, str]], criteria: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The table of fractions, from the file with the labels of each of `places` (model, setting, matrix, labeller).

    A file has the labels of singular directions (`control` null) and of controls. `criteria` has, for each labeller,
    when a list counts as interpretable. Equivalent settings share a file, whose fractions are counted once.
    """
    fractions_by_file: dict[Path, list[pd.DataFrame]] = {}
    pieces = []
    for path, (model, setting, matrix, labeller) in zip(files, places, strict=True):
        if path not in fractions_by_file:
            rows = pq.ParquetFile(path).read().to_pandas()
            random, rotated = (rows[rows["control"] == control] for control in (RANDOM_UNIT, ROTATED))
            fractions_by_file[path] = [
                fractions_of_readouts(rows[rows["control"].isna()], random, criterion, rotated)
                for criterion in criteria[labeller]
            ]
        constants = {"model": model, "setting": setting, "matrix": matrix, "labeller": labeller}
        pieces += [table.assign(**constants) for table in fractions_by_file[path]]
    return pd.concat(pieces, ignore_index=True)


def fractions_of_readouts(
    labels: pd.DataFrame, random: pd.DataFrame | None, criterion: str, rotated: pd.DataFrame | None = None
) -> pd.DataFrame:
    """fractions_of for each read-out by itself, in the order of `labels`; each has controls of its own."""
    controls = [labels.iloc[:0] if control is None else control for control in (random, rotated)]
    pieces = []
    for readout, rows in labels.groupby("readout", sort=False, observed=True):
        random, rotated = (control[control["readout"] == readout] for control in controls)
        pieces.append(fractions_of(rows, random, criterion, rotated).assign(readout=readout))
    # Of no rows there are the columns all the same.
    pieces = pieces or [fractions_of(labels, controls[0], criterion).assign(readout=None)]
    return pd.concat(pieces, ignore_index=True)


def fractions_of(
    labels: pd.DataFrame, random: pd.DataFrame | None, criterion: str, rotated: pd.DataFrame | None = None
) -> pd.DataFrame:
    """All fractions of one model, setting, matrix, labeller and read-out.

    `labels` and the controls `random` (random unit) and `rotated` have the label columns. Beside each fraction stand
    those of the controls, labelled the same way, of the same unit and kind; null without such controls. Of `rotated`
    it is that of the same side, layer and head, null for the group `index`. Intervals are over matrices
    (shares_over_matrices); those of the excess over random directions, which belong to no matrix, take these as
    independent (difference_interval), those of the excess over rotated ones are paired by matrix (paired_excess).
    `criterion` says when a row is interpretable: P, V or B by the columns of CRITERIA, of which P and V have no kinds,
    since `kind` is that of rows that pass both; any other text is what the labeller itself decides by. Columns about
    p-values (cut_p, *_p01, beyond_*) are null where the labeller gives none; *_p01 and beyond_* are of the kind `all`.
    """
    rows, random, rotated = (
        counted_rows(labels.iloc[:0] if one is None else one, criterion) for one in (labels, random, rotated)
    )
    cut = cut_p(rows)
    counts, rotated_counts = (
        {unit: counts_of_matrices(units_of(one, unit), HITS) for unit in UNITS} for one in (rows, rotated)
    )
    random_units = {unit: units_of(random, unit) for unit in UNITS}
    pieces = []
    for kind in KINDS[:1] if criterion in ("P", "V") else KINDS:
        for unit in UNITS:
            for group, group_keys in GROUPS.items():
                if group in ("layer", "head") and rows[group].isna().all():
                    continue
                keys = ["side", *group_keys]
                piece = beside_random(counts[unit], keys, f"k_{kind}", random_units[unit])
                of_rotated = rotated_counts[unit].iloc[: 0 if group == "index" else None]
                piece = beside_rotated(piece, counts[unit], keys, f"k_{kind}", of_rotated)
                piece = piece.assign(kind=kind, unit=unit, group=group, cut_p=cut)
                if kind == "all":
                    piece = with_p_values(piece, counts[unit], keys, random_units[unit])
                pieces.append(piece)
    table = pd.concat([piece for piece in pieces if len(piece)] or pieces[:1], ignore_index=True)
    for name in ("layer", "head", "index"):
        if name not in table:
            table[name] = np.nan
    return table.assign(criterion=criterion)


def counts_of_matrices(units: pd.DataFrame, hits: Sequence[str]) -> pd.DataFrame:
    """n, the number of units, and of each column of `hits` how many have it, for each side and all sides together,
    each matrix and index."""
    units = pd.concat([units.assign(side="all"), units.astype({"side": object})])
    groups = units.groupby(["side", *MATRIX, "index"], dropna=False, sort=False, observed=True)
    return groups[list(hits)].sum().assign(n=groups.size()).reset_index()


def by_matrix(counts: pd.DataFrame, keys: list[str], hit: str) -> pd.DataFrame:
    """n, and k of the column `hit`, for each combination of `keys` and matrix of `counts` (counts_of_matrices)."""
    sums = counts.groupby([*dict.fromkeys([*keys, *MATRIX])], dropna=False, sort=False)[["n", hit]].sum()
    return sums.rename(columns={hit: "k"}).reset_index()


def beside_random(counts: pd.DataFrame, keys: list[str], hit: str, random: pd.DataFrame) -> pd.DataFrame:
    """The shares of the column `hit` of `counts` (counts_of_matrices) by `keys`, with those of random directions
    beside them, and the excess over these."""
    table = shares_over_matrices(by_matrix(counts, keys, hit), keys)
    table["control_n"], table["control_k"] = len(random), int(random[hit].sum())
    n_controls = table["control_n"].where(table["control_n"] > 0).astype(float)
    table["control_fraction"] = table["control_k"] / n_controls
    control = (table["control_fraction"], *wilson_interval(table["control_k"], n_controls))
    table["excess"] = table["fraction"] - table["control_fraction"]
    own = (table["fraction"], table["low"], table["high"])
    table["excess_low"], table["excess_high"] = difference_interval(own, control)
    return table


def beside_rotated(
    table: pd.DataFrame, counts: pd.DataFrame, keys: list[str], hit: str, rotated: pd.DataFrame
) -> pd.DataFrame:
    """`table` of beside_random with its columns rotated_* and excess_over_rotated*, from the counts `rotated`; empty
    where these have no rows."""
    own, other = by_matrix(counts, keys, hit), by_matrix(rotated, keys, hit)
    shares = shares_over_matrices(other, keys)[[*keys, "n", "k", "fraction"]]
    names = {"n": "rotated_n", "k": "rotated_k", "fraction": "rotated_fraction"}
    table = table.merge(shares.rename(columns=names), on=keys, how="left")
    table[["rotated_n", "rotated_k"]] = table[["rotated_n", "rotated_k"]].fillna(0).astype(int)
    excess = paired_excess(own, other, keys)
    over = "excess_over_rotated"
    return table.merge(excess.rename(columns={"excess": over, "low": f"{over}_low", "high": f"{over}_high"}), on=keys)


def with_p_values(table: pd.DataFrame, counts: pd.DataFrame, keys: list[str], random: pd.DataFrame) -> pd.DataFrame:
    """`table` with its columns *_p01 and beyond_*, empty where there are no p-values; the other arguments are those of
    beside_random."""
    known = table["cut_p"].notna()
    at_p = beside_random(counts, keys, "k_p01", random)
    for name in ("k", "control_k", "fraction", "control_fraction", "excess", "excess_low", "excess_high"):
        table[f"{name}_p01"] = at_p[name].where(known)
    beyond = counts.groupby(keys, dropna=False)[["beyond_n", "beyond_k"]].sum().reset_index(drop=True)
    calibrated = beyond["beyond_n"] > 0
    table["beyond_n"], table["beyond_k"] = beyond["beyond_n"], beyond["beyond_k"]
    table["beyond_random"] = beyond["beyond_k"] / beyond["beyond_n"].where(calibrated)
    return table
