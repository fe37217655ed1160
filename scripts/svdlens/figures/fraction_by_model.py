"""The figure fraction_by_model: interpretable rows of every model, a panel per matrix, for all settings."""

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
from svdlens.figures.style import matrix_name, ordered_matrices

NAME_CHARACTER = 0.068  # inches


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """One figure, of the table of fractions of the sweep."""
    table = inputs["fractions"]
    data = fraction_by_model_data(read_fractions(table), **fraction_choice(table, options))
    yield data, draw_fraction_by_model(data, **shown_choice(options))


def fraction_by_model_data(frame: pd.DataFrame, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting and matrix: fraction_rows of the group `all`."""
    return fraction_rows(frame, group="all", rotated=True, **choice)


def draw_fraction_by_model(data: pd.DataFrame, *, labeller: str, criterion: str, n_controls: int) -> Figure:
    """The rows of fraction_by_model_data. `n_controls` is the number of random unit directions."""
    drawn = labelled(data)
    names = model_names(drawn)
    settings = list(dict.fromkeys(drawn["setting"]))
    # Names too long to stand side by side under three panels get the whole width.
    longest = max((len(line) for name in names.values() for line in name.split("\n")), default=0)
    fits = 3 * len(names) * max(longest * NAME_CHARACTER, 0.14 * len(settings)) < 5.8
    return panel_figure(
        "Fraction interpretable by model",
        points_caption(data, labeller=labeller, criterion=criterion, n_controls=n_controls),
        [
            (
                matrix_name(matrix),
                partial(
                    draw_points, drawn[drawn["matrix"] == matrix], "model", list(names), list(names.values()), settings
                ),
            )
            for matrix in ordered_matrices(drawn["matrix"])
        ],
        columns=None if fits else 1,
        height=2.4 if fits else 1.6,
        share_x=not fits,
        handles=[*setting_handles(settings), *control_handles(drawn), *rotated_handles(drawn, ROTATED_POINT)],
        nothing=nothing_labelled(labeller),
        ylabel="fraction\ninterpretable",
    )
