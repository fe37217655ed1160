"""The figure near_degenerate: the share of directions that the weights determine only together with neighbours."""

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

KEYS = ["model", "setting", "matrix", "layer"]
PANEL_WIDTH, PANEL_HEIGHT = 2.1, 1.35  # inches


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """One figure, of the table of spectra of the sweep."""
    directions = options["directions"]
    table = pd.read_parquet(inputs["spectra"], columns=[*KEYS, "head", "index", "cluster"])
    data = near_degenerate_data(table, directions=directions)
    yield data, draw_near_degenerate(data, tolerance=options["cluster_tolerance"], directions=directions)


def near_degenerate_data(frame: pd.DataFrame, *, directions: int | None) -> pd.DataFrame:
    """One row per model, setting, matrix and layer: how many directions are in a near-degenerate cluster.

    `frame` is the table of spectra of the sweep, `directions` the leading ones that count (None: all). Null space does
    not count. Columns: model, setting, matrix, layer, n (directions of all heads), k (those in a cluster of
    at least two), fraction, low, high (Wilson 95 %), longest (directions of the longest cluster). In the order of the
    table.
    """
    rows = pd.DataFrame(
        {
            **{name: as_text(frame[name]) for name in ("model", "setting", "matrix")},
            **{name: whole_numbers(frame[name]) for name in ("layer", "head", "index", "cluster")},
        }
    )
    rows = rows[rows["cluster"].notna()]
    # A cluster counts whole, also what of it lies beyond the leading directions.
    rows["size"] = rows.groupby([*KEYS, "head", "cluster"], dropna=False)["index"].transform("size")
    if directions is not None:
        rows = rows[rows["index"] < directions]
    rows["shared"] = rows["size"] > 1
    grouped = rows.groupby(KEYS, sort=False)
    data = grouped.agg(n=("shared", "size"), k=("shared", "sum"), longest=("size", "max")).reset_index()
    data["fraction"] = data["k"] / data["n"]
    data["low"], data["high"] = wilson_interval(data["k"], data["n"])
    return data[[*KEYS, "n", "k", "fraction", "low", "high", "longest"]]


def draw_near_degenerate(data: pd.DataFrame, *, tolerance: float, directions: int | None) -> Figure:
    """The rows of near_degenerate_data: a column of panels per model, a row per matrix, a line per setting.

    `tolerance`: the relative distance under which neighbours are in one cluster; `directions` as for the data.
    """
    if data.empty:
        return panel_figure(
            "Directions in near-degenerate clusters",
            "",
            [],
            nothing="No singular value is above zero: there is nothing to draw.",
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
            "Directions that are determined only together",
            near_degenerate_caption(tolerance, directions),
            handles,
        )
    return figure


def near_degenerate_caption(tolerance: float, directions: int | None) -> str:
    """What is counted, and what a cluster is. Arguments as for draw_near_degenerate."""
    counted = "all" if directions is None else f"at most the {directions:,} leading"
    return (
        f"Share of {counted} singular directions of each matrix that lie in a near-degenerate cluster: a run of at "
        f"least two singular values, neighbours closer than {tolerance:.3g} of the larger. Within it the weights "
        "determine the subspace, but no single vector. Bands: Wilson 95 % intervals, as if directions were independent."
    )
