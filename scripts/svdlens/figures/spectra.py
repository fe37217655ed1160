"""The figure spectra: the singular values of one matrix in every layer (and head), and by what law they fall."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import panel_figure
from svdlens.figures.selection import select, whole_numbers
from svdlens.figures.style import (
    COLOURS,
    content_term,
    frame_figure,
    look,
    matrix_name,
    readable_logarithms,
    whole_number_ticks,
)
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.svd.null_space import NULL_SPACE
from svdlens.svd.spectrum_fits import fit_exponential, fit_power_law

WIDTH, HEIGHT = 6.4, 4.5  # inches
# Left, bottom, width and height of the panels: logarithmic, linear, R2, and the scale of colours.
BOXES = [(0.62, 1.9, 2.35, 2.45), (3.45, 1.9, 2.35, 2.45), (0.62, 0.5, 5.18, 0.85), (5.9, 1.9, 0.09, 2.45)]
LAWS: dict[str, dict[str, Any]] = {
    "exponential": {"name": "exponential", "color": COLOURS[3], "marker": "o", "ls": (0, (4, 2))},
    "power_law": {"name": "power law", "color": COLOURS[0], "marker": "s", "ls": (0, (1, 1.2))},
}
COLUMNS = [
    "series", "model", "setting", "matrix", "layer", "head", "index", "value", "exponential", "power_law",
    "exponential_rate", "exponential_r2", "power_law_exponent", "power_law_r2",
]  # fmt: skip


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each model, setting and kind of matrix, of its table of spectra."""
    for path, subject in zip(inputs["spectra"], subjects, strict=True):
        # Without `partitioning` the directory names model=... and setting=... would become columns.
        table = pd.read_parquet(path, partitioning=None, columns=["matrix", "layer", "head", "index", "value"])
        data = spectra_data(table, model=subject["model"], setting=subject["setting"], matrix=subject["matrix"])
        yield data, draw_spectra(data, rotary=subject["model"] in options["rotary"])


def spectra_data(frame: pd.DataFrame, *, model: str, setting: str, matrix: str) -> pd.DataFrame:
    """What is drawn, in three kinds of rows, told apart by the column `series`.

    `value`: a singular value of one layer and head (empty for an MLP) at its index (0 = largest), if it is above
    NULL_SPACE of the largest of its layer and head. `mean`: the geometric mean of these over layers and heads at each
    index that all of them have, with both laws fitted to it (columns exponential, power_law). `fit`: rates and R2 of
    both laws for each layer and head, and, with layer and head empty, for the mean (spectrum_fits.py).

    `frame` is the table of spectra of one model, setting and matrix. No rows where no value is above zero. Raises
    SvdlensError where the table has other matrices.
    """
    rows = frame if frame.empty else select(frame, "spectra", matrix=matrix)
    values = pd.DataFrame(
        {
            "layer": whole_numbers(rows["layer"]),
            "head": whole_numbers(rows["head"]),
            "index": whole_numbers(rows["index"]),
            "value": rows["value"].astype(float),
        }
    ).sort_values(["layer", "head", "index"], ignore_index=True)
    first = values.groupby(["layer", "head"], dropna=False)["value"].transform("max")
    # A matrix of zeros has no value that a logarithmic axis could show.
    values = values[(values["value"] > 0) & (values["value"] > NULL_SPACE * first)].reset_index(drop=True)
    lines = [group for _, group in values.groupby(["layer", "head"], dropna=False, sort=True)]
    parts = [values.assign(series="value")]
    if lines:
        shared = min(map(len, lines))
        mean = np.exp(np.mean([np.log(line["value"].to_numpy()[:shared]) for line in lines], axis=0))
        curves = {"exponential": fit_exponential(mean).fitted, "power_law": fit_power_law(mean).fitted}
        parts.append(pd.DataFrame({"series": "mean", "index": np.arange(shared), "value": mean, **curves}))
        fits = [
            {"series": "fit", "layer": line["layer"].iloc[0], "head": line["head"].iloc[0]}
            | rates(line["value"].to_numpy())
            for line in lines
        ]
        parts.append(pd.DataFrame([*fits, {"series": "fit", **rates(mean)}]))
    data = pd.concat([part.reindex(columns=COLUMNS).astype(dtypes(part)) for part in parts], ignore_index=True)
    data["model"], data["setting"], data["matrix"] = model, setting, matrix
    return data


def rates(values: np.ndarray) -> dict[str, float]:
    """Rate and R2 of both laws fitted to the singular values of one matrix, largest first; NaN where none is fitted."""
    exponential, power_law = fit_exponential(values), fit_power_law(values)
    return {
        "exponential_rate": exponential.rate,
        "exponential_r2": exponential.r2,
        "power_law_exponent": power_law.rate,
        "power_law_r2": power_law.r2,
    }


def dtypes(part: pd.DataFrame) -> dict[str, str]:
    """The types of the numbers of a part of spectra_data: keys may be empty."""
    whole = ("layer", "head", "index")
    return {name: "Int64" if name in whole else "float64" for name in COLUMNS[4:]}


