"""The figure spectra: the singular values of one matrix in every layer (and head) of a model."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from svdlens.figures.selection import select, whole_numbers
from svdlens.figures.style import content_term, frame_figure, look, matrix_name, whole_number_ticks

NULL_SPACE = 1e-6  # of the first singular value; below it a value is rounding


def spectra_data(frame: pd.DataFrame, *, model: str, setting: str, matrix: str) -> pd.DataFrame:
    """The singular values drawn: those of `matrix` at or above NULL_SPACE of the largest of their layer and head.

    `frame` is the table of spectra of one model, setting and matrix. Columns: model, setting, matrix, layer, head
    (empty for an MLP), index (0 = largest), value, sorted by layer, head and index. Raises SvdlensError when nothing
    fits.
    """
    rows = select(frame, "spectra", matrix=matrix)
    data = pd.DataFrame(
        {
            "model": model,
            "setting": setting,
            "matrix": matrix,
            "layer": whole_numbers(rows["layer"]),
            "head": whole_numbers(rows["head"]),
            "index": whole_numbers(rows["index"]),
            "value": rows["value"].astype(float),
        }
    ).sort_values(["layer", "head", "index"], ignore_index=True)
    first = data.groupby(["layer", "head"], dropna=False)["value"].transform("max")
    # A matrix of zeros has no value that a logarithmic axis could show.
    drawn = data[(data["value"] > 0) & (data["value"] >= NULL_SPACE * first)].reset_index(drop=True)
    return select(drawn, "spectra (singular values above zero)", matrix=matrix)


def draw_spectra(data: pd.DataFrame, *, rotary: bool) -> Figure:
    """The values of spectra_data against their index, logarithmic: one line per layer and head, coloured by layer.

    `rotary`: whether the model has rotary position embeddings, for the caption.
    """
    lines = [
        (int(group["layer"].iloc[0]), group[["index", "value"]].to_numpy(float))
        for _, group in data.groupby(["layer", "head"], dropna=False, sort=True)
    ]
    layers = sorted({layer for layer, _ in lines})
    # One colour per layer; the lightest tenth of the map would be lost on white.
    span = range(layers[0], layers[-1] + 1)
    colours = ListedColormap(colormaps["viridis"](np.linspace(0, 0.9, len(span))))
    norm = BoundaryNorm(np.arange(layers[0] - 0.5, layers[-1] + 1), len(span))
    per_head = bool(data["head"].notna().any())
    with look():
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.set_yscale("log")
        axes.add_collection(
            LineCollection(
                [points for _, points in lines],
                colors=[colours(norm(layer)) for layer, _ in lines],
                linewidths=0.8 if per_head else 1.3,
                alpha=0.8,
                capstyle="round",
            )
        )
        axes.autoscale_view()
        axes.set_xlabel("index of the singular value (0 = largest)")
        axes.set_ylabel("singular value")
        whole_number_ticks(axes.xaxis)
        # A spectrum may span less than a decade: then powers of ten alone leave the axis without numbers.
        narrow = data["value"].max() / data["value"].min() < 100
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, label="layer", pad=0.02)
        bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
        bar.ax.yaxis.set_minor_locator(MaxNLocator(nbins=1, integer=True))
        bar.ax.tick_params(which="both", length=0)
        bar.ax.grid(False)
        bar.outline.set_visible(False)
        first = data.iloc[0]
        title = f"{first['model']}, setting {first['setting']}: singular values of {matrix_name(first['matrix'])}"
        frame_figure(figure, title, spectra_caption(data, per_head, rotary))
    return figure


def spectra_caption(data: pd.DataFrame, per_head: bool, rotary: bool) -> str:
    line = "One line per head" if per_head else "One line per layer"
    content = content_term(data["matrix"].iloc[0], rotary)
    return f"{line}. Values below one millionth of the first (numerical null space) are not drawn.{content}"
