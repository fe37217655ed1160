"""The figure spectrum_growth: how large the matrices are in each layer, for every model, in one setting."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import panel_figure
from svdlens.figures.selection import as_text, whole_numbers
from svdlens.figures.style import (
    frame_figure,
    look,
    matrix_name,
    ordered_matrices,
    readable_logarithms,
    setting_styles,
    whole_number_ticks,
)

QUANTITIES = {"largest": "largest singular value", "sum_of_squares": "sum of squares"}
KEYS = ["model", "matrix", "layer"]


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the table of spectra of the sweep."""
    table = pd.read_parquet(inputs["spectra"], columns=["setting", *KEYS, "head", "value"])
    for subject in subjects:
        data = spectrum_growth_data(table, setting=subject["setting"])
        yield data, draw_spectrum_growth(data)


def spectrum_growth_data(frame: pd.DataFrame, *, setting: str) -> pd.DataFrame:
    """One row per quantity, model, matrix and layer: the mean over the heads, the smallest and the largest head.

    `frame` is the table of spectra of the sweep. Columns: quantity (`largest`: the largest singular value;
    `sum_of_squares`: of all singular values, which is the squared Frobenius norm), model, setting, matrix, layer, n
    (heads; 1 for an MLP), mean, low, high. Models keep the order of the table.
    """
    rows = frame[frame["setting"] == setting]
    values = pd.DataFrame(
        {
            "model": as_text(rows["model"]),
            "matrix": as_text(rows["matrix"]),
            "layer": whole_numbers(rows["layer"]),
            "head": whole_numbers(rows["head"]),
            "largest": rows["value"].astype(float),
            "sum_of_squares": rows["value"].astype(float) ** 2,
        }
    )
    heads = (
        values.groupby([*KEYS, "head"], dropna=False, sort=False)
        .agg({"largest": "max", "sum_of_squares": "sum"})
        .reset_index()
    )
    parts = []
    for quantity in QUANTITIES:
        part = heads.groupby(KEYS, sort=False)[quantity].agg(n="size", mean="mean", low="min", high="max").reset_index()
        parts.append(part.assign(quantity=quantity, setting=setting))
    columns = ["quantity", "model", "setting", "matrix", "layer", "n", "mean", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns]


def draw_spectrum_growth(data: pd.DataFrame) -> Figure:
    """The rows of spectrum_growth_data: a row of panels per quantity, a column per matrix, a line per model."""
    drawn = data[data["mean"] > 0]
    if drawn.empty:
        return panel_figure(
            "Growth of the spectrum", "", [], nothing="No singular value is above zero: there is nothing to draw."
        )
    models = list(dict.fromkeys(drawn["model"]))
    styles = setting_styles(models)
    matrices = ordered_matrices(drawn["matrix"])
    with look():
        figure = Figure(figsize=(max(6.4, 2.1 * len(matrices) + 0.5), 4.2), layout="constrained")
        grid = figure.subplots(len(QUANTITIES), len(matrices), squeeze=False, sharex="col")
        for row, (quantity, name) in enumerate(QUANTITIES.items()):
            for column, matrix in enumerate(matrices):
                axes = grid[row, column]
                axes.set_yscale("log")
                panel = drawn[(drawn["quantity"] == quantity) & (drawn["matrix"] == matrix)]
                for model in models:
                    line = panel[panel["model"] == model].sort_values("layer")
                    layers = line["layer"].to_numpy(int)
                    if (line["n"] > 1).any():
                        band = line[["low", "high"]].to_numpy(float).T
                        axes.fill_between(layers, *band, color=styles[model]["color"], alpha=0.15, linewidth=0)
                    axes.plot(layers, line["mean"].to_numpy(float), **styles[model], lw=1.3, ms=3.5)
                readable_logarithms(axes.yaxis)
                whole_number_ticks(axes.xaxis, most=6)
                if row == 0:
                    axes.set_title(matrix_name(matrix))
                if row == len(QUANTITIES) - 1:
                    axes.set_xlabel("layer")
                if column == 0:
                    axes.set_ylabel(name)
        handles = [Line2D([], [], **styles[model], lw=1.3, label=model) for model in models]
        title = f"Singular values by layer, setting {drawn.iloc[0]['setting']}"
        frame_figure(figure, title, spectrum_growth_caption(data), handles)
    return figure


def spectrum_growth_caption(data: pd.DataFrame) -> str:
    """What the sum of squares is, and lines and bands where there are heads."""
    heads = (
        " Lines: mean over the heads; bands: from the smallest to the largest head." if (data["n"] > 1).any() else ""
    )
    zeros = " A matrix of zeros is not drawn." if (data["mean"] == 0).any() else ""
    return f"The sum of squares of all singular values is the squared Frobenius norm of a matrix.{heads}{zeros}"
