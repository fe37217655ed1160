"""The figure frequency_directions: how often the first direction of a matrix lists frequent, rare or glitch tokens."""

from collections.abc import Set
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from svdlens.figures.fraction_rows import PLACE, Swept, in_sweep, of_layers, with_shares
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.label_rows import count_rows, count_shares, read_setting
from svdlens.figures.panels import (
    KIND_COLOURS,
    control_handles,
    draw_control,
    fraction_caption,
    labelled,
    model_names,
    nothing_labelled,
    panel_figure,
    shown_choice,
    unit_axis,
    why_not_labelled,
)
from svdlens.figures.style import COLOURS, matrix_name, ordered_matrices, whole_number_ticks
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.spec.controls import RANDOM_UNIT

SORTS = {"frequent": COLOURS[1], "rare": COLOURS[4], "glitch": KIND_COLOURS["glitch"]}
KEYS = [*PLACE, "readout", "partly_labelled"]
ONE_DIRECTION = (
    "Where a layer has a single first direction, as an MLP has, half a bar is one of its two signs, and there is no "
    "interval: the signs are not independent."
)


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the labels of the sweep and of its controls."""
    for subject in subjects:
        data = frequency_directions_data(**read_setting(inputs, subject["setting"], options))
        yield data, draw_frequency_directions(data, setting=subject["setting"], **shown_choice(options))


def frequency_directions_data(
    labels: pd.DataFrame,
    controls: pd.DataFrame,
    *,
    swept: Swept,
    criterion: str,
    labeller_networks: Set[str] = frozenset(),
) -> pd.DataFrame:
    """The shares drawn: one row per model, setting, matrix and layer, for index 0 and for all other directions.

    `labels` and `controls` (random_unit) are of one labeller. Columns: model, labeller_network, setting, matrix,
    readout, partly_labelled, directions (`index 0` or `others`), layer, n (rows), k (lists of the kinds frequency and
    glitch), fraction, low, high (95 % over matrices; empty where all rows are signs of one direction), frequent, rare,
    glitch (what these are, as shares of n; a list of the kind frequency is rare where its mean log rank is above the
    median of the model), control_fraction, control_low, control_high (lists of these kinds among random directions).
    """
    swept = of_layers(swept)
    if labels.empty:
        return in_sweep(pd.DataFrame(columns=[*KEYS, "directions", "layer", "n", "k"]), swept, labeller_networks)
    rows = sorted_rows(count_rows(labels, criterion))
    rows["directions"] = np.where(rows["index"] == 0, "index 0", "others")
    by = [*KEYS, "directions", "layer"]
    table = count_shares(rows, by, "special", [True]).drop(columns="special")
    table = table.merge(rows.groupby(by)[list(SORTS)].mean().reset_index(), on=by)
    table["layer"] = table["layer"].astype("Int64")
    # The two signs of one direction are not independent: if one is of frequent tokens, the other is often of rare ones.
    different = (
        rows.drop_duplicates([*by, "head", "index", "side"]).groupby(by).size().rename("different").reset_index()
    )
    alone = table.merge(different, on=by, how="left")["different"].to_numpy() == 1
    table.loc[alone, ["low", "high"]] = np.nan
    random_unit = controls[controls["control"] == RANDOM_UNIT]
    beside = count_rows(random_unit, criterion) if len(random_unit) else random_unit.assign(shown_kind=[])
    special = beside.assign(special=beside["shown_kind"].isin(NOT_INTERPRETABLE)).groupby(PLACE, observed=True)
    control_table = with_shares(special["special"].agg(n="size", k="sum").reset_index())
    names = {"fraction": "control_fraction", "low": "control_low", "high": "control_high"}
    table = table.merge(control_table[[*PLACE, *names]].rename(columns=names), on=PLACE, how="left")
    return in_sweep(table, swept, labeller_networks)


def sorted_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with what lists of the kinds frequency and glitch are: special, and which of SORTS."""
    rank = rows["mean_log_rank"].astype(float)
    is_frequency = rows["kind"] == "frequency"
    rare = is_frequency & (rank > rank.groupby(rows["model"]).transform("median"))
    return rows.assign(
        special=rows["kind"].isin(NOT_INTERPRETABLE),
        frequent=is_frequency & ~rare,
        rare=rare,
        glitch=rows["kind"] == "glitch",
    )


def draw_frequency_directions(
    data: pd.DataFrame, *, setting: str, labeller: str, criterion: str, n_controls: int
) -> Figure:
    """The rows of frequency_directions_data of one setting: models down, matrices across."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])

    def panel(rows: pd.DataFrame, why_empty: str, axes: Axes) -> None:
        unit_axis(axes)
        first, others = (rows[rows["directions"] == name] for name in ("index 0", "others"))
        if rows.empty:
            axes.text(0.5, 0.5, why_empty, ha="center", va="center", transform=axes.transAxes, color="0.3")
            axes.set_xticks([])
            return
        axes.grid(False, axis="x")
        last = float(rows["layer"].max())
        draw_control(axes, rows, -0.5, last + 0.5, "0.4")
        positions, bottom = first["layer"].to_numpy(float), np.zeros(len(first))
        for name, colour in SORTS.items():
            height = first[name].to_numpy(float)
            axes.bar(positions, height, width=0.8, bottom=bottom, color=colour, linewidth=0)
            bottom += height
        bars = [first["fraction"] - first["low"], first["high"] - first["fraction"]]
        ends = [bar.clip(lower=0) for bar in bars]
        axes.errorbar(positions, first["fraction"], yerr=ends, ls="", color="0.1", elinewidth=0.8)
        left = others["layer"].to_numpy(float) - 0.4
        axes.hlines(others["fraction"], left, left + 0.8, color="black", lw=1.6)
        axes.set_xlim(-0.6, last + 0.6)
        whole_number_ticks(axes.xaxis, 6)

    handles: list[Artist] = [
        Patch(color=SORTS["frequent"], label="most frequent tokens"),
        Patch(color=SORTS["rare"], label="rarest tokens"),
        Patch(color=SORTS["glitch"], label="glitch tokens"),
        Line2D([], [], color="black", lw=1.6, label="all three, other indices"),
    ]
    several = len(matrices) > 1
    return panel_figure(
        f"First directions that list frequent or rare tokens, setting {setting}",
        fraction_caption(
            data, labeller=labeller, criterion=criterion, intervals="Coloured: rows of index 0. Bars",
            n_controls=n_controls, also=ONE_DIRECTION if len(drawn) and drawn["low"].isna().any() else "",
        ),
        [
            (
                f"{name}: {matrix_name(matrix)}" if len(name) < 20 or not several else f"{name}\n{matrix_name(matrix)}",
                partial(
                    panel,
                    drawn[(drawn["model"] == model) & (drawn["matrix"] == matrix)],
                    why_not_labelled(data, model, matrix),
                ),
            )
            for model, name in model_names(drawn).items()
            for matrix in matrices
        ],
        columns=max(1, min(3, len(matrices))),
        height=1.55,
        handles=[*handles, *control_handles(drawn)],
        nothing=nothing_labelled(labeller),
        xlabel="layer",
        ylabel="share of rows",
    )  # fmt: skip
