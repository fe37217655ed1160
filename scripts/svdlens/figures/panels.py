"""What the figures of fractions draw with: panels, lines with bands, controls in grey, what captions must say."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from svdlens.figures.interface import Options
from svdlens.figures.style import (
    COLOURS,
    frame_figure,
    look,
    matrix_name,
    ordered_matrices,
    readout_name,
)
from svdlens.labels.registry import LABELLERS
from svdlens.spec.matrix_kinds import MATRIX_KINDS

WIDTH = 6.5  # inches: the text of a page, so that no letter is made smaller in print
PANEL_HEIGHT, ONLY_ROW_HEIGHT = 1.9, 2.3
GREY = "0.55"
BAND: dict[str, Any] = {"alpha": 0.22, "linewidth": 0}
CONTROL_BAND: dict[str, Any] = {"color": GREY, "alpha": 0.3, "linewidth": 0}
CONTROL_LINE: dict[str, Any] = {"ls": (0, (3, 2)), "lw": 0.9, "clip_on": False}
CONTROL_BAR: dict[str, Any] = {"lw": 2.4, "solid_capstyle": "butt", "clip_on": False}
CONTROL_STEP = 0.022  # of the width of a panel, between the bars of its controls
ROTATED_LINE: dict[str, Any] = {"ls": (0, (1, 1.2)), "lw": 1.2, "clip_on": False}
CONTROL_MARK = "Dashed, with bars on the right"
"""What draw_controls draws, for a caption: in the colours of the lines that they stand beside."""
ROTATED_POINT: dict[str, Any] = {"ls": "", "marker": "s", "ms": 4, "mfc": "none", "mew": 0.8, "clip_on": False}
OWN_STYLES = {
    "ov": {"color": COLOURS[0], "marker": "o"},
    "qk": {"color": COLOURS[4], "marker": "v"},
    "mlp_in": {"color": COLOURS[1], "marker": "s"},
    "mlp_gate": {"color": COLOURS[5], "marker": "^"},
    "mlp_out": {"color": COLOURS[2], "marker": "D"},
}
SPARE_STYLES = [
    {"color": COLOURS[colour], "marker": marker}
    for colour, marker in ((3, "P"), (8, "X"), (6, "<"), (7, ">"), (9, "h"))
]
KIND_COLOURS = {
    "semantic": COLOURS[0],
    "grammatical": COLOURS[8],
    "orthographic": COLOURS[4],
    "other": COLOURS[5],
    "frequency": COLOURS[1],
    "glitch": COLOURS[3],
    "not interpretable": "0.85",
}


def panel_figure(
    title: str,
    caption: str,
    panels: Sequence[tuple[str, Callable[[Axes], None]]],
    *,
    columns: int | None = None,
    height: float | None = None,
    handles: Sequence[Artist] = (),
    nothing: str = "",
    share_x: bool | Literal["col"] = False,
    share_y: bool = True,
    xlabel: str | Sequence[str] = "",
    ylabel: str = "",
) -> Figure:
    """A figure of WIDTH with a grid of panels, each a title and what draws into its axes.

    `xlabel` is that of all columns of the grid or of each. Without panels the figure says `nothing` in their place, the
    reason why there is nothing to draw.
    """
    with look():
        columns = columns or panel_columns(len(panels))
        rows = max(1, math.ceil(len(panels) / columns))
        height = height or (PANEL_HEIGHT if rows > 1 else ONLY_ROW_HEIGHT)
        figure = Figure(figsize=(WIDTH, height * rows if panels else 0.5), layout="constrained")
        if panels:
            grid = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
            for position, axes in enumerate(grid.flat):
                if position >= len(panels):
                    axes.set_axis_off()
                    continue
                name, draw = panels[position]
                axes.set_title(name)
                draw(axes)
                below = position + columns
                # Ticks of a shared axis belong under the last panel of a column, wherever it ends.
                if below >= len(panels):
                    axes.set_xlabel(xlabel if isinstance(xlabel, str) else xlabel[position % columns])
                    axes.tick_params(labelbottom=True)
                if position % columns == 0 and ylabel:
                    axes.set_ylabel(ylabel)
        frame_figure(figure, title, caption, handles if panels else ())
        if not panels:
            figure.text(0.5, 0.55, nothing, ha="center", va="center", fontsize=10, color="0.3", wrap=True)
        return figure


def panel_columns(count: int) -> int:
    """Panels side by side: at most three, and four in two rows of two."""
    return 2 if count == 4 else max(1, min(3, count))


def draw_line(axes: Axes, rows: pd.DataFrame, x: str, style: dict[str, Any], *, gaps: str | None = "layer") -> None:
    """A line of fractions along the column `x` with a band of their intervals; points that stand alone get bars.

    Where the column `gaps` leaves out a whole number, the line is broken; None for a line without gaps.
    """
    rows = rows[rows[x].notna()].sort_values(x)
    along = np.zeros(len(rows)) if gaps is None else rows[gaps].to_numpy(float)
    breaks = np.flatnonzero(np.diff(along) > 1) + 1
    # Markers of long lines would hide it.
    size = 4.0 if len(rows) <= 16 else 2.4
    for unbroken in np.split(np.arange(len(rows)), breaks):
        piece = rows.iloc[unbroken]
        if len(piece) == 1:
            draw_bars(axes, piece[x].to_numpy(float), piece, style, ms=size)
        elif len(piece):
            at = piece[x].to_numpy(float)
            low, high = piece["low"].to_numpy(float), piece["high"].to_numpy(float)
            axes.fill_between(at, low, high, color=style["color"], **BAND)
            axes.plot(at, piece["fraction"].to_numpy(float), **style, lw=1.3, ms=size, clip_on=False)


def draw_bars(axes: Axes, positions: np.ndarray, rows: pd.DataFrame, style: dict[str, Any], **points: Any) -> None:
    """Fractions as points at `positions` along x, with bars for their intervals."""
    # A line of no points that is not clipped would reach to the corner of the figure.
    if rows.empty:
        return
    fraction = rows["fraction"].to_numpy(float)
    # At 0 and 1 rounding can leave the end of an interval a hair on the wrong side.
    bars = np.maximum([fraction - rows["low"].to_numpy(float), rows["high"].to_numpy(float) - fraction], 0)
    axes.errorbar(
        positions, fraction, yerr=bars, **{"ls": "", "ms": 4, "elinewidth": 1.1, "clip_on": False, **style, **points}
    )


def draw_control(axes: Axes, rows: pd.DataFrame, left: float, right: float, colour: Any) -> None:
    """The fraction of the controls from `left` to `right`: its interval in grey, itself dashed in `colour`.

    The controls belong to a matrix as a whole, so that all `rows` of one line have the same.
    """
    known = rows[rows["control_fraction"].notna()]
    if known.empty:
        return
    first = known.iloc[0]
    axes.fill_between([left, right], [first["control_low"]] * 2, [first["control_high"]] * 2, **CONTROL_BAND)
    axes.plot([left, right], [first["control_fraction"]] * 2, color=colour, **CONTROL_LINE)


def draw_controls(axes: Axes, lines: Sequence[tuple[pd.DataFrame, Any]], left: float, right: float) -> float:
    """The fractions of the controls of several lines, each its rows and its colour, dashed from `left` to `right`.

    Their intervals are bars beyond `right`, side by side: as bands across the panel they would lie upon each other.
    Returns where the last of them is.
    """
    step, at = CONTROL_STEP * (right - left), right
    known = [(rows[rows["control_fraction"].notna()], colour) for rows, colour in lines]
    for number, (rows, colour) in enumerate([(rows, colour) for rows, colour in known if len(rows)], start=1):
        first, at = rows.iloc[0], right + number * step
        axes.plot([left, at], [first["control_fraction"]] * 2, color=colour, **CONTROL_LINE)
        axes.plot([at, at], [first["control_low"], first["control_high"]], color=colour, **CONTROL_BAR)
    return at


SHORT = 0.2  # half the length of the line of a single point, in layers


def draw_rotated(axes: Axes, rows: pd.DataFrame, x: str, colour: Any) -> None:
    """The fractions of rotations of the same subspaces along the column `x`, dotted in `colour`."""
    known = rows[rows["rotated_fraction"].notna()].sort_values(x)
    places, fractions = known[x].to_numpy(float), known["rotated_fraction"].to_numpy(float)
    if len(known) == 1:  # a line through one point would not be seen
        places, fractions = np.concatenate([places - SHORT, places + SHORT]), np.repeat(fractions, 2)
    draw_known(axes, places, fractions, color=colour, **ROTATED_LINE)


def draw_known(axes: Axes, at: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """Those of the values that are there; without any, nothing: a line of no points that is not clipped would reach to
    the corner of the figure, and leave no room for its panels."""
    known = ~np.isnan(values)
    if known.any():
        axes.plot(at[known], values[known], **style)


def unit_axis(axes: Axes) -> None:
    """A y axis of shares, 0 to 1."""
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])


def model_names(data: pd.DataFrame) -> dict[str, str]:
    """Each model as the figures name it: an asterisk for the labeller's own network, and the read-out if not W_U."""
    names = {}
    for model, rows in data.groupby("model", sort=False):
        mark = " *" if rows["labeller_network"].any() else ""
        readouts = rows["readout"].dropna()
        readout = "" if readouts.empty or readouts.iloc[0] == "W_U" else f"\nread through {readouts.iloc[0]}"
        names[str(model)] = f"{model}{mark}{readout}"
    return names


