"""The figure edit_spectrum: the edited matrix decomposed again, its directions matched with those before."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.figures.edit_rows import matrix_words, title
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import panel_figure
from svdlens.figures.style import COLOURS

MOST = 4
"""Matrices that are drawn."""


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each edit."""
    for subject, spectrum, directions in zip(subjects, inputs["spectrum"], inputs["directions"], strict=True):
        data = pd.read_parquet(spectrum).astype({"matrix": str})
        eps = float(str(read_metadata(spectrum)["eps"]))
        yield data, draw_spectrum(data, pd.read_parquet(directions), subject, eps)


def draw_spectrum(data: pd.DataFrame, directions: pd.DataFrame, subject: Mapping[str, Any], eps: float) -> Figure:
    """The rows of a table of matched directions: singular values before and after on the left, |cos| on the right."""
    panels: list[tuple[str, Any]] = []
    places: Any = data.groupby(["matrix", "layer", "head"], dropna=False, sort=False)
    for place, rows in list(places)[:MOST]:
        panels += [(matrix_words(*place), values_panel(rows)), ("before and after", cosine_panel(rows))]
    handles = [
        Line2D([], [], color="0.5", marker="o", mfc="none", ms=4.5, ls="", label="before"),
        Line2D([], [], color=COLOURS[0], marker="o", ms=2.5, ls="", label="after"),
        Line2D([], [], color=COLOURS[3], marker="o", mfc="none", ms=6, ls="", label="edited"),
    ]
    return panel_figure(
        title(subject, directions, eps),
        "The matrix decomposed again after the edit; each direction is matched with the one that is left of it, so "
        "that |cos| of their vectors is largest (of two sides the smaller). Left: singular values. Right: that |cos|, "
        "0 where nothing is left, 1 where the direction is what it was.",
        panels, columns=2, handles=handles, share_y=False, xlabel="index before the edit",
    )  # fmt: skip


def values_panel(rows: pd.DataFrame) -> Any:
    def draw(axes: Axes) -> None:
        axes.plot(rows["index"], rows["value"], color="0.5", marker="o", mfc="none", ms=4.5, mew=0.7, ls="")
        # What is gone has no partner, or one that has nothing of it.
        left = rows[rows["cosine"].fillna(0.0) > 0.5]
        axes.plot(left["index"], left["value_after"], color=COLOURS[0], marker="o", ms=2.5, ls="")
        edited = rows[rows["edited"]]
        axes.plot(edited["index"], edited["value"], color=COLOURS[3], marker="o", mfc="none", ms=6, ls="")
        axes.set_ylim(0, None)
        axes.set_ylabel("singular value")

    return draw


def cosine_panel(rows: pd.DataFrame) -> Any:
    def draw(axes: Axes) -> None:
        cosine = rows["cosine"].fillna(0.0)
        axes.plot(rows["index"], cosine, color=COLOURS[0], marker="o", ms=2.5, ls="", clip_on=False)
        edited = rows["edited"]
        axes.plot(
            rows["index"][edited], cosine[edited], color=COLOURS[3], marker="o", mfc="none", ms=6, ls="", clip_on=False
        )
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("|cos|")

    return draw
