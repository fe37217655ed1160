"""The figure near_degenerate: the share of directions that noise on the weights leaves undetermined."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.evaluation.intervals import wilson_interval
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import panel_figure
from svdlens.figures.selection import as_text, whole_numbers
from svdlens.figures.style import (
    frame_figure,
    look,
    matrix_name,
    ordered_matrices,
    setting_styles,
    whole_number_ticks,
)
from svdlens.spec.determined import DETERMINED

KEYS = ["model", "setting", "matrix", "layer"]
PANEL_WIDTH, PANEL_HEIGHT = 2.1, 1.35  # inches


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """One figure, of the table of spectra of the sweep."""
    table = pd.read_parquet(inputs["spectra"], columns=[*KEYS, "stability_noise"])
    data = near_degenerate_data(table)
    yield data, draw_near_degenerate(data, noise=options["weight_noise"], directions=options["directions"])


def near_degenerate_data(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per model, setting, matrix and layer: how many directions noise leaves undetermined.

    `frame` is the table of spectra of the sweep. Directions of which no stability is known do not count: those beyond
    the stored ones, and null space. Columns: model, setting, matrix, layer, n (directions of all heads), k (those with
    stability_noise below DETERMINED), fraction, low, high (Wilson 95 %). In the order of the table.
    """
    rows = pd.DataFrame(
        {
            **{name: as_text(frame[name]) for name in ("model", "setting", "matrix")},
            "layer": whole_numbers(frame["layer"]),
            "stability": frame["stability_noise"].astype(float),
        }
    )
    rows = rows[rows["stability"].notna()]
    rows["undetermined"] = rows["stability"] < DETERMINED
    data = rows.groupby(KEYS, sort=False)["undetermined"].agg(n="size", k="sum").reset_index()
    data["fraction"] = data["k"] / data["n"]
    data["low"], data["high"] = wilson_interval(data["k"], data["n"])
    return data[[*KEYS, "n", "k", "fraction", "low", "high"]]


def draw_near_degenerate(data: pd.DataFrame, *, noise: float, directions: int | None) -> Figure:
    """The rows of near_degenerate_data: a column of panels per model, a row per matrix, a line per setting.

    `noise` (weight_noise) and `directions` (the leading ones that are stored, None: all) are those of the sweep.
    """
    if data.empty:
        return panel_figure(
            "Directions that noise leaves undetermined",
            "",
            [],
            nothing="Nothing to draw: every singular value is zero, so that no vector has a stability.",
        )
    models = list(dict.fromkeys(data["model"]))
    settings = list(dict.fromkeys(data["setting"]))
    matrices = ordered_matrices(data["matrix"])
    styles = setting_styles(settings)
    # Settings that share an SVD give the same line: broad ones below narrow ones keep all of them visible.
    widths = np.linspace(min(1.4 + 0.45 * (len(settings) - 1), 3.2), 1.4, len(settings))
    with look():
        size = (max(PANEL_WIDTH * len(models) + 0.5, 6.4), (PANEL_HEIGHT + 0.03 * len(settings)) * len(matrices) + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(matrices), len(models), squeeze=False, sharex="col", sharey=True)
        for row, matrix in enumerate(matrices):
            for column, model in enumerate(models):
                axes = grid[row, column]
                panel = data[(data["model"] == model) & (data["matrix"] == matrix)]
                for number, setting in enumerate(settings):
                    line = panel[panel["setting"] == setting].sort_values("layer")
                    if line.empty:
                        continue
                    layers = line["layer"].to_numpy(int)
                    axes.fill_between(
                        layers, line["low"], line["high"], color=styles[setting]["color"], linewidth=0,
                        alpha=0.2 / len(settings) ** 0.5,
                    )  # fmt: skip
                    axes.plot(
                        layers, line["fraction"], **styles[setting], lw=widths[number], ms=2.5 + widths[number] / 2,
                        clip_on=False,
                    )  # fmt: skip
                if panel.empty:
                    axes.text(
                        0.5, 0.5, "not in the sweep", transform=axes.transAxes, ha="center", va="center", color="0.4"
                    )
                axes.set_ylim(0, 1)
                axes.margins(x=0.04)
                whole_number_ticks(axes.xaxis, most=6)
                if row == 0:
                    axes.set_title(model)
                if row == len(matrices) - 1:
                    axes.set_xlabel("layer")
                if column == 0:
                    axes.set_ylabel(f"{matrix_name(matrix)}\nshare")
        handles = [Line2D([], [], **styles[setting], lw=2, label=setting) for setting in settings]
        frame_figure(
            figure,
            "Directions that noise leaves undetermined",
            near_degenerate_caption(noise, directions),
            handles,
        )
    return figure


def near_degenerate_caption(noise: float, directions: int | None) -> str:
    """What is counted, and under which noise. Arguments as for draw_near_degenerate."""
    counted = "all" if directions is None else f"at most the {directions:,} leading"
    return (
        f"Share of {counted} singular directions of each matrix that the weights leave undetermined: under noise on "
        f"them, |cos| to the direction of the same index is below {DETERMINED:g} (root mean square). The noise is the "
        f"rounding of quantised weights, else {noise:.3g} standard deviations. Bands: Wilson 95 % intervals, as if "
        "directions were independent."
    )