def draw_spectra(data: pd.DataFrame, *, rotary: bool) -> Figure:
    """The rows of spectra_data: values over their index, logarithmic and linear, with their mean and both laws; below,
    how well each law fits each layer and head.

    `rotary`: whether the model has rotary position embeddings, for the caption.
    """
    if data.empty:
        return panel_figure(
            "Singular values", "", [], nothing="No singular value is above zero: there is nothing to draw."
        )
    first = data.iloc[0]
    values, mean, fits = (data[data["series"] == series] for series in ("value", "mean", "fit"))
    in_layers = MATRIX_KINDS[first["matrix"]].in_layers
    if not in_layers:
        # One matrix, and its fit; that of the mean is the same once more.
        values, fits = values.assign(layer=0), fits.assign(layer=[0, *fits["layer"].iloc[1:]])
    lines = [
        (int(group["layer"].iloc[0]), group[["index", "value"]].to_numpy(float))
        for _, group in values.groupby(["layer", "head"], dropna=False, sort=True)
    ]
    layers = sorted({layer for layer, _ in lines})
    # One colour per layer; the lightest tenth of the map would be lost on white.
    span = range(layers[0], layers[-1] + 1)
    colours = ListedColormap(colormaps["viridis"](np.linspace(0, 0.9, len(span))))
    norm = BoundaryNorm(np.arange(layers[0] - 0.5, layers[-1] + 1), len(span))
    per = MATRIX_KINDS[first["matrix"]].per
    with look():
        title = f"{first['model']}, setting {first['setting']}: singular values of {matrix_name(first['matrix'])}"
        caption = spectra_caption(per) + content_term(first["matrix"], rotary)
        figure = Figure(figsize=(WIDTH, HEIGHT))
        below = frame_figure(
            figure, title, caption, spectra_legend(fits, "geometric mean" if in_layers else "singular values")
        )
        # Boxes are fixed, in inches from the strip of the caption: a layout would have to draw everything once more.
        scale = WIDTH, figure.get_figheight()
        logarithmic, linear, goodness, bar_axes = (
            figure.add_axes((left / scale[0], (below + bottom) / scale[1], width / scale[0], height / scale[1]))
            for left, bottom, width, height in BOXES
        )
        logarithmic.set_yscale("log")
        for axes in (logarithmic, linear):
            axes.add_collection(
                LineCollection(
                    [points for _, points in lines],
                    colors=[colours(norm(layer)) for layer, _ in lines],
                    linewidths=0.6 if per == "head" else 1.1,
                    alpha=0.7,
                    capstyle="round",
                )
            )
            axes.autoscale_view()
            for law, style in LAWS.items():
                # A law may run far above or below the values; the axes stay with these.
                limits = axes.get_ylim()
                axes.plot(mean["index"], mean[law], color=style["color"], ls=style["ls"], lw=1.6)
                axes.set_ylim(limits)
            axes.plot(mean["index"], mean["value"], color="black", lw=1.3)
            axes.set_xlabel("index of the singular value (0 = largest)")
            whole_number_ticks(axes.xaxis, most=6)
        # Above and not beside: numbers of many digits would push a label out of the figure.
        logarithmic.set_title("singular value, logarithmic")
        linear.set_title("singular value, linear")
        linear.set_ylim(bottom=0)
        readable_logarithms(logarithmic.yaxis)
        draw_goodness(goodness, fits, layers, "layer; each mark is a head" if per == "head" else "layer")
        if not in_layers:
            goodness.set(xticks=[], xlabel="")
            bar_axes.remove()
            return figure
        bar = figure.colorbar(ScalarMappable(norm, colours), cax=bar_axes, label="layer")
        bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
        bar.ax.yaxis.set_minor_locator(MaxNLocator(nbins=1, integer=True))
        bar.ax.tick_params(which="both", length=0)
        bar.ax.grid(False)
        bar.outline.set_visible(False)
    return figure


def draw_goodness(axes: Axes, fits: pd.DataFrame, layers: Sequence[int], label: str) -> None:
    """R2 of both laws over the layers, the two side by side."""
    single = fits[fits["layer"].notna()]
    for (law, style), shift in zip(LAWS.items(), (-0.15, 0.15), strict=True):
        axes.plot(
            single["layer"].to_numpy(float) + shift, single[f"{law}_r2"], ls="", marker=style["marker"], ms=3,
            color=style["color"], alpha=0.6, markeredgewidth=0, clip_on=False,
        )  # fmt: skip
    lowest = single[["exponential_r2", "power_law_r2"]].min().min()
    axes.set_ylim(0 if pd.isna(lowest) or lowest < 0.6 else 0.5, 1)
    axes.set_xlim(layers[0] - 0.5, layers[-1] + 0.5)
    axes.set_xlabel(label)
    axes.set_ylabel("R² of the law")
    whole_number_ticks(axes.xaxis, most=12)
    if pd.isna(lowest):
        axes.text(
            0.5, 0.5, "too few or equal values: no law is fitted", transform=axes.transAxes, ha="center", va="center"
        )


def spectra_legend(fits: pd.DataFrame, black: str) -> list[Line2D]:
    """The black line, and each law with its R2 for the mean."""
    whole = fits[fits["layer"].isna()].iloc[0]
    handles = [Line2D([], [], color="black", lw=1.3, label=black)]
    for law, style in LAWS.items():
        r2 = whole[f"{law}_r2"]
        known = "not fitted" if pd.isna(r2) else f"R² {r2:.3f}"
        handles.append(
            Line2D(
                [], [], color=style["color"], ls=style["ls"], lw=1.6, marker=style["marker"], ms=3.5,
                label=f"{style['name']}, {known}",
            )
        )  # fmt: skip
    return handles


def spectra_caption(per: str) -> str:
    """What lines, laws and R2 are; `per` is that of the MatrixKind."""
    not_drawn = "Values below one millionth of the first (numerical null space) are not drawn."
    if per == "model":
        return (
            f"Black: the values, with the laws fitted to their logarithm by least squares, and R² of these. {not_drawn}"
        )
    return (
        f"One thin line per {per}; black: their geometric mean, with the laws fitted to its logarithm by least "
        f"squares, and R² of these. Below: R² of the same laws fitted to every {per} by itself. {not_drawn}"
    )
