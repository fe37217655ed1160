"""The figure controls: the directions of the sweep beside the controls."""

from collections.abc import Collection, Set
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.evaluation.fractions import FALSE_DISCOVERY_RATE
from svdlens.evaluation.intervals import difference_interval, paired_excess, shares_over_matrices
from svdlens.figures.fraction_rows import PLACE, Swept, in_sweep
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.label_rows import controls_of_labelled, count_rows, counts_of_matrices, read_setting
from svdlens.figures.panels import (
    CONTROL_BAND,
    draw_bars,
    draw_known,
    fraction_caption,
    labelled,
    model_names,
    nothing_labelled,
    panel_figure,
    shown_choice,
    unit_axis,
)
from svdlens.figures.style import COLOURS, ordered_matrices, tick_name
from svdlens.spec.controls import CONTROLS, RANDOM_UNIT, ROTATED, VARIMAX

SINGULAR = "singular"
STYLES: dict[str, dict[str, Any]] = {
    SINGULAR: {"color": COLOURS[0], "marker": "o"},
    "rotated": {"color": COLOURS[3], "marker": "s"},
    "varimax": {"color": COLOURS[2], "marker": "D"},
    "random_varimax": {"color": "0.2", "marker": "D"},
    "gaussian": {"color": "0.2", "marker": "^"},
    RANDOM_UNIT: {"color": "0.2", "marker": "v"},
}
"""By source, in the order in which they stand side by side; further controls follow in grey."""
OTHER_STYLE = {"color": "0.5", "marker": "d"}
BEYOND: dict[str, Any] = {"ls": "", "ms": 4, "mfc": "white", "mew": 0.9, "clip_on": False, "zorder": 4}
"""Over the style of a source: its share that is better than random directions."""


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the labels of the sweep and of its controls."""
    for subject in subjects:
        data = controls_data(**read_setting(inputs, subject["setting"], options))
        chosen = {name: options[name] for name in ("basis", "n_rotated")}
        yield data, draw_controls(data, setting=subject["setting"], **chosen, **shown_choice(options))


def controls_data(
    labels: pd.DataFrame,
    controls: pd.DataFrame,
    *,
    swept: Swept,
    criterion: str,
    labeller_networks: Set[str] = frozenset(),
) -> pd.DataFrame:
    """The fractions drawn: one row per model, setting, matrix and source.

    `labels` and `controls` are of one labeller. Columns: model, labeller_network, setting, matrix, readout,
    partly_labelled, source (singular, for the directions of the sweep, or the name of the control), n (rows), k
    (interpretable rows), n_matrices, design_effect, fraction, low, high (95 % over matrices, of a control without
    matrices over its rows); of controls excess, excess_low, excess_high (of singular directions over the control,
    paired by matrix where that has matrices); beyond_random (share of rows that are better than random directions at
    FALSE_DISCOVERY_RATE; empty where no row has a p-value of the direction null).
    """
    counted = count_rows(labels, criterion)
    if counted.empty:
        columns = [*PLACE, "readout", "partly_labelled", "source", "n", "k", "beyond_random"]
        return in_sweep(pd.DataFrame(columns=columns), swept, labeller_networks)
    pieces = [counted.assign(source=SINGULAR)]
    if len(controls):
        beside = count_rows(controls, criterion)
        pieces.append(controls_of_labelled(beside.assign(source=beside["control"].astype(str)), counted))
    rows = pd.concat(pieces, ignore_index=True)
    keys = [*PLACE, "readout", "partly_labelled", "source"]
    counts = counts_of_matrices(rows, keys, "counts")
    order = [SINGULAR, *CONTROLS]
    table = shares_over_matrices(counts, keys)
    table = table.sort_values("source", key=lambda source: source.map(order.index), kind="stable")
    q = rows["q_direction"].astype(float)
    beyond = rows.assign(beyond_random=(q < FALSE_DISCOVERY_RATE).astype(float).where(q.notna()))
    table = table.merge(beyond.groupby(keys)["beyond_random"].mean().reset_index(), on=keys)
    return in_sweep(with_excess(table, counts, PLACE), swept, labeller_networks)


def with_excess(table: pd.DataFrame, counts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """`table`, which has shares by `keys` and source, with the excess of singular directions over each control, from
    the `counts` of their matrices."""
    singular = counts[counts["source"] == SINGULAR]
    pieces = []
    for source, others in counts[counts["source"] != SINGULAR].groupby("source", sort=False):
        if CONTROLS[str(source)].of_matrices:
            excess = paired_excess(singular, others, keys)
        else:
            excess = independent_excess(shares_over_matrices(singular, keys), shares_over_matrices(others, keys), keys)
        pieces.append(excess.assign(source=source))
    columns = {"low": "excess_low", "high": "excess_high"}
    none = pd.DataFrame(columns=[*keys, "source", "excess", *columns.values()])
    excesses = pd.concat([piece.rename(columns=columns) for piece in pieces]) if pieces else none
    return table.merge(excesses, on=[*keys, "source"], how="left")


def independent_excess(shares: pd.DataFrame, others: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The excess of each share over that of the same `keys` in `others`, with low and high; both are independent."""
    both = shares.merge(others, on=keys, suffixes=("", "_other"))
    ends = ("fraction", "low", "high")
    low, high = difference_interval([both[end] for end in ends], [both[f"{end}_other"] for end in ends])
    return both[keys].assign(excess=both["fraction"] - both["fraction_other"], low=low, high=high)


