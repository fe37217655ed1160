"""The figure read_write: the share of interpretable rows on the reading against the writing side of OV, by layer."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.figures.fraction_rows import Swept, fraction_choice, fraction_rows, read_fractions
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import (
    ROTATED_LINE,
    control_handles,
    draw_control,
    draw_line,
    draw_rotated,
    fraction_caption,
    labelled,
    model_names,
    nothing_labelled,
    panel_figure,
    rotated_handles,
    rotated_sentence,
    shown_choice,
    unit_axis,
)
from svdlens.figures.style import COLOURS, SIDE_NAMES, whole_number_ticks

SIDES: dict[str, dict[str, Any]] = {
    "read": {"color": COLOURS[0], "marker": "o"},
    "write": {"color": COLOURS[3], "marker": "s"},
}


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the table of fractions of the sweep."""
    table = inputs["fractions"]
    data = read_write_data(read_fractions(table), **fraction_choice(table, options))
    for subject in subjects:
        rows = data[data["setting"] == subject["setting"]]
        yield rows, draw_read_write(rows, setting=subject["setting"], **shown_choice(options))


def read_write_data(frame: pd.DataFrame, *, swept: Swept, **choice: Any) -> pd.DataFrame:
    """The fractions drawn, one row per model, setting, side and layer: fraction_rows of OV by layer, both sides."""
    only_ov = [place for place in swept if place[2] == "ov"]
    return fraction_rows(frame, group="layer", sides=list(SIDES), swept=only_ov, rotated=True, **choice)


def draw_read_write(data: pd.DataFrame, *, setting: str, labeller: str, criterion: str, n_controls: int) -> Figure:
    """The rows of read_write_data of one setting. `n_controls` is the number of random unit directions."""
    drawn = labelled(data)

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        last = float(rows["layer"].max())
        draw_control(axes, rows, -0.3, last + 0.3, "0.4")
        for side, style in SIDES.items():
            draw_rotated(axes, rows[rows["side"] == side], "layer", style["color"])
            draw_line(axes, rows[rows["side"] == side], "layer", style)
        axes.set_xlim(-0.4, last + 0.4)
        unit_axis(axes)
        whole_number_ticks(axes.xaxis)

    reason = nothing_labelled(labeller) if len(data) else "Nothing to draw: no OV circuits in this sweep."
    return panel_figure(
        f"Read and write side of OV by layer, setting {setting}",
        fraction_caption(
            data,
            labeller=labeller,
            criterion=criterion,
            intervals="Bands",
            n_controls=n_controls,
            also=rotated_sentence(data, "Dotted"),
        ),
        [(name, partial(panel, drawn[drawn["model"] == model])) for model, name in model_names(drawn).items()],
        handles=[
            *[Line2D([], [], **style, lw=1.6, ms=4.5, label=SIDE_NAMES[side]) for side, style in SIDES.items()],
            *control_handles(drawn),
            *rotated_handles(drawn, ROTATED_LINE),
        ],
        nothing=reason,
        xlabel="layer",
        ylabel="fraction interpretable",
    )
