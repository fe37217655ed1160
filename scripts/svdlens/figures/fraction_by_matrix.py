"""The figure fraction_by_matrix: the share of interpretable rows of every kind of matrix, a panel per model."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from svdlens.figures.fraction_rows import fraction_rows
from svdlens.figures.panels import (
    caption_of,
    control_handles,
    figure_of,
    labelled,
    model_names,
    nothing_labelled,
)
from svdlens.figures.points_by_setting import draw_points, setting_handles
from svdlens.figures.style import matrix_name, ordered_matrices


def fraction_by_matrix_data(frame: pd.DataFrame, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting and matrix: fraction_rows of the group `all`."""
    return fraction_rows(frame, group="all", **choice)


def draw_fraction_by_matrix(data: pd.DataFrame, *, labeller: str, rule: str, controls: int) -> Figure:
    """The rows of fraction_by_matrix_data. `controls` is the number of random unit directions."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])
    labels = [matrix_name(matrix).replace("attention ", "") for matrix in matrices]
    settings = list(dict.fromkeys(drawn["setting"]))
    return figure_of(
        "Fraction interpretable by kind of matrix",
        caption_of(data, labeller=labeller, rule=rule, intervals="Bars", controls=controls),
        [
            (
                name,
                partial(draw_points, drawn[drawn["model"] == model], "matrix", matrices, labels, settings),
            )
            for model, name in model_names(drawn).items()
        ],
        height=2.1,
        handles=[*setting_handles(settings), *control_handles(drawn)],
        nothing=nothing_labelled(labeller),
        ylabel="fraction interpretable",
    )