def source_titles(basis: str) -> dict[str, str]:
    """What each source is called; singular are the directions of the sweep, of the `basis`."""
    own = SINGULAR if basis == "svd" else basis
    return {SINGULAR: own, **{name: control.title for name, control in CONTROLS.items()}}


def described_controls(sources: Collection[str], n_controls: int, n_rotated: int) -> str:
    """What the controls among `sources` are, and how many directions they have, for a caption."""
    sizes = {ROTATED: f"{n_rotated:,}", VARIMAX: "as many as there are of each matrix"}
    return "; ".join(
        f"{CONTROLS[source].title} ({CONTROLS[source].what}; {sizes.get(source, f'{n_controls:,}')})"
        for source in sources
        if source in CONTROLS
    )


def draw_controls(
    data: pd.DataFrame, *, setting: str, basis: str, labeller: str, criterion: str, n_controls: int, n_rotated: int
) -> Figure:
    """The rows of controls_data of one setting. `basis` is that of the directions of the sweep; `n_controls` and
    `n_rotated` are numbers of directions, as figure_options in files.py has them."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])
    sources = set(drawn["source"])
    present = [source for source in dict.fromkeys([*STYLES, *CONTROLS]) if source in sources]
    calibrated = bool(drawn["beyond_random"].notna().any())
    titles = source_titles(basis)

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        for number, source in enumerate(present):
            points = rows[rows["source"] == source]
            centres = np.array([matrices.index(matrix) for matrix in points["matrix"]], float)
            if source == RANDOM_UNIT:
                axes.bar(
                    centres,
                    points["high"] - points["low"],
                    width=0.9,
                    bottom=points["low"].to_numpy(float),
                    **CONTROL_BAND,
                )
            shift = 0.2 * (number - (len(present) - 1) / 2)
            style = STYLES.get(source, OTHER_STYLE)
            draw_bars(axes, centres + shift, points, style)
            draw_known(axes, centres + shift, points["beyond_random"].to_numpy(float), **{**style, **BEYOND})
        axes.set_xticks(range(len(matrices)), [tick_name(matrix) for matrix in matrices])
        axes.set_xlim(-0.5, len(matrices) - 0.5)
        axes.grid(False, axis="x")
        unit_axis(axes)

    each_control = (
        f"Controls, with how many directions: {described_controls(present, n_controls, n_rotated)}. Grey: the interval "
        f"of {CONTROLS[RANDOM_UNIT].title}. Hollow: the share better than random directions, at a false discovery rate "
        f"of {FALSE_DISCOVERY_RATE:g} among the directions of the sweep."
    )
    return panel_figure(
        f"{titles[SINGULAR].capitalize()} directions and controls, setting {setting}",
        fraction_caption(
            data, labeller=labeller, criterion=criterion, intervals="Bars",
            also=each_control if len(present) > 1 else "This labeller has labelled no controls.",
        ),
        [
            (name, partial(panel, drawn[drawn["model"] == model]))
            for model, name in model_names(drawn).items()
        ],
        height=2.1,
        handles=[
            *[Line2D([], [], ls="", ms=4.5, label=titles[name], **STYLES.get(name, OTHER_STYLE)) for name in present],
            *[Line2D([], [], color="0.2", marker="o", label="better than random", **BEYOND)][:calibrated],
        ],
        nothing=nothing_labelled(labeller),
        ylabel="fraction interpretable",
    )  # fmt: skip
