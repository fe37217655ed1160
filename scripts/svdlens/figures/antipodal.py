"""The figure antipodal: how often both signs of a direction are interpretable, one or none, against independence."""

from collections.abc import Set
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.figures.fraction_rows import PLACE, Swept, in_sweep
from svdlens.figures.label_rows import count_rows, shares_of
from svdlens.figures.panels import (
    CONTROL_BAND,
    GREY,
    caption_of,
    control_handles,
    draw_bars,
    figure_of,
    labelled,
    matrix_handles,
    matrix_style,
    model_names,
    nothing_labelled,
    unit_axis,
)
from svdlens.figures.style import ordered_matrices

OUTCOMES = ("both", "one", "none")
KEYS = [*PLACE, "readout", "partly_labelled"]
DIRECTION = ["side", "layer", "head", "index"]


def antipodal_data(
    labels: pd.DataFrame, controls: pd.DataFrame, *, swept: Swept, rule: str, labeller_networks: Set[str] = frozenset()
) -> pd.DataFrame:
    """The shares drawn: one row per model, setting, matrix and outcome (OUTCOMES).

    `labels` and `controls` (random_unit) are of one labeller. Columns: model, labeller_network, setting, matrix,
    readout, partly_labelled, outcome, n (directions of which both signs have a label), k, fraction, low, high (Wilson
    95 %), expected (the share if the signs of a direction were independent within each block and side),
    control_fraction, control_low, control_high (of random directions).
    """
    directions = both_signs(labels, rule)
    table = shares_of(directions, KEYS, "outcome", OUTCOMES)
    table["expected"] = expected_shares(directions, table)
    control = shares_of(both_signs(controls[controls["control"] == "random_unit"], rule), PLACE, "outcome", OUTCOMES)
    names = {"fraction": "control_fraction", "low": "control_low", "high": "control_high"}
    of_controls = control[[*PLACE, "outcome", *names]].rename(columns=names)
    return in_sweep(table.merge(of_controls, on=[*PLACE, "outcome"], how="left"), swept, labeller_networks)


def both_signs(labels: pd.DataFrame, rule: str) -> pd.DataFrame:
    """A row for each direction of which both signs count: found_plus, found_minus and the outcome."""
    if labels.empty:
        return pd.DataFrame(columns=[*KEYS, *DIRECTION, "found_plus", "found_minus", "outcome"])
    rows = count_rows(labels, rule)
    keys = [*KEYS, *DIRECTION]
    # merge takes empty cells of a key (the head of an MLP) for equal.
    plus, minus = (rows.loc[rows["sign"] == sign, [*keys, "found"]] for sign in (1, -1))
    pairs = plus.merge(minus, on=keys, suffixes=("_plus", "_minus"))
    found = pairs["found_plus"].astype(int) + pairs["found_minus"].astype(int)
    return pairs.assign(outcome=np.array(OUTCOMES[::-1])[found.to_numpy(int)])


def expected_shares(directions: pd.DataFrame, table: pd.DataFrame) -> list[float]:
    """For each row of `table` the share that independent signs would give.

    Of each block and side by itself: that some blocks are more interpretable than others would pass for dependence.
    """
    if directions.empty:
        return []
    groups = directions.groupby([*PLACE, "side", "layer"], dropna=False)[["found_plus", "found_minus"]]
    shares, n = groups.mean(), groups.size()
    plus, minus = shares["found_plus"], shares["found_minus"]
    counts = pd.DataFrame({"both": n * plus * minus, "none": n * (1 - plus) * (1 - minus)})
    counts["one"] = n - counts["both"] - counts["none"]
    of_place = counts.groupby(level=PLACE).sum().div(n.groupby(level=PLACE).sum(), axis=0)
    keys = zip(*(table[name] for name in PLACE), strict=True)
    return [float(of_place[outcome][place]) for place, outcome in zip(keys, table["outcome"], strict=True)]


def draw_antipodal(data: pd.DataFrame, *, setting: str, labeller: str, rule: str, controls: int) -> Figure:
    """The rows of antipodal_data of one setting. `controls` is the number of random unit directions."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])
    share = 0.8 / max(1, len(matrices))

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        for number, matrix in enumerate(matrices):
            points = rows[rows["matrix"] == matrix]
            if points.empty:
                continue
            places = np.array([OUTCOMES.index(outcome) for outcome in points["outcome"]], float)
            places += share * (number - (len(matrices) - 1) / 2)
            height = (points["control_high"] - points["control_low"]).to_numpy(float)
            axes.bar(places, height, width=share * 0.9, bottom=points["control_low"].to_numpy(float), **CONTROL_BAND)
            left = places - share * 0.45
            axes.hlines(points["control_fraction"].to_numpy(float), left, left + share * 0.9, color=GREY, lw=0.9)
            axes.hlines(points["expected"].to_numpy(float), left, left + share * 0.9, color="black", lw=1.4)
            draw_bars(axes, places, points, matrix_style(matrix))
        axes.set_xticks(range(len(OUTCOMES)), OUTCOMES)
        axes.set_xlim(-0.5, len(OUTCOMES) - 0.5)
        axes.grid(False, axis="x")
        unit_axis(axes)

    reason = nothing_labelled(labeller)
    if data["n"].sum() == 0:
        reason = f"Nothing to draw: the labeller {labeller} labelled no direction in both signs."
    independent: list[Artist] = [Line2D([], [], color="black", lw=1.4, label="if signs were independent")]
    return figure_of(
        f"Both signs of a direction, setting {setting}",
        caption_of(
            data, labeller=labeller, rule=rule, intervals="Shares of directions. Bars", controls=controls,
            also="Independence is within each block and side.",
        ),
        [
            (name, partial(panel, drawn[drawn["model"] == model]))
            for model, name in model_names(drawn).items()
        ],
        height=2.1,
        handles=[*matrix_handles(drawn), *independent, *control_handles(drawn)],
        nothing=reason,
        xlabel="interpretable signs",
        ylabel="share of directions",
    )  # fmt: skip
