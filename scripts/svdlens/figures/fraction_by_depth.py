"""The figure fraction_by_depth: interpretable rows of all models on one axis, by layer and relative depth."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.figures.fraction_rows import fraction_choice, fraction_rows, read_fractions
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import (
    CONTROL_MARK,
    control_line_handles,
    draw_controls,
    draw_line,
    fraction_caption,
    labelled,
    model_names,
    nothing_labelled,
    one_line,
    panel_figure,
    shown_choice,
    unit_axis,
)
from svdlens.figures.style import matrix_name, ordered_matrices, setting_styles, whole_number_ticks

AXES = {"layer": "layer", "depth": "relative depth (0 first layer, 1 last)"}


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the table of fractions of the sweep."""
    table = inputs["fractions"]
    data = fraction_by_depth_data(read_fractions(table), **fraction_choice(table, options))
    for subject in subjects:
        rows = data[data["setting"] == subject["setting"]]
        yield rows, draw_fraction_by_depth(rows, setting=subject["setting"], **shown_choice(options))


def fraction_by_depth_data(frame: pd.DataFrame, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting, matrix and layer: fraction_rows of the group `layer`, and depth.

    depth is layer / (number of layers - 1); 0 for a model of one layer.
    """
    data = fraction_rows(frame, group="layer", **choice)
    layer = data["layer"].astype(float)
    # The depth of a model is that of all its matrices and settings: a labeller may leave out layers of one.
    last = layer.groupby(data["model"]).transform("max").clip(lower=1)
    data.insert(list(data).index("layer") + 1, "depth", np.where(layer.isna(), np.nan, layer / last))
    return data


def draw_fraction_by_depth(
    data: pd.DataFrame, *, setting: str, labeller: str, criterion: str, n_controls: int
) -> Figure:
    """The rows of fraction_by_depth_data of one setting. `n_controls` is the number of random unit directions."""
    drawn = labelled(data)
    names = model_names(drawn)
    styles = setting_styles(list(names))

    def panel(rows: pd.DataFrame, axes: Axes, *, x: str) -> None:
        margin = 0.3 if x == "layer" else 0.02
        lines = [(rows[rows["model"] == model].sort_values("layer"), styles[model]) for model in names]
        beside = [(line, style["color"]) for line, style in lines]
        draw_controls(axes, beside, -margin, float(rows[x].max()) + margin)
        for line, style in lines:
            draw_line(axes, line, x, style)
        unit_axis(axes)
        if x == "layer":
            whole_number_ticks(axes.xaxis)

    return panel_figure(
        f"Fraction interpretable by layer and relative depth, setting {setting}",
        fraction_caption(
            data, labeller=labeller, criterion=criterion, intervals="Bands", n_controls=n_controls,
            control_mark=CONTROL_MARK,
        ),
        [
            (
                f"{matrix_name(matrix)}, by {x}",
                partial(panel, drawn[drawn["matrix"] == matrix], x=x),
            )
            for matrix in ordered_matrices(drawn["matrix"])
            for x in AXES
        ],
        columns=2,
        handles=[
            *[Line2D([], [], **styles[model], lw=1.6, ms=4.5, label=one_line(name)) for model, name in names.items()],
            *control_line_handles(drawn),
        ],
        nothing=nothing_labelled(labeller),
        share_x="col",
        xlabel=list(AXES.values()),
        ylabel="fraction interpretable",
    )  # fmt: skip
