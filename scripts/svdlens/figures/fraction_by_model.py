"""The figure fraction_by_model: the share of interpretable rows of every model, for the whole sweep."""

from collections.abc import Set

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.figures.fraction_by_block import fraction_caption, has_controls, model_names
from svdlens.figures.selection import FRACTION_COLUMNS, as_text, select_fractions
from svdlens.figures.style import frame_figure, look, matrix_name, ordered_matrices, setting_styles

POINT_WIDTH = 0.18  # inches for one setting of one model
SPREAD = 0.8  # of the distance between two models is taken by their settings
# A control stands this part of its setting's share to the right of the point, at most so many models' distances.
CONTROL_SHIFT, LARGEST_SHIFT = 0.35, 0.08
NAME_CHARACTER = 0.075  # inches
WIDEST = 10  # inches that panels may take side by side; wider ones stand one above the other


def fraction_by_model_data(
    frame: pd.DataFrame, *, labeller_networks: Set[str], labeller: str | None = None, rule: str | None = None
) -> pd.DataFrame:
    """The fractions drawn: one row per model, setting and matrix.

    `frame` is the table of fractions. Columns: model, labeller_network (whether the labeller embeds with this model,
    one of `labeller_networks`), setting, matrix, readout (the first of the model in the table), labeller, rule, n
    (rows), k (interpretable rows), fraction, low, high (Wilson 95 %), control_fraction (random directions; empty where
    the labeller did not see them). `labeller` and `rule` may be None when the table holds only one. Models and
    settings keep the order of the table. Raises SvdlensError when nothing fits, naming what there is.
    """
    rows = select_fractions(frame, "fraction_by_model", group="all", labeller=labeller, rule=rule)
    rows = rows.reset_index(drop=True)
    data = pd.DataFrame(
        {
            "model": as_text(rows["model"]),
            "labeller_network": as_text(rows["model"]).isin(labeller_networks),
            **{name: as_text(rows[name]) for name in ("setting", "matrix", "readout", "labeller", "rule")},
            **{name: rows[name] for name in FRACTION_COLUMNS},
        }
    )
    assert not data.duplicated(["model", "setting", "matrix"]).any(), "two fractions for one model"
    return data


def draw_fraction_by_model(data: pd.DataFrame, *, controls: int) -> Figure:
    """The rows of fraction_by_model_data: a panel per matrix, models along x, settings side by side within a model.

    `controls` is the number of random unit directions behind control_fraction, for the caption.
    """
    names = model_names(data)
    models = list(names)
    matrices = ordered_matrices(data["matrix"])
    settings = list(dict.fromkeys(data["setting"]))
    styles = setting_styles(settings)
    share = SPREAD / len(settings)
    shift = min(CONTROL_SHIFT * share, LARGEST_SHIFT)
    # Each model's own settings, around its place.
    own = data.groupby("model")["setting"].agg(lambda chosen: [one for one in settings if one in set(chosen)])
    offsets = {
        (model, setting): share * (place - (len(own[model]) - 1) / 2)
        for model in models
        for place, setting in enumerate(own[model])
    }
    name_width = NAME_CHARACTER * (2 + max(len(line) for name in names.values() for line in name.split("\n")))
    panel_width = max(1.6, len(models) * max(0.8, name_width, POINT_WIDTH * len(settings)))
    columns = len(matrices) if panel_width * len(matrices) <= WIDEST else 1
    rows = len(matrices) // columns
    with look():
        size = (max(panel_width * columns + 0.8, 6.4), 3.6 if rows == 1 else 2.2 * rows + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes, matrix in zip(grid.flat, matrices, strict=True):
            for setting in settings:
                points = data[(data["matrix"] == matrix) & (data["setting"] == setting)]
                x = np.array([models.index(model) + offsets[model, setting] for model in points["model"]])
                fraction = points["fraction"].to_numpy(float)
                # At 0 and 1 rounding can leave the end of an interval a hair on the wrong side.
                bars = np.maximum([fraction - points["low"], points["high"] - fraction], 0)
                axes.errorbar(x, fraction, yerr=bars, ls="", **styles[setting], ms=4.5, elinewidth=1.2, clip_on=False)
                axes.plot(
                    x + shift, points["control_fraction"], ls="", **styles[setting], ms=4.5,
                    markerfacecolor="white", clip_on=False,
                )  # fmt: skip
            axes.set_title(matrix_name(matrix))
            axes.set_xticks(range(len(models)), list(names.values()))
            axes.set_xlim(-0.5, len(models) - 0.5)
            axes.set_ylim(0, 1)
            axes.grid(False, axis="x")
        for axes in grid[:, 0]:
            axes.set_ylabel("fraction interpretable")
        handles = [Line2D([], [], **styles[setting], ls="", label=setting) for setting in settings]
        if has_controls(data):
            handles.append(
                Line2D([], [], color="0.4", marker="o", markerfacecolor="white", ls="", label="random directions")
            )
        caption = fraction_caption(data, "Bars", "open", controls)
        frame_figure(figure, "Fraction of interpretable rows by model", caption, handles)
    return figure
