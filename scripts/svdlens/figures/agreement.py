"""The figure agreement: how far two labellers call the same lists interpretable."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import matrix_style, panel_figure
from svdlens.figures.selection import as_text
from svdlens.figures.style import COLOURS, matrix_name, readout_name

CELLS = {"both": COLOURS[0], "only_first": COLOURS[8], "only_second": COLOURS[4], "neither": "0.85"}
NAMES = ["model", "setting", "matrix", "readout", "first", "second"]
COUNTS = ["n", *CELLS, "control_n", *(f"control_{cell}" for cell in CELLS)]
COLUMNS = [*NAMES, *COUNTS, "kappa", "kappa_low", "kappa_high"]


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the table of agreement of the sweep."""
    data = agreement_data(pd.read_parquet(inputs["agreement"]))
    for subject in subjects:
        rows = data[data["setting"] == subject["setting"]]
        yield rows, draw_agreement(rows, setting=subject["setting"], labellers=options["labellers"])


def agreement_data(table: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: the rows of the table of agreement that compare two labellers, columns COLUMNS."""
    compared = table["second"].notna() & (as_text(table["first"]) != as_text(table["second"]))
    rows = table[compared].reset_index(drop=True)
    return pd.DataFrame({name: as_text(rows[name]) if name in NAMES else rows[name] for name in COLUMNS})


def draw_agreement(data: pd.DataFrame, *, setting: str, labellers: Sequence[str]) -> Figure:
    """The rows of agreement_data of one setting: Cohen's kappa, who calls what interpretable, and what share each calls
    so, beside the share of the random directions on which both decided.

    `labellers` are those of the sweep, to say why there may be nothing to compare.
    """
    drawn = data[data["n"] > 0].reset_index(drop=True)
    several_pairs = len(drawn[["first", "second"]].drop_duplicates()) > 1
    several_readouts = len(drawn.drop_duplicates(["model", "readout"])) > drawn["model"].nunique()
    names = [
        f"{model}, {matrix_name(matrix)}"
        + (f", {readout}" if several_readouts else "")
        + (f"\n{first}, {second}" if several_pairs else "")
        for model, matrix, readout, first, second in drawn[["model", "matrix", "readout", "first", "second"]].values
    ]
    y = np.arange(len(drawn))

    def kappas(axes: Axes) -> None:
        axes.axvline(0, color="0.4", lw=0.8)
        kappa, low, high = (drawn[name].to_numpy(float) for name in ("kappa", "kappa_low", "kappa_high"))
        for row, matrix in enumerate(drawn["matrix"]):
            if np.isnan(kappa[row]):
                axes.text(0, row, " not defined", va="center", fontsize=7, color="0.3")
                continue
            # No bar where there is no interval.
            bars = np.nan_to_num(np.maximum([[kappa[row] - low[row]], [high[row] - kappa[row]]], 0))
            axes.errorbar([kappa[row]], [row], xerr=bars, ls="", **matrix_style(matrix), ms=4.5, elinewidth=1.1)
        axes.set_xlim(min(-0.25, *drawn["kappa_low"].fillna(0)), 1)
        finish(axes)

    def cells(axes: Axes) -> None:
        left = np.zeros(len(drawn))
        for cell, colour in CELLS.items():
            share = (drawn[cell] / drawn["n"]).to_numpy(float)
            axes.barh(y, share, 0.7, left=left, color=colour, linewidth=0)
            left += share
        axes.set_xlim(0, 1)
        finish(axes)

    def shares(axes: Axes) -> None:
        for cell, shift in (("only_first", -0.17), ("only_second", 0.17)):
            for prefix, face in (("control_", "none"), ("", CELLS[cell])):
                n = drawn[f"{prefix}n"].to_numpy(float)
                called = (drawn[f"{prefix}both"] + drawn[f"{prefix}{cell}"]).to_numpy(float)
                # Of no directions there is no share.
                share = np.divide(called, n, out=np.full(len(n), np.nan), where=n > 0)
                axes.plot(share, y + shift, ls="", marker="o", ms=4.5, mfc=face, mec=CELLS[cell], clip_on=False)
        axes.set_xlim(0, 1)
        finish(axes)

    def finish(axes: Axes) -> None:
        axes.set_yticks(y, names)
        axes.set_ylim(len(drawn) - 0.5, -0.5)
        axes.grid(False, axis="y")

    first, second = ("the first", "the second") if several_pairs or drawn.empty else drawn.loc[0, ["first", "second"]]
    legend = {"both": "both", "only_first": f"only {first}", "only_second": f"only {second}", "neither": "neither"}
    readouts = " and ".join(readout_name(readout) for readout in dict.fromkeys(drawn["readout"]))
    handles: list[Artist] = [Patch(color=colour, label=legend[cell]) for cell, colour in CELLS.items()]
    if drawn["control_n"].sum():
        handles.append(Line2D([], [], ls="", marker="o", ms=4.5, mfc="none", mec="0.4", label="random directions"))
    reason = f"Nothing to compare: no two labellers have labelled the same lists in setting {setting}."
    if len(labellers) < 2:
        reason = f"Nothing to compare: the sweep has one labeller, {', '.join(labellers)}."
    return panel_figure(
        f"Agreement between labellers, setting {setting}",
        f"Lists that both decided on, read through {readouts}. Left: Cohen's kappa, 0 by chance and 1 if they always "
        "agree, with its 95 % bootstrap interval. Middle: shares of the lists by who calls them interpretable. Right: "
        f"what share {first} and {second} call so, in the colours of their own; hollow, of the random directions that "
        "both decided on."
        if len(drawn) else "",
        [("Cohen's kappa", kappas), ("interpretable for", cells), ("share of each", shares)] if len(drawn) else [],
        columns=3,
        height=0.8 + (0.36 if several_pairs else 0.26) * len(drawn),
        handles=handles,
        nothing=reason,
    )  # fmt: skip
