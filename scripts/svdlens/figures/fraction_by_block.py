"""The figure fraction_by_block: interpretable rows in every block, a panel per model, a line per matrix."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svdlens.figures.fraction_rows import fraction_rows
from svdlens.figures.panels import (
    caption_of,
    control_handles,
    draw_control,
    draw_line,
    figure_of,
    labelled,
    matrix_handles,
    matrix_style,
    model_names,
    nothing_labelled,
    unit_axis,
)
from svdlens.figures.style import ordered_matrices, whole_number_ticks


def fraction_by_block_data(frame: pd.DataFrame, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting, matrix and layer: fraction_rows of the group `layer`."""
    return fraction_rows(frame, group="layer", **choice)


def draw_fraction_by_block(data: pd.DataFrame, *, setting: str, labeller: str, rule: str, controls: int) -> Figure:
    """The rows of fraction_by_block_data of one setting. `controls` is the number of random unit directions."""
    drawn = labelled(data)

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        last = float(rows["layer"].max())
        for matrix in ordered_matrices(rows["matrix"]):
            line, style = rows[rows["matrix"] == matrix], matrix_style(matrix)
            draw_control(axes, line, -0.3, last + 0.3, style["color"])
            draw_line(axes, line, "layer", style)
        axes.set_xlim(-0.4, last + 0.4)
        unit_axis(axes)
        whole_number_ticks(axes.xaxis)

    return figure_of(
        f"Fraction interpretable by block, setting {setting}",
        caption_of(
            data, labeller=labeller, rule=rule, intervals="Bands", controls=controls,
            also="The dashed line is that of the matrix in its colour." if len(control_handles(data)) else "",
        ),
        [
            (name, partial(panel, drawn[drawn["model"] == model]))
            for model, name in model_names(drawn).items()
        ],
        handles=[*matrix_handles(drawn), *control_handles(drawn)],
        nothing=nothing_labelled(labeller),
        xlabel="block",
        ylabel="fraction interpretable",
    )  # fmt: skip
