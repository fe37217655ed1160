"""What fraction_by_model and fraction_by_matrix share: points along x, settings side by side."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from svdlens.figures.panels import (
    CONTROL_BAND,
    GREY,
    ROTATED_POINT,
    draw_bars,
    draw_known,
    fraction_caption,
    rotated_sentence,
    unit_axis,
)
from svdlens.figures.style import setting_styles

SPREAD = 0.8  # of the distance between two names is taken by their settings


def draw_points(
    rows: pd.DataFrame, x: str, names: Sequence[str], labels: Sequence[str], settings: Sequence[str], axes: Axes
) -> None:
    """Fractions of `rows` along the column `x`, whose values are `names`, with the settings side by side.

    Random directions stand behind each point as a grey box, their interval, with a line, their fraction; rotations of
    the same subspaces as a hollow mark.
    """
    styles = setting_styles(settings)
    share = SPREAD / len(settings)
    # The settings of a name stand around it, whichever and however many they are.
    own = {
        name: [setting for setting in settings if setting in set(rows.loc[rows[x] == name, "setting"])]
        for name in names
    }
    for setting in settings:
        points = rows[rows["setting"] == setting]
        if points.empty:
            continue
        positions = np.array(
            [names.index(name) + share * (own[name].index(setting) - (len(own[name]) - 1) / 2) for name in points[x]]
        )
        height = (points["control_high"] - points["control_low"]).to_numpy(float)
        axes.bar(positions, height, width=share * 0.9, bottom=points["control_low"].to_numpy(float), **CONTROL_BAND)
        axes.hlines(
            points["control_fraction"].to_numpy(float),
            positions - share * 0.45,
            positions + share * 0.45,
            color=GREY,
            lw=0.9,
        )
        rotated = points["rotated_fraction"].to_numpy(float)
        draw_known(axes, positions, rotated, **ROTATED_POINT, color=styles[setting]["color"])
        draw_bars(axes, positions, points, styles[setting])
    axes.set_xticks(range(len(names)), list(labels))
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.grid(False, axis="x")
    unit_axis(axes)


def points_caption(data: pd.DataFrame, *, labeller: str, criterion: str, n_controls: int) -> str:
    """What a figure of points must say (fraction_caption)."""
    return fraction_caption(
        data,
        labeller=labeller,
        criterion=criterion,
        intervals="Bars",
        n_controls=n_controls,
        also=rotated_sentence(data, "Hollow"),
    )


def setting_handles(settings: Sequence[str]) -> list[Line2D]:
    """Each setting with its mark, for a legend."""
    styles = setting_styles(settings)
    return [Line2D([], [], **styles[setting], ls="", ms=4.5, label=setting) for setting in settings]
