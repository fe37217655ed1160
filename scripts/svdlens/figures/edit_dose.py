"""The figure edit_dose: what an edit does by eps, to its tokens and to the perplexity of a neutral text."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.figures.edit_rows import targets_names, title
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import BAND, GREY, panel_figure
from svdlens.figures.style import COLOURS
from svdlens.spec.edits import CONCEPT, OPPOSITE

COLOUR = {CONCEPT: COLOURS[0], OPPOSITE: COLOURS[3]}


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each edit."""
    for subject, dose, directions in zip(subjects, inputs["dose"], inputs["directions"], strict=True):
        data = pd.read_parquet(dose).astype({"targets": str})
        yield data, draw_dose(data, pd.read_parquet(directions), subject, read_metadata(dose))


def draw_dose(
    data: pd.DataFrame, directions: pd.DataFrame, subject: Mapping[str, Any], facts: Mapping[str, Any]
) -> Figure:
    """The rows of a table of doses, with its metadata."""
    eps, names = float(facts["eps"]), targets_names(facts)

    def changes(axes: Axes) -> None:
        axes.axhline(0, color="0.4", lw=0.8)
        for targets, rows in data.groupby("targets", sort=False):
            colour = COLOUR[str(targets)]
            axes.fill_between(rows["eps"], rows["low"], rows["high"], color=colour, **BAND)
            axes.plot(rows["eps"], rows["change"], color=colour, marker="o", ms=3.5, lw=1.3)
            axes.plot(rows["eps"], rows["matched_change"], color=colour, ls=(0, (3, 2)), lw=1)
        mark(axes)
        axes.set_ylabel("change of log-probability")

    def perplexity(axes: Axes) -> None:
        rows = data.drop_duplicates("eps")
        axes.plot(rows["eps"], rows["perplexity"], color="0.25", marker="o", ms=3.5, lw=1.3)
        # Without this matplotlib writes an offset, and a change in the last digit looks like a cliff.
        span, middle = rows["perplexity"].max() - rows["perplexity"].min(), rows["perplexity"].median()
        if span < 0.02 * middle:
            axes.set_ylim(0.99 * middle, 1.01 * middle)
        axes.ticklabel_format(axis="y", useOffset=False)
        mark(axes)
        axes.set_ylabel("perplexity")

    def mark(axes: Axes) -> None:
        axes.axvline(eps, color=GREY, lw=0.8, ls=":")

    there = [name for name in names if (data["targets"] == name).any()]
    handles = [Line2D([], [], color=COLOUR[name], marker="o", ms=3.5, label=names[name]) for name in there]
    handles.append(Line2D([], [], color="0.4", ls=(0, (3, 2)), lw=1, label="tokens of the same frequency"))
    return panel_figure(
        title(subject, directions, eps),
        "By eps, directions being scaled by 1 + eps: -1 removes them, 0 changes nothing, 1 doubles them. Left: mean "
        "change of the log-probability (natural logarithm) of the targets, with its 95 % bootstrap interval over cue "
        "prompts. Right: perplexity of a neutral text. Dotted: the eps of this edit.",
        [("target tokens", changes), ("neutral text", perplexity)],
        columns=2, handles=handles, share_y=False, xlabel="eps",
    )  # fmt: skip
