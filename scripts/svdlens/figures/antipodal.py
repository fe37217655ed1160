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
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.label_rows import count_rows, count_shares, read_setting
from svdlens.figures.panels import (
    CONTROL_BAND,
    GREY,
    control_handles,
    draw_bars,
    fraction_caption,
    labelled,
    matrix_handles,
    matrix_style,
    model_names,
    nothing_labelled,
    panel_figure,
    shown_choice,
    unit_axis,
)
from svdlens.figures.style import ordered_matrices
from svdlens.spec.controls import RANDOM_UNIT

OUTCOMES = ("both", "one", "none")
KEYS = [*PLACE, "readout", "partly_labelled"]
DIRECTION = ["side", "layer", "head", "index"]


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the labels of the sweep and of its controls."""
    for subject in subjects:
        data = antipodal_data(**read_setting(inputs, subject["setting"], options))
        yield data, draw_antipodal(data, setting=subject["setting"], **shown_choice(options))


def antipodal_data(
    labels: pd.DataFrame,
    controls: pd.DataFrame,
    *,
    swept: Swept,
    criterion: str,
    labeller_networks: Set[str] = frozenset(),
) -> pd.DataFrame:
    """The shares drawn: one row per model, setting, matrix and outcome (OUTCOMES).

    `labels` and `controls` (random_unit) are of one labeller. Columns: model, labeller_network, setting, matrix,
    readout, partly_labelled, outcome, n (directions of which both signs have a label), k, fraction, low, high (95 %
    over matrices), expected (the share if the signs of a direction were independent within each layer and side),
    control_fraction, control_low, control_high (of random directions).
    """
    directions = both_signs(labels, criterion)
    table = count_shares(directions, KEYS, "outcome", OUTCOMES)
    table["expected"] = expected_shares(directions, table)
    random_unit = both_signs(controls[controls["control"] == RANDOM_UNIT], criterion)
    beside = count_shares(random_unit, PLACE, "outcome", OUTCOMES)
    names = {"fraction": "control_fraction", "low": "control_low", "high": "control_high"}
    beside = beside[[*PLACE, "outcome", *names]].rename(columns=names)
    return in_sweep(table.merge(beside, on=[*PLACE, "outcome"], how="left"), swept, labeller_networks)


def both_signs(labels: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """A row for each direction of which both signs count: plus, minus (whether each is interpretable), outcome."""
    if labels.empty:
        return pd.DataFrame(columns=[*KEYS, *DIRECTION, "plus", "minus", "outcome"])
    rows = count_rows(labels, criterion)
    keys = [*KEYS, *DIRECTION]
    # merge takes empty cells of a key (the head of an MLP) for equal.
    plus, minus = (
        rows.loc[rows["sign"] == sign, [*keys, "counts"]].rename(columns={"counts": name})
        for sign, name in ((1, "plus"), (-1, "minus"))
    )
    pairs = plus.merge(minus, on=keys)
    n_interpretable = pairs["plus"].astype(int) + pairs["minus"].astype(int)
    return pairs.assign(outcome=np.array(OUTCOMES[::-1])[n_interpretable.to_numpy(int)])


def expected_shares(directions: pd.DataFrame, table: pd.DataFrame) -> list[float]:
    """For each row of `table` the share that independent signs would give.

    Of each layer and side by itself: that some layers are more interpretable than others would pass for dependence.
    """
    if directions.empty:
        return []
    groups = directions.groupby([*PLACE, "side", "layer"], dropna=False)[["plus", "minus"]]
    shares, n = groups.mean(), groups.size()
    plus, minus = shares["plus"], shares["minus"]
    counts = pd.DataFrame({"both": n * plus * minus, "none": n * (1 - plus) * (1 - minus)})
    counts["one"] = n - counts["both"] - counts["none"]
    expected = counts.groupby(level=PLACE).sum().div(n.groupby(level=PLACE).sum(), axis=0)
    keys = zip(*(table[name] for name in PLACE), strict=True)
    return [float(expected[outcome][place]) for place, outcome in zip(keys, table["outcome"], strict=True)]


def draw_antipodal(data: pd.DataFrame, *, setting: str, labeller: str, criterion: str, n_controls: int) -> Figure:
    """The rows of antipodal_data of one setting. `n_controls` is the number of random unit directions."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])
    share = 0.8 / max(1, len(matrices))

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        for number, matrix in enumerate(matrices):
            points = rows[rows["matrix"] == matrix]
            if points.empty:
                continue
            positions = np.array([OUTCOMES.index(outcome) for outcome in points["outcome"]], float)
            positions += share * (number - (len(matrices) - 1) / 2)
            height = (points["control_high"] - points["control_low"]).to_numpy(float)
            axes.bar(positions, height, width=share * 0.9, bottom=points["control_low"].to_numpy(float), **CONTROL_BAND)
            left = positions - share * 0.45
            axes.hlines(points["control_fraction"].to_numpy(float), left, left + share * 0.9, color=GREY, lw=0.9)
            axes.hlines(points["expected"].to_numpy(float), left, left + share * 0.9, color="black", lw=1.4)
            draw_bars(axes, positions, points, matrix_style(matrix))
        axes.set_xticks(range(len(OUTCOMES)), OUTCOMES)
        axes.set_xlim(-0.5, len(OUTCOMES) - 0.5)
        axes.grid(False, axis="x")
        unit_axis(axes)

    reason = nothing_labelled(labeller)
    if data["n"].sum() == 0:
        reason = f"Nothing to draw: the labeller {labeller} labelled no direction in both signs."
    independent: list[Artist] = [Line2D([], [], color="black", lw=1.4, label="if signs were independent")]
    return panel_figure(
        f"Both signs of a direction, setting {setting}",
        fraction_caption(
            data, labeller=labeller, criterion=criterion, intervals="Shares of directions. Bars", n_controls=n_controls,
            also="Independence is within each layer and side.",
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
