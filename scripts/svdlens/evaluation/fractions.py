"""Fractions interpretable, with their intervals and controls (table fractions of docs/evaluation.md)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from svdlens.evaluation.intervals import wilson_interval
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.spec.controls import RANDOM_UNIT

GROUPS = {"all": [], "layer": ["layer"], "head": ["layer", "head"], "index": ["index"]}
KINDS = ("all", "semantic", "grammatical", "orthographic")
# The criteria of Millidge & Black (2022) by the column that each counts: what the labeller says by itself, what the
# verifier says, and both.
CRITERIA = {"P": "labelled", "V": "verified", "B": "interpretable"}


def counted_rows(labels: pd.DataFrame, criterion: str | None = None) -> pd.DataFrame:
    """Rows that count, and whether each `counts` as interpretable.

    By P, V and B those in which the column of the criterion is not null; by any other those with status ok.
    """
    column = CRITERIA.get(criterion or "", "interpretable")
    rows = labels[labels[column].notna() if criterion in CRITERIA else labels["status"] == "ok"]
    counts = rows[column].fillna(False).astype(bool) & ~rows["kind"].isin(NOT_INTERPRETABLE)
    return rows.assign(counts=counts, original_side=rows["side"])


def count(rows: pd.DataFrame, keys: list[str], unit: str) -> pd.DataFrame:
    """n and k for each combination of `keys`, where a unit is a row or a direction of which either sign will do."""
    if unit == "either":
        direction = [*dict.fromkeys([*keys, "side", "layer", "head", "index", "original_side"])]
        rows = rows.groupby(direction, dropna=False)["counts"].any().reset_index()
    grouped = rows.groupby(keys, dropna=False)["counts"] if keys else rows.assign(one=0).groupby("one")["counts"]
    return grouped.agg(n="size", k="sum").reset_index()


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
            singular, controls = rows[rows["control"].isna()], rows[rows["control"] == RANDOM_UNIT]
            fractions_by_file[path] = [
                fractions_of_readouts(singular, controls, criterion) for criterion in criteria[labeller]
            ]
        constants = {"model": model, "setting": setting, "matrix": matrix, "labeller": labeller}
        pieces += [table.assign(**constants) for table in fractions_by_file[path]]
    return pd.concat(pieces, ignore_index=True)


def fractions_of_readouts(labels: pd.DataFrame, controls: pd.DataFrame | None, criterion: str) -> pd.DataFrame:
    """fractions_of for each read-out by itself, in the order of `labels`; each has controls of its own."""
    if controls is None:
        controls = labels.iloc[:0]
    pieces = [
        fractions_of(rows, controls[controls["readout"] == readout], criterion).assign(readout=readout)
        for readout, rows in labels.groupby("readout", sort=False, observed=True)
    ]
    # Of no rows there are the columns all the same.
    pieces = pieces or [fractions_of(labels, controls, criterion).assign(readout=None)]
    return pd.concat(pieces, ignore_index=True)


def fractions_of(labels: pd.DataFrame, controls: pd.DataFrame | None, criterion: str) -> pd.DataFrame:
    """All fractions of one model, setting, matrix, labeller and read-out.

    `labels` and `controls` have the label columns; the fraction of the controls (labelled the same way, same unit
    and kind) stands beside each, and is null without controls. Intervals: Wilson for fractions, Newcombe's hybrid for
    the excess over controls. `criterion` says when a row is interpretable: P, V or B by the columns of CRITERIA, of
    which P and V have no kinds, since `kind` is that of rows that pass both; any other text is what the labeller itself
    decides by.
    """
    if controls is None:
        controls = labels.iloc[:0]
    rows, control_rows = counted_rows(labels, criterion), counted_rows(controls, criterion)
    rows = pd.concat([rows.assign(side="all"), rows])
    pieces = []
    for kind in KINDS[:1] if criterion in ("P", "V") else KINDS:
        rows_of_kind = rows.assign(counts=rows["counts"] & ((rows["kind"] == kind) | (kind == "all")))
        controls_of_kind = control_rows.assign(
            counts=control_rows["counts"] & ((control_rows["kind"] == kind) | (kind == "all"))
        )
        for unit in ("row", "either"):
            control_count = count(controls_of_kind, [], unit)
            for group, keys in GROUPS.items():
                if group == "head" and rows["head"].isna().all():
                    continue
                piece = count(rows_of_kind, ["side", *keys], unit).assign(kind=kind, unit=unit, group=group)
                has_controls = len(control_count) > 0
                piece["control_n"] = control_count["n"].iloc[0] if has_controls else 0
                piece["control_k"] = control_count["k"].iloc[0] if has_controls else 0
                pieces.append(piece)
    table = pd.concat(pieces, ignore_index=True)
    for name in ("layer", "head", "index"):
        if name not in table:
            table[name] = np.nan
    return with_intervals(table).assign(criterion=criterion)


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
    return table
