"""The figure read_write: the share of interpretable rows on the reading against the writing side of OV, by block."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.figures.fraction_rows import Swept, fraction_rows
from svdlens.figures.panels import (
    caption_of,
    control_handles,
    draw_control,
    draw_line,
    figure_of,
    labelled,
    model_names,
    nothing_labelled,
    unit_axis,
)
from svdlens.figures.style import COLOURS, SIDE_NAMES, whole_number_ticks

SIDES: dict[str, dict[str, Any]] = {
    "read": {"color": COLOURS[0], "marker": "o"},
    "write": {"color": COLOURS[3], "marker": "s"},
}


def read_write_data(frame: pd.DataFrame, *, swept: Swept, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting, side and layer: fraction_rows of OV by layer, both sides."""
    of_ov = [place for place in swept if place[2] == "ov"]
    return fraction_rows(frame, group="layer", sides=list(SIDES), swept=of_ov, **choice)


def draw_read_write(data: pd.DataFrame, *, setting: str, labeller: str, rule: str, controls: int) -> Figure:
    """The rows of read_write_data of one setting. `controls` is the number of random unit directions."""
    drawn = labelled(data)

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        last = float(rows["layer"].max())
        draw_control(axes, rows, -0.3, last + 0.3, "0.4")
        for side, style in SIDES.items():
            draw_line(axes, rows[rows["side"] == side], "layer", style)
        axes.set_xlim(-0.4, last + 0.4)
        unit_axis(axes)
        whole_number_ticks(axes.xaxis)

    reason = nothing_labelled(labeller) if len(data) else "Nothing to draw: no OV circuits in this sweep."
    return figure_of(
        f"Read and write side of OV by block, setting {setting}",
        caption_of(data, labeller=labeller, rule=rule, intervals="Bands", controls=controls),
        [(name, partial(panel, drawn[drawn["model"] == model])) for model, name in model_names(drawn).items()],
        handles=[
            *[Line2D([], [], **style, lw=1.6, ms=4.5, label=SIDE_NAMES[side]) for side, style in SIDES.items()],
            *control_handles(drawn),
        ],
        nothing=reason,
        xlabel="block",
        ylabel="fraction interpretable",
    )
