"""The figure readouts: what is interpretable, and of which kind, through each read-out of a model."""

from collections.abc import Sequence, Set
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from svdlens.evaluation.fractions import KINDS
from svdlens.figures.fraction_rows import (
    CONTROL_SHARES,
    NAMES,
    PLACE,
    Layers,
    Swept,
    fraction_choice,
    in_sweep,
    partly_labelled,
    with_shares,
)
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import (
    CONTROL_BAND,
    KIND_COLOURS,
    control_handles,
    fraction_caption,
    has_controls,
    labelled,
    nothing_labelled,
    panel_figure,
    shown_choice,
    unit_axis,
)
from svdlens.figures.selection import as_text
from svdlens.figures.style import matrix_name, ordered_matrices
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.readouts import READOUTS

SHOWN_KINDS = (*KINDS[1:], "other")
SHARES = ["fraction", "low", "high", *CONTROL_SHARES, "excess", "excess_low", "excess_high"]
WIDTH, CONTROL_WIDTH = 0.5, 0.3  # of the bars of a read-out; from one read-out to the next it is 1
GAP = 0.7  # more than that from one matrix to the next
CROWDED = 14  # bars beside which no text fits but upright
SMALL = 6.5  # points
ROOM, CROWDED_ROOM = 0.15, 0.3  # above 1, for the numbers: no interval reaches them there
HEIGHT, CROWDED_HEIGHT = 2.0, 2.8  # inches
NOTHING = "Nothing to draw: no model is labelled through several read-outs."


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the table of fractions of the sweep."""
    table = inputs["fractions"]
    data = readouts_data(read_kinds(table), **fraction_choice(table, options))
    for subject in subjects:
        rows = data[data["setting"] == subject["setting"]]
        yield rows, draw_readouts(rows, setting=subject["setting"], **shown_choice(options))


def read_kinds(path: Path) -> pd.DataFrame:
    """Of the table of fractions what readouts_data counts."""
    return pd.read_parquet(path, filters=[("unit", "==", "row"), ("group", "in", ["all", "layer"])])


def readouts_data(
    frame: pd.DataFrame,
    *,
    swept: Swept,
    labeller: str,
    criterion: str,
    layers: Layers = MappingProxyType({}),
    labeller_networks: Set[str] = frozenset(),
) -> pd.DataFrame:
    """The shares drawn: one row per model, setting, matrix, side, read-out and kind (SHOWN_KINDS).

    `frame` is the table of fractions. Models that are read through one read-out alone are left out. Columns: model,
    labeller_network, setting, matrix, side, readout, labeller, criterion, kind, n (rows), k (interpretable ones of this
    kind), share (k of n), partly_labelled, and of all kinds together fraction, low, high (95 % over matrices),
    control_fraction, control_low, control_high (of random unit directions; Wilson 95 %), excess, excess_low,
    excess_high (the first less the second; 95 %). A place of the sweep without any row has one with n = 0.
    """
    rows = frame[(frame["unit"] == "row") & (frame["labeller"] == labeller) & (frame["criterion"] == criterion)]
    rows = rows.assign(**{name: as_text(rows[name]) for name in (*NAMES, "kind")})
    rows = rows[rows.groupby("model")["readout"].transform("nunique") > 1]
    partly = partly_labelled(rows[(rows["kind"] == "all") & (rows["group"] == "layer")], layers)
    sides = zip(rows["side"], rows["matrix"], strict=True)
    rows = rows[
        (rows["group"] == "all") & np.array([side in MATRIX_KINDS[matrix].sides for side, matrix in sides], bool)
    ]
    whole = rows[rows["kind"] == "all"]
    controls = with_shares(pd.DataFrame({"n": whole["control_n"], "k": whole["control_k"]}))
    whole = whole.assign(control_low=controls["low"], control_high=controls["high"])
    data = whole[[*NAMES, "n", *SHARES]].merge(count_kinds(rows), on=NAMES)
    data["share"] = data["k"] / data["n"]
    data["partly_labelled"] = [place in partly for place in zip(*(data[name] for name in PLACE), strict=True)]
    several = set(data["model"])
    data = data[[*NAMES, "kind", "n", "k", "share", "partly_labelled", *SHARES]]
    return in_sweep(data, [place for place in swept if place[0] in several], labeller_networks)


def count_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """The interpretable rows `k` of each of SHOWN_KINDS, one row per kind and NAMES, from rows of the table of
    fractions of one group: what is of none of its kinds is `other`."""
    counts = rows.pivot_table(index=NAMES, columns="kind", values="k", aggfunc="sum", sort=False)
    # By some criteria there are no kinds.
    counts = counts.reindex(columns=list(KINDS)).fillna(0).astype(int)
    counts["other"] = counts["all"] - counts[list(KINDS[1:])].sum(axis=1)
    return counts[list(SHOWN_KINDS)].reset_index().melt(NAMES, var_name="kind", value_name="k")


def draw_readouts(data: pd.DataFrame, *, setting: str, labeller: str, criterion: str, n_controls: int) -> Figure:
    """The rows of readouts_data of one setting, a panel for each model."""
    drawn = labelled(data)
    kinds = [kind for kind in SHOWN_KINDS if drawn.loc[drawn["kind"] == kind, "k"].sum() > 0]
    stars = dict(zip(drawn["model"], drawn["labeller_network"], strict=True))
    crowded = any(is_crowded(rows) for _, rows in drawn.groupby("model", observed=True))
    return panel_figure(
        f"Interpretable through each read-out, setting {setting}",
        fraction_caption(
            data, labeller=labeller, criterion=criterion, intervals="Bars, around all kinds together",
            n_controls=n_controls, through="the read-out named below a bar",
            also="Numbers: how far the fraction is over theirs." if has_controls(drawn) else "",
        ),
        [
            (f"{model}{' *' if star else ''}", partial(draw_panel, drawn[drawn["model"] == model], kinds))
            for model, star in stars.items()
        ],
        columns=1,
        height=CROWDED_HEIGHT if crowded else HEIGHT,
        handles=[*(Patch(color=KIND_COLOURS[kind], label=kind) for kind in kinds), *control_handles(drawn)],
        nothing=nothing_labelled(labeller) if len(data) else NOTHING,
        ylabel="share of rows",
    )  # fmt: skip


def is_crowded(rows: pd.DataFrame) -> bool:
    """Whether the rows of a model have so many bars that text stands upright."""
    return len(rows.drop_duplicates(["matrix", "side", "readout"])) > CROWDED


def draw_panel(rows: pd.DataFrame, kinds: Sequence[str], axes: Axes) -> None:
    """The read-outs of one model side by side, matrix by matrix and side by side."""
    readouts = list(dict.fromkeys(rows["readout"]))
    groups = [
        (matrix, side)
        for matrix in ordered_matrices(rows["matrix"])
        for side in MATRIX_KINDS[matrix].sides
        if ((rows["matrix"] == matrix) & (rows["side"] == side)).any()
    ]
    step = len(readouts) + GAP
    crowded = is_crowded(rows)
    for one in rows.drop_duplicates(["matrix", "side", "readout"]).to_dict("records"):
        at = step * groups.index((one["matrix"], one["side"])) + readouts.index(one["readout"])
        left, right = at - CONTROL_WIDTH / 2, at + WIDTH / 2
        of_bar = rows[(rows["matrix"] == one["matrix"]) & (rows["side"] == one["side"])]
        shares, bottom = of_bar[of_bar["readout"] == one["readout"]].set_index("kind")["share"], 0.0
        for kind in kinds:
            axes.bar(left, shares[kind], width=WIDTH, bottom=bottom, color=KIND_COLOURS[kind], linewidth=0)
            bottom += shares[kind]
        draw_interval(axes, left, one["fraction"], one["low"], one["high"])
        if np.isnan(one["control_fraction"]):
            continue
        axes.bar(right, one["control_fraction"], width=CONTROL_WIDTH, **CONTROL_BAND)
        draw_interval(axes, right, one["control_fraction"], one["control_low"], one["control_high"])
        rotation = 90 if crowded else 0
        axes.text(at, 1.03, signed(one["excess"]), ha="center", va="bottom", fontsize=SMALL, rotation=rotation)
    unit_axis(axes)
    axes.set_ylim(0, 1 + (CROWDED_ROOM if crowded else ROOM))
    axes.grid(False, axis="x")
    starts = step * np.arange(len(groups))
    axes.set_xlim(-0.8, starts[-1] + len(readouts) - 0.2)
    # Below each bar its read-out, and below these the matrix.
    names = readouts if crowded else [break_name(readout) for readout in readouts]
    lines, longest = (1, max(map(len, names))) if crowded else (max(name.count("\n") for name in names) + 1, 1)
    ticks = (starts[:, None] + np.arange(len(readouts))).ravel()
    axes.set_xticks(ticks, names * len(groups), minor=True)
    axes.tick_params(axis="x", which="minor", labelsize=SMALL, labelrotation=90 if crowded else 0)
    axes.xaxis.remove_overlapping_locs = False  # the middle bar keeps its name
    axes.set_xticks(starts + (len(readouts) - 1) / 2, [group_name(*group) for group in groups])
    axes.tick_params(axis="x", which="major", length=0, pad=8 + (0.65 * longest if crowded else 1.3 * lines) * SMALL)


def signed(number: float) -> str:
    """Such as +.12, or .00 without a sign."""
    text = f"{round(number, 2) or 0:+.2f}".replace("0.", ".", 1).replace("-", "\u2212")
    return ".00" if text == "+.00" else text


def draw_interval(axes: Axes, at: float, share: float, low: float, high: float) -> None:
    """An interval around the end of a bar."""
    # At 0 and 1 rounding can leave its end a hair on the wrong side.
    ends = [[max(share - low, 0)], [max(high - share, 0)]]
    axes.errorbar([at], [share], yerr=ends, ls="", color="0.1", elinewidth=0.8)


def break_name(readout: str) -> str:
    """W_U_cosine in two lines, W_U and cosine."""
    weights, form = READOUTS[readout].weights, READOUTS[readout].form
    return f"{weights}\n{form}" if readout == f"{weights}_{form}" else readout


def group_name(matrix: str, side: str) -> str:
    """A matrix, and the side where it has two."""
    name = matrix_name(matrix).replace("attention ", "")
    return f"{name}, {side} side" if len(MATRIX_KINDS[matrix].sides) > 1 else name
