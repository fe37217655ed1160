"""The figure fraction_by_layer: interpretable rows in every layer, a panel per model, a line per matrix."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svdlens.figures.fraction_rows import fraction_choice, fraction_rows, read_fractions
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import (
    CONTROL_MARK,
    ROTATED_LINE,
    control_line_handles,
    draw_controls,
    draw_line,
    draw_rotated,
    fraction_caption,
    labelled,
    matrix_handles,
    matrix_style,
    model_names,
    nothing_labelled,
    panel_figure,
    rotated_handles,
    rotated_sentence,
    shown_choice,
    unit_axis,
)
from svdlens.figures.style import ordered_matrices, whole_number_ticks


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the table of fractions of the sweep."""
    table = inputs["fractions"]
    data = fraction_by_layer_data(read_fractions(table), **fraction_choice(table, options))
    for subject in subjects:
        rows = data[data["setting"] == subject["setting"]]
        yield rows, draw_fraction_by_layer(rows, setting=subject["setting"], **shown_choice(options))


def fraction_by_layer_data(frame: pd.DataFrame, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting, matrix and layer: fraction_rows of the group `layer`."""
    return fraction_rows(frame, group="layer", rotated=True, **choice)


def draw_fraction_by_layer(
    data: pd.DataFrame, *, setting: str, labeller: str, criterion: str, n_controls: int
) -> Figure:
    """The rows of fraction_by_layer_data of one setting. `n_controls` is the number of random unit directions."""
    drawn = labelled(data)

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        last = float(rows["layer"].max())
        matrices = ordered_matrices(rows["matrix"])
        lines = [(rows[rows["matrix"] == matrix], matrix_style(matrix)) for matrix in matrices]
        end = draw_controls(axes, [(line, style["color"]) for line, style in lines], -0.3, last + 0.3)
        for line, style in lines:
            draw_rotated(axes, line, "layer", style["color"])
            draw_line(axes, line, "layer", style)
        axes.set_xlim(-0.4, end + 0.1)
        unit_axis(axes)
        whole_number_ticks(axes.xaxis, last=last)

    return panel_figure(
        f"Fraction interpretable by layer, setting {setting}",
        fraction_caption(
            data, labeller=labeller, criterion=criterion, intervals="Bands", n_controls=n_controls,
            control_mark=CONTROL_MARK, also=rotated_sentence(data, "Dotted"),
        ),
        [
            (name, partial(panel, drawn[drawn["model"] == model]))
            for model, name in model_names(drawn).items()
        ],
        handles=[*matrix_handles(drawn), *control_line_handles(drawn), *rotated_handles(drawn, ROTATED_LINE)],
        nothing=nothing_labelled(labeller),
        xlabel="layer",
        ylabel="fraction interpretable",
    )  # fmt: skip
