"""The figure fraction_by_index: the share of interpretable rows by the index of the direction, a panel per model."""

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svdlens.evaluation.intervals import interval_over_matrices
from svdlens.figures.fraction_rows import (
    CONTROL_SHARES,
    PLACE,
    SHARES,
    fraction_choice,
    fraction_rows,
    read_fractions,
)
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import (
    CONTROL_MARK,
    control_line_handles,
    draw_controls,
    draw_line,
    fraction_caption,
    labelled,
    matrix_handles,
    matrix_style,
    model_names,
    nothing_labelled,
    panel_figure,
    shown_choice,
    unit_axis,
)
from svdlens.figures.style import ordered_matrices, whole_number_ticks

WIDTHS = (1, 2, 4, 8, 16)
ENOUGH = 24
"""Rows of a point, at the least: a share of fewer has an interval from one end of the axis to the other."""


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the table of fractions of the sweep."""
    table = inputs["fractions"]
    data = fraction_by_index_data(read_fractions(table), **fraction_choice(table, options))
    for subject in subjects:
        rows = data[data["setting"] == subject["setting"]]
        yield rows, draw_fraction_by_index(rows, setting=subject["setting"], **shown_choice(options))


def fraction_by_index_data(frame: pd.DataFrame, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting, matrix and run of neighbouring indices.

    Columns: those of fraction_rows, with first_index and last_index of the run and index, their mean, in place of
    index. Runs are as short as they can be with ENOUGH rows in the first of them, at most the last of WIDTHS, and as
    long as each other but for the last. n_matrices of a run is what one would expect of as many matrices at each index,
    drawn independently: all, where all have lists at some index. The design effect of a run is that of rows which are
    as alike as rows of one matrix are over all indices: 1 + (rows of a matrix - 1) times their correlation (Kish 1965).
    """
    data = fraction_rows(frame, group="index", **choice)
    whole = fraction_rows(frame, group="all", **choice).set_index(PLACE)
    pieces = []
    for place, rows in data.groupby(PLACE, sort=False):
        if (rows["n"] == 0).all():
            pieces.append(rows.assign(first_index=np.nan, last_index=np.nan, index=np.nan))
            continue
        width = next((width for width in WIDTHS if width * rows["n"].median() >= ENOUGH), WIDTHS[-1])
        runs = rows.groupby(rows["index"] // width, sort=True)
        names = [name for name in data if name not in ("index", *SHARES)]
        merged = runs[names].first()
        merged["first_index"], merged["last_index"] = runs["index"].min(), runs["index"].max()
        merged["index"] = (merged["first_index"] + merged["last_index"]).astype(float) / 2
        for name in ("n", "k"):
            merged[name] = runs[name].sum()
        [of_all] = whole.loc[[place]].to_dict("records")
        merged["fraction"] = merged["k"] / merged["n"]
        merged["n_matrices"] = runs["n_matrices"].agg(matrices_of_run, of_all["n_matrices"])
        if width == 1:
            single = rows.sort_values("index").set_index(merged.index)
            merged[["design_effect", "low", "high"]] = single[["design_effect", "low", "high"]]
        else:
            alike = correlation(of_all)
            merged["design_effect"] = 1 + (merged["n"] / merged["n_matrices"] - 1).clip(lower=0) * alike
            merged["low"], merged["high"] = interval_over_matrices(
                *(merged[name].astype(float) for name in ("k", "n", "n_matrices", "design_effect"))
            )
        pieces.append(merged)
        assert merged[CONTROL_SHARES].notna().all().nunique() == 1, place
    columns = [name for name in data if name not in ("index", *SHARES, *CONTROL_SHARES)]
    run_columns = ["first_index", "last_index", "index", *SHARES, *CONTROL_SHARES]
    if not pieces:
        return pd.DataFrame(columns=[*columns, *run_columns])
    return pd.concat(pieces, ignore_index=True)[[*columns, *run_columns]]


def matrices_of_run(n_matrices: pd.Series, of_all: int) -> int:
    """How many of `of_all` matrices have a list at any index of a run, from how many have one at each."""
    return round(of_all * (1 - np.prod(1 - n_matrices.to_numpy(float) / of_all)))


def correlation(whole: Mapping[Hashable, Any]) -> float:
    """The correlation of rows of one matrix, from the design effect of all rows; 0 where that is unknown or below 1."""
    each = whole["n"] / whole["n_matrices"] if whole["n_matrices"] > 0 else 1.0
    effect = float(whole["design_effect"])
    return (effect - 1) / (each - 1) if effect > 1 and each > 1 else 0.0


def draw_fraction_by_index(
    data: pd.DataFrame, *, setting: str, labeller: str, criterion: str, n_controls: int
) -> Figure:
    """The rows of fraction_by_index_data of one setting. `n_controls` is the number of random unit directions."""
    drawn = labelled(data)

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        last = float(rows["last_index"].max())
        matrices = ordered_matrices(rows["matrix"])
        lines = [(rows[rows["matrix"] == matrix], matrix_style(matrix)) for matrix in matrices]
        end = draw_controls(axes, [(line, style["color"]) for line, style in lines], 0, last)
        for line, style in lines:
            draw_line(axes, line, "index", style, gaps=None)
        axes.set_xlim(-0.02 * last - 0.4, end + 0.02 * last + 0.4)
        unit_axis(axes)
        whole_number_ticks(axes.xaxis, last=last)

    pooled = "" if (drawn["first_index"] == drawn["last_index"]).all() else (
        f"Neighbouring directions are counted together where one index has fewer than {ENOUGH} rows."
    )  # fmt: skip
    return panel_figure(
        f"Fraction interpretable by index of the direction, setting {setting}",
        fraction_caption(
            data, labeller=labeller, criterion=criterion, intervals="Bands", n_controls=n_controls, also=pooled,
            control_mark=CONTROL_MARK,
        ),
        [(name, partial(panel, drawn[drawn["model"] == model])) for model, name in model_names(drawn).items()],
        handles=[*matrix_handles(drawn), *control_line_handles(drawn)],
        nothing=nothing_labelled(labeller),
        xlabel="index of the direction",
        ylabel="fraction interpretable",
    )  # fmt: skip
