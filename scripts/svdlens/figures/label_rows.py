"""What the figures of labels count: rows of the labels tables and of the controls, and the shares of what they are."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from svdlens.artefacts.provenance import labeller_networks
from svdlens.evaluation.fractions import KINDS, NOT_INTERPRETABLE, counted_rows
from svdlens.figures.fraction_rows import first_readout, with_shares
from svdlens.figures.selection import as_text
from svdlens.figures.style import save_figure

COLUMNS = [
    "matrix", "layer", "head", "index", "side", "sign", "readout", "labeller", "kind", "labelled", "verified",
    "interpretable", "mean_log_rank", "status",
]  # fmt: skip
TEXTS = ["model", "setting", "matrix", "readout", "kind"]
SHOWN_KINDS = (*KINDS[1:], "other", *NOT_INTERPRETABLE, "not interpretable")
"""What a row can be: a kind of interpretable list, interpretable of no kind, or one of those that never are."""


def read_labels(table: Path, *, setting: str, labeller: str) -> pd.DataFrame:
    """The rows of one setting and labeller in the labels table of the sweep, without what no figure counts."""
    wanted = [("setting", "==", setting), ("labeller", "==", labeller)]
    return pd.read_parquet(table, columns=["model", "setting", *COLUMNS], filters=wanted)


def read_control_labels(files: Iterable[tuple[Path, Sequence[str]]], *, setting: str) -> pd.DataFrame:
    """The labels of controls of one setting; with each of `files` its model and setting."""
    pieces = [
        pq.ParquetFile(path).read(["control", *COLUMNS]).to_pandas().assign(model=model, setting=of_setting)
        for path, (model, of_setting) in files
        if of_setting == setting
    ]
    if not pieces:
        return pd.DataFrame(columns=["control", "model", "setting", *COLUMNS])
    return pd.concat(pieces, ignore_index=True)


def save_each_setting(
    data_of: Callable[..., pd.DataFrame],
    draw: Callable[..., Figure],
    *,
    labels: Path,
    controls: Sequence[tuple[Path, Sequence[str]]],
    settings: Sequence[str],
    sweep: Sequence[Sequence[str]],
    labeller: str,
    rule: str,
    n_controls: int,
    output: Any,
) -> None:
    """A figure for each of `settings`, to the files in the same place of output.pdf, .png and .csv.

    `labels` is the labels table of the sweep, `controls` are as read_control_labels takes them, and `sweep` has model,
    setting and matrix. `data_of` makes of the rows of a setting what is drawn, and `draw` draws it.
    """
    networks = labeller_networks(labels)
    for setting, *paths in zip(settings, output.pdf, output.png, output.csv, strict=True):
        rows = read_labels(labels, setting=setting, labeller=labeller)
        of_controls = read_control_labels(controls, setting=setting)
        swept = [place for place in sweep if place[1] == setting]
        data = data_of(rows, of_controls, swept=swept, rule=rule, labeller_networks=networks)
        save_figure(draw(data, setting=setting, labeller=labeller, rule=rule, controls=n_controls), data, *paths)


def count_rows(labels: pd.DataFrame, rule: str) -> pd.DataFrame:
    """The rows that count by `rule`, of each model those of its first read-out.

    Adds found (whether interpretable), shown_kind (one of SHOWN_KINDS) and partly_labelled (whether rows of this model,
    setting and matrix do not count); model, setting, matrix, readout and kind become text.
    """
    rows = first_readout(labels).astype({"interpretable": object})
    counted = counted_rows(rows, rule)
    place = ["model", "setting", "matrix"]
    sizes = rows.groupby(place, observed=True).size()
    counted = counted.assign(**{name: as_text(counted[name]) for name in TEXTS})
    left = counted.groupby(place)["matrix"].transform("size")
    total = [sizes[key] for key in zip(*(counted[name] for name in place), strict=True)]
    known = counted["kind"].where(counted["kind"].isin(KINDS[1:]), "other")
    shown = known.where(counted["found"], "not interpretable")
    shown = counted["kind"].where(counted["kind"].isin(NOT_INTERPRETABLE), shown)
    return counted.assign(shown_kind=shown, partly_labelled=left != total)


def of_labelled(controls: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The controls of what has labels: of each model, setting and matrix with any of `rows`."""
    places = set(zip(*(rows[name] for name in TEXTS[:3]), strict=True))
    return controls[[place in places for place in zip(*(controls[name] for name in TEXTS[:3]), strict=True)]]


def shares_of(rows: pd.DataFrame, keys: list[str], column: str, values: Sequence[object]) -> pd.DataFrame:
    """How often `column` has each of `values` in each group of `keys`: a row for every group and value.

    Columns: the keys, `column`, n (rows of the group), k, fraction, low, high (Wilson 95 %).
    """
    if rows.empty:
        return pd.DataFrame(columns=[*keys, column, "n", "k", "fraction", "low", "high"])
    counts = pd.DataFrame({value: rows[column] == value for value in values})
    groups = pd.concat([rows[keys], counts], axis=1).groupby(keys, sort=False, dropna=False)
    n, k = groups.size().rename("n"), groups[list(values)].sum()
    table = pd.Series(k.stack(), name="k").rename_axis([*keys, column]).reset_index().merge(n.reset_index(), on=keys)
    return with_shares(table)[[*keys, column, "n", "k", "fraction", "low", "high"]]
