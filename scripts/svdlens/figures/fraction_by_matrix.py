"""The figure fraction_by_matrix: the share of interpretable rows of every kind of matrix, a panel per model."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from svdlens.figures.fraction_rows import fraction_choice, fraction_rows, read_fractions
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import (
    ROTATED_POINT,
    control_handles,
    labelled,
    model_names,
    nothing_labelled,
    panel_figure,
    rotated_handles,
    shown_choice,
)
from svdlens.figures.points_by_setting import draw_points, points_caption, setting_handles
from svdlens.figures.style import ordered_matrices, tick_name


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """One figure, of the table of fractions of the sweep."""
    table = inputs["fractions"]
    data = fraction_by_matrix_data(read_fractions(table), **fraction_choice(table, options))
    yield data, draw_fraction_by_matrix(data, **shown_choice(options))


def fraction_by_matrix_data(frame: pd.DataFrame, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting and matrix: fraction_rows of the group `all`."""
    return fraction_rows(frame, group="all", rotated=True, **choice)


def draw_fraction_by_matrix(data: pd.DataFrame, *, labeller: str, criterion: str, n_controls: int) -> Figure:
    """The rows of fraction_by_matrix_data. `n_controls` is the number of random unit directions."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])
    labels = [tick_name(matrix) for matrix in matrices]
    settings = list(dict.fromkeys(drawn["setting"]))
    return panel_figure(
        "Fraction interpretable by kind of matrix",
        points_caption(data, labeller=labeller, criterion=criterion, n_controls=n_controls),
        [
            (
                name,
                partial(draw_points, drawn[drawn["model"] == model], "matrix", matrices, labels, settings),
            )
            for model, name in model_names(drawn).items()
        ],
        height=2.1,
        handles=[*setting_handles(settings), *control_handles(drawn), *rotated_handles(drawn, ROTATED_POINT)],
        nothing=nothing_labelled(labeller),
        ylabel="fraction interpretable",
    )
