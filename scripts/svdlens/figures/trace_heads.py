"""The figure trace_heads: how far a query lies along the directions of each head, and of each matrix of an MLP."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.style import frame_figure, look, matrix_name, ordered_matrices, tick_name, whole_number_ticks
from svdlens.figures.trace_rows import null_sentence, query_sentence, read_query
from svdlens.spec.matrix_kinds import MATRIX_KINDS

COLUMNS = ["model", "setting", "query", "matrix", "layer", "head", "side", "index", "sign", "cosine", "standard_score"]
COLUMNS += ["q_value", "n", "n_found"]
WIDTH = 6.5  # inches
LAYER_HEIGHT, LEAST_HEIGHT, MOST_HEIGHT = 0.09, 1.5, 4.5
LEAST_DARKEST = 6.0  # so that a model in which nothing stands out looks like that
MLP_COLUMN = 2.0  # as wide as so many heads


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each query of each model and setting, of the tables of the nearest direction of each matrix."""
    for path, subject in zip(inputs["matrices"], subjects, strict=True):
        rows, facts = read_query(path, subject["query"])
        data = rows.assign(model=subject["model"], setting=subject["setting"], head=rows["head"].astype("Int32"))[
            COLUMNS
        ]
        caption = f"{query_sentence(subject['query'], facts)} {null_sentence(options['level'], options['n_random'])}"
        yield data, draw_trace_heads(data, caption, several_rounds=len(facts["rounds"][subject["query"]]) > 1)


def draw_trace_heads(data: pd.DataFrame, caption: str, *, several_rounds: bool) -> Figure:
    """A panel of layers and heads for each side of OV and QK, and one for the matrices of the MLPs."""
    first = data.iloc[0]
    title = f"{first['model']}, setting {first['setting']}: where {first['query']} is"
    legend = (
        f"{caption} Colour: the largest score, either sign, of the directions of a head, or of a matrix of an MLP. "
        f"Circles: matrices with a direction that is found.{' All is of the first round.' if several_rounds else ''}"
    )
    panels = panels_of(data)
    layers = int(data["layer"].max()) + 1
    darkest = max(LEAST_DARKEST, float(data["standard_score"].abs().max()))
    with look():
        height = float(np.clip(LAYER_HEIGHT * layers, LEAST_HEIGHT, MOST_HEIGHT)) + 0.5
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        widths = [MLP_COLUMN * len(names) if names else 1 + rows["head"].max() for _, names, rows in panels]
        grid = figure.subplots(
            1, len(panels), squeeze=False, sharey=True, width_ratios=[max(4, width) for width in widths]
        )
        for axes, (name, names, rows) in zip(grid[0], panels, strict=True):
            columns = rows["column"].to_numpy(int)
            shades = np.full((layers, columns.max() + 1), np.nan)
            shades[rows["layer"], columns] = rows["standard_score"].abs()
            drawn = axes.pcolormesh(
                np.arange(shades.shape[1] + 1) - 0.5, np.arange(layers + 1) - 0.5, shades,
                cmap="Blues", vmin=0, vmax=darkest, edgecolor="white", linewidth=0.3,
            )  # fmt: skip
            found = rows[rows["n_found"] > 0]
            axes.plot(found["column"], found["layer"], ls="", marker="o", ms=3.2, mfc="none", mec="#D55E00", mew=0.9)
            axes.grid(False)
            axes.set_title(name)
            axes.set_xlim(-0.5, shades.shape[1] - 0.5)
            if names:
                axes.set_xticks(range(len(names)), [tick_name(matrix) for matrix in names], fontsize=7)
            else:
                axes.set_xlabel("head")
                whole_number_ticks(axes.xaxis, last=shades.shape[1] - 1)
        grid[0][0].set_ylabel("layer")
        grid[0][0].yaxis.set_major_locator(MaxNLocator(integer=True))
        bar = figure.colorbar(drawn, ax=list(grid[0]), fraction=0.03, pad=0.02)
        bar.set_label("largest score")
        bar.outline.set_visible(False)
        frame_figure(figure, title, legend)
    return figure


def panels_of(data: pd.DataFrame) -> list[tuple[str, list[str], pd.DataFrame]]:
    """Of each panel its title, the matrices that are its columns (none: heads are), and its rows with the column of
    each."""
    panels: list[tuple[str, list[str], pd.DataFrame]] = []
    single: list[str] = []
    for matrix in ordered_matrices(data["matrix"]):
        rows = data[data["matrix"] == matrix]
        if not MATRIX_KINDS[matrix].per_head:
            single.append(matrix)
            continue
        for side in MATRIX_KINDS[matrix].sides:
            of_side = rows[rows["side"] == side]
            panels.append((f"{matrix_name(matrix)}, {side}", [], of_side.assign(column=of_side["head"].astype(int))))
    if single:
        rows = data[data["matrix"].isin(single)]
        panels.append(("MLPs", single, rows.assign(column=rows["matrix"].map(single.index))))
    return panels
