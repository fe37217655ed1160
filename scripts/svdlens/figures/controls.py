"""The figure controls: singular directions beside directions that are none, rotated, gaussian and random."""

from collections.abc import Set
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.figures.fraction_rows import PLACE, Swept, in_sweep, with_shares
from svdlens.figures.label_rows import count_rows, of_labelled
from svdlens.figures.panels import (
    CONTROL_BAND,
    caption_of,
    draw_bars,
    figure_of,
    labelled,
    model_names,
    nothing_labelled,
    unit_axis,
)
from svdlens.figures.style import COLOURS, matrix_name, ordered_matrices

SOURCES: dict[str, dict[str, Any]] = {
    "singular": {"color": COLOURS[0], "marker": "o", "label": "singular"},
    "rotated": {"color": COLOURS[3], "marker": "s", "label": "rotated"},
    "gaussian": {"color": "0.2", "marker": "^", "label": "Gaussian matrices"},
    "random_unit": {"color": "0.2", "marker": "v", "label": "random unit"},
}


def controls_data(
    labels: pd.DataFrame, controls: pd.DataFrame, *, swept: Swept, rule: str, labeller_networks: Set[str] = frozenset()
) -> pd.DataFrame:
    """The fractions drawn: one row per model, setting, matrix and source (SOURCES).

    `labels` and `controls` are of one labeller. Columns: model, labeller_network, setting, matrix, readout,
    partly_labelled, source (singular, or the name of the control), n (rows), k (interpretable rows), fraction, low,
    high (Wilson 95 %).
    """
    counted = count_rows(labels, rule)
    if counted.empty:
        columns = [*PLACE, "readout", "partly_labelled", "source", "n", "k"]
        return in_sweep(pd.DataFrame(columns=columns), swept, labeller_networks)
    pieces = [counted.assign(source="singular")]
    if len(controls):
        beside = count_rows(controls, rule)
        pieces.append(of_labelled(beside.assign(source=beside["control"].astype(str)), counted))
    rows = pd.concat(pieces, ignore_index=True)
    groups = rows.groupby([*PLACE, "readout", "partly_labelled", "source"], sort=False)["found"]
    return in_sweep(with_shares(groups.agg(n="size", k="sum").reset_index()), swept, labeller_networks)


def draw_controls(data: pd.DataFrame, *, setting: str, labeller: str, rule: str, controls: int) -> Figure:
    """The rows of controls_data of one setting. `controls` is the number of directions of each control."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])
    present = [source for source in SOURCES if (drawn["source"] == source).any()]

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        for place, source in enumerate(present):
            points = rows[rows["source"] == source]
            centres = np.array([matrices.index(matrix) for matrix in points["matrix"]], float)
            if source == "random_unit":
                axes.bar(
                    centres,
                    points["high"] - points["low"],
                    width=0.9,
                    bottom=points["low"].to_numpy(float),
                    **CONTROL_BAND,
                )
            style = {name: value for name, value in SOURCES[source].items() if name != "label"}
            draw_bars(axes, centres + 0.2 * (place - (len(present) - 1) / 2), points, style)
        axes.set_xticks(range(len(matrices)), [matrix_name(matrix).replace("attention ", "") for matrix in matrices])
        axes.set_xlim(-0.5, len(matrices) - 0.5)
        axes.grid(False, axis="x")
        unit_axis(axes)

    of_controls = (
        f"Each control has {controls:,} directions, both signs: rotated within the subspace of each matrix, singular "
        "directions of Gaussian matrices, and random unit directions, whose interval is grey."
    )
    return figure_of(
        f"Singular directions and controls, setting {setting}",
        caption_of(
            data, labeller=labeller, rule=rule, intervals="Bars",
            also=of_controls if len(present) > 1 else "This labeller has labelled no controls.",
        ),
        [
            (name, partial(panel, drawn[drawn["model"] == model]))
            for model, name in model_names(drawn).items()
        ],
        height=2.1,
        handles=[Line2D([], [], **{"ls": "", "ms": 4.5, **SOURCES[source]}) for source in present],
        nothing=nothing_labelled(labeller),
        ylabel="fraction interpretable",
    )  # fmt: skip
