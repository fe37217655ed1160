"""What the figures of labels count: rows of the labels tables and of the controls, and the shares of what they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from svdlens.artefacts.sweep_tables import labeller_networks
from svdlens.evaluation.counted_rows import counted_rows
from svdlens.evaluation.fractions import KINDS
from svdlens.evaluation.intervals import MATRIX, shares_over_matrices
from svdlens.figures.fraction_rows import PLACE, first_readout
from svdlens.figures.interface import Inputs, Options
from svdlens.figures.selection import as_text
from svdlens.labels.labeller import NOT_INTERPRETABLE, NULL_SPACE

COLUMNS = [
    "matrix", "layer", "head", "index", "side", "sign", "readout", "labeller", "kind", "labelled", "verified",
    "interpretable", "q_direction", "mean_log_rank", "status",
]  # fmt: skip
TEXTS = [*PLACE, "readout", "kind"]
SHOWN_KINDS = (*KINDS[1:], "other", *NOT_INTERPRETABLE, "not interpretable")
"""What a row can be: a kind of interpretable list, interpretable of no kind, or one of those that never are."""


def read_labels(table: Path, *, setting: str, labeller: str) -> pd.DataFrame:
    """The rows of one setting and labeller in the labels table of the sweep, without what no figure counts."""
    wanted = [("setting", "==", setting), ("labeller", "==", labeller)]
    return pd.read_parquet(table, columns=["model", "setting", *COLUMNS], filters=wanted)


def read_control_labels(table: Path, *, setting: str, labeller: str) -> pd.DataFrame:
    """The same of the table of the labels of controls, with the column `control`."""
    wanted = [("setting", "==", setting), ("labeller", "==", labeller)]
    return pd.read_parquet(table, columns=["model", "setting", "control", *COLUMNS], filters=wanted)


def read_setting(inputs: Inputs, setting: str, options: Options) -> dict[str, Any]:
    """What the data of a figure of labels are made of, by the names of their arguments: all of one setting."""
    chosen = {"setting": setting, "labeller": options["labeller"]}
    return {
        "labels": read_labels(inputs["labels"], **chosen),
        "controls": read_control_labels(inputs["control_labels"], **chosen),
        "swept": [place for place in options["places"] if place[1] == setting],
        "criterion": options["criterion"],
        "labeller_networks": labeller_networks(inputs["labels"]),
    }


def count_rows(labels: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """The rows that count by `criterion`, of each model those of its first read-out.

    `labels` are rows of one labeller. Adds counts (whether a row is interpretable), shown_kind (one of SHOWN_KINDS) and
    partly_labelled (whether rows of this model, setting and matrix do not count, but for null space); model, setting,
    matrix, readout and kind become text.
    """
    rows = first_readout(labels[labels["status"] != NULL_SPACE]).astype({"interpretable": object})
    counted = counted_rows(rows, criterion)
    sizes = rows.groupby(PLACE, observed=True).size().to_dict()
    counted = counted.assign(**{name: as_text(counted[name]) for name in TEXTS})
    left = counted.groupby(PLACE)["matrix"].transform("size")
    total = [sizes[key] for key in zip(*(counted[name] for name in PLACE), strict=True)]
    known = counted["kind"].where(counted["kind"].isin(KINDS[1:]), "other")
    shown = known.where(counted["counts"], "not interpretable")
    shown = counted["kind"].where(counted["kind"].isin(NOT_INTERPRETABLE), shown)
    return counted.assign(shown_kind=shown, partly_labelled=left != total)


def controls_of_labelled(controls: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The controls of what has labels: of each model, setting and matrix with any of `rows`."""
    places = set(zip(*(rows[name] for name in PLACE), strict=True))
    return controls[[place in places for place in zip(*(controls[name] for name in PLACE), strict=True)]]


def count_shares(rows: pd.DataFrame, keys: list[str], column: str, values: Sequence[object]) -> pd.DataFrame:
    """How often `column` has each of `values` in each group of `keys`: a row for every group and value.

    Columns: the keys, `column`, n (rows of the group), k, fraction, low, high (95 % over matrices).
    """
    columns = [*keys, column, "n", "k", "fraction", "low", "high"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    pieces: list[pd.DataFrame] = []
    for number, value in enumerate(values):
        counts = counts_of_matrices(rows.assign(hit=rows[column] == value), keys, "hit")
        pieces.append(shares_over_matrices(counts, keys).assign(value=number))
    # One group after the other as the rows have them, each with all values.
    groups = rows[keys].drop_duplicates().reset_index(drop=True).rename_axis("group").reset_index()
    table = pd.concat(pieces).merge(groups, on=keys).sort_values(["group", "value"])
    table[column] = [values[number] for number in table["value"]]
    return table[columns].reset_index(drop=True)


def counts_of_matrices(rows: pd.DataFrame, keys: list[str], hit: str) -> pd.DataFrame:
    """For each group of `keys` and matrix n, the number of rows, and k, of how many the column `hit` is true."""
    groups = rows.groupby([*dict.fromkeys([*keys, *MATRIX])], dropna=False, sort=False, observed=True)[hit]
    return groups.agg(n="size", k="sum").reset_index()