def one_line(name: str) -> str:
    """A name of model_names for a legend."""
    return name.replace("\n", ", ")


def labelled(data: pd.DataFrame) -> pd.DataFrame:
    """The rows of which there is something to draw."""
    return data[data["n"] > 0]


def matrix_handles(data: pd.DataFrame) -> list[Artist]:
    """Each kind of matrix in the column `matrix` with its mark, for a legend."""
    return [
        Line2D([], [], **matrix_style(matrix), lw=1.6, ms=4.5, label=matrix_name(matrix))
        for matrix in ordered_matrices(data["matrix"])
    ]


def matrix_styles(matrices: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each of these kinds of matrices: those of OWN_STYLES, else spare ones in order."""
    others = [matrix for matrix in matrices if matrix not in OWN_STYLES]
    spare = {matrix: SPARE_STYLES[number % len(SPARE_STYLES)] for number, matrix in enumerate(others)}
    return {matrix: OWN_STYLES.get(matrix) or spare[matrix] for matrix in matrices}


def matrix_style(matrix: str) -> dict[str, Any]:
    """Colour and marker of a kind of matrix, the same in all figures."""
    return matrix_styles(MATRIX_KINDS)[matrix]


def control_handles(data: pd.DataFrame) -> list[Artist]:
    """The grey of random directions for a legend; nothing where the data have none."""
    if not has_controls(data):
        return []
    return [Patch(**(CONTROL_BAND | {"label": "random directions"}))]


def control_line_handles(data: pd.DataFrame) -> list[Artist]:
    """How draw_controls draws random directions, for a legend; nothing where the data have none."""
    if not has_controls(data):
        return []
    return [Line2D([], [], color="0.2", **CONTROL_LINE, label="random directions")]


def rotated_handles(data: pd.DataFrame, style: dict[str, Any]) -> list[Artist]:
    """How rotations of the same subspaces are drawn, for a legend; nothing where the data have none."""
    if data["rotated_fraction"].isna().all():
        return []
    return [Line2D([], [], color="0.2", **style, label="rotated")]


def rotated_sentence(data: pd.DataFrame, how: str) -> str:
    """What the marks for rotations are, for a caption; nothing where the data have none."""
    if data["rotated_fraction"].isna().all():
        return ""
    return f"{how}: random rotations of the same subspaces, read and labelled the same way."


def has_controls(data: pd.DataFrame) -> bool:
    """Whether any row has a fraction of controls."""
    return "control_fraction" in data and bool(data["control_fraction"].notna().any())


def shown_choice(options: Options) -> dict[str, Any]:
    """The options that captions name: labeller, criterion and n_controls."""
    return {name: options[name] for name in ("labeller", "criterion", "n_controls")}


def why_not_labelled(data: pd.DataFrame, model: str, matrix: str) -> str:
    """What a panel without rows says: a matrix without labels has a row with n = 0, one that is not swept has none."""
    swept = ((data["model"] == model) & (data["matrix"] == matrix)).any()
    return "not labelled" if swept else "not in the sweep"


def nothing_labelled(labeller: str) -> str:
    """What a figure says in place of panels where the labeller gave no label."""
    return f"Nothing to draw: the labeller {labeller} gave no label here."


def fraction_caption(
    data: pd.DataFrame,
    *,
    labeller: str,
    criterion: str,
    intervals: str,
    n_controls: int | None = None,
    also: str = "",
    through: str = "",
    control_mark: str = "Grey",
) -> str:
    """What a figure of fractions must say: read-out, labeller, criterion, intervals, controls, what has no labels.

    `intervals` names what the intervals are drawn as; `n_controls` is the number of random unit directions, and
    `control_mark` what these are drawn as. `through` says what rows are read through, where that is not the first
    read-out of each model.
    """
    drawn = labelled(data)
    if drawn.empty:
        return f"Labeller {labeller}, criterion {criterion}."
    readouts = list(dict.fromkeys(drawn["readout"]))
    if len(readouts) == 1:
        own_readout = readout_name(readouts[0])
    elif "W_U" in readouts:
        own_readout = f"{readout_name('W_U')} where nothing else is said"
    else:
        own_readout = "what is said with each model"
    beside = ""
    if n_controls is not None and has_controls(data):
        beside = (
            f" {control_mark}: {n_controls:,} random unit directions, read and labelled the same way, with the "
            "interval of their fraction."
        )
    own = (
        " * The labeller embeds with this network itself, so these labels are no independent evidence."
        if drawn["labeller_network"].any()
        else ""
    )
    through = through or own_readout
    return (
        f"A row is one sign of one direction on one side, read through {through}; labeller "
        f"{labeller}, criterion {criterion}. {intervals}: 95 % intervals over matrices, "
        f"of a single matrix over its rows.{beside}{' ' + also if also else ''}"
        f"{own}{missing(data, labeller)}"
    )


def missing(data: pd.DataFrame, labeller: str) -> str:
    """Which matrices of the data have no labels, or not for all of their lists, as sentences with a space before."""
    absent = data[data["n"] == 0]
    sampled = labeller in LABELLERS and LABELLERS[labeller].sampled
    partly = data[data["partly_labelled"] & (data["n"] > 0)] if "partly_labelled" in data else data[:0]
    several = data["setting"].nunique() > 1
    text = " Labelled is a sample of the lists of each matrix, and of those of random directions." if sampled else ""
    for rows, what in (
        (absent, "Not labelled"),
        (partly, "Lists with too few known tokens for a label, and null space, are left out in"),
    ):
        if len(rows) and not (sampled and rows is partly):
            text += f" {what}: {name_matrices(rows, several)}."
    return text


def name_matrices(rows: pd.DataFrame, several_settings: bool) -> str:
    """Models, each with the matrices concerned, and the setting where there are several."""
    keys = ["model", "setting"] if several_settings else ["model"]
    texts = []
    for key, matrices in rows.groupby(keys, sort=False)["matrix"]:
        names = ", ".join(matrix_name(matrix) for matrix in ordered_matrices(matrices))
        texts.append(f"{' in '.join(map(str, key))} ({names})")
    return "; ".join(texts)
