"""The figure fraction_by_block: the share of interpretable rows in every block, for the whole sweep."""

from collections.abc import Set
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.figures.selection import FRACTION_COLUMNS, as_text, select_fractions, whole_numbers
from svdlens.figures.style import (
    frame_figure,
    look,
    matrix_name,
    ordered_matrices,
    readout_name,
    setting_styles,
    whole_number_ticks,
)

PANEL_WIDTH, PANEL_HEIGHT = 3.0, 1.9  # inches
CONTROL_LINE: dict[str, Any] = {"ls": (0, (3, 2)), "clip_on": False}


def fraction_by_block_data(
    frame: pd.DataFrame, *, labeller_networks: Set[str], labeller: str | None = None, rule: str | None = None
) -> pd.DataFrame:
    """The fractions drawn: one row per model, setting, matrix and layer.

    `frame` is the table of fractions. Columns: model, labeller_network (whether the labeller embeds with this model,
    one of `labeller_networks`), setting, matrix, readout (the first of the model in the table), labeller, rule, layer,
    n (rows), k (interpretable rows), fraction, low, high (Wilson 95 %), control_fraction (random directions; empty
    where the labeller did not see them). `labeller` and `rule` may be None when the table holds only one. Models and
    settings keep the order of the table. Raises SvdlensError when nothing fits, naming what there is.
    """
    rows = select_fractions(frame, "fraction_by_block", group="layer", labeller=labeller, rule=rule)
    rows = rows.reset_index(drop=True)
    data = pd.DataFrame(
        {
            "model": as_text(rows["model"]),
            "labeller_network": as_text(rows["model"]).isin(labeller_networks),
            **{name: as_text(rows[name]) for name in ("setting", "matrix", "readout", "labeller", "rule")},
            "layer": whole_numbers(rows["layer"]),
            **{name: rows[name] for name in FRACTION_COLUMNS},
        }
    )
    assert not data.duplicated(["model", "setting", "matrix", "layer"]).any(), "two fractions for one layer"
    return data


def draw_fraction_by_block(data: pd.DataFrame, *, controls: int) -> Figure:
    """The rows of fraction_by_block_data: a column of panels per model, a row per matrix, a line per setting.

    `controls` is the number of random unit directions behind control_fraction, for the caption.
    """
    names = model_names(data)
    matrices = ordered_matrices(data["matrix"])
    settings = list(dict.fromkeys(data["setting"]))
    styles = setting_styles(settings)
    # Settings that leave a matrix alone give the same line: broad ones below narrow ones keep all of them visible.
    widths = np.linspace(min(1.4 + 0.45 * (len(settings) - 1), 3.2), 1.4, len(settings))
    with look():
        width = max(PANEL_WIDTH * len(names) + 0.4, 6.4)
        # Many lines need higher panels to be told apart.
        height = (PANEL_HEIGHT + 0.1 * min(len(settings), 10)) * len(matrices) + 0.4
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(len(matrices), len(names), squeeze=False, sharex="col", sharey=True)
        for row, matrix in enumerate(matrices):
            for column, model in enumerate(names):
                axes = grid[row, column]
                panel = data[(data["model"] == model) & (data["matrix"] == matrix)]
                for place, setting in enumerate(settings):
                    line = panel[panel["setting"] == setting].sort_values("layer")
                    if line.empty:
                        continue
                    blocks = line["layer"].to_numpy(int)
                    colour = styles[setting]["color"]
                    axes.fill_between(
                        blocks, line["low"], line["high"], color=colour, alpha=0.2 / len(settings) ** 0.5, linewidth=0
                    )
                    axes.plot(
                        blocks,
                        line["fraction"],
                        **styles[setting],
                        lw=widths[place],
                        ms=3 + widths[place] / 2,
                        clip_on=False,
                    )
                    axes.plot(blocks, line["control_fraction"], color=colour, lw=widths[place] * 0.6, **CONTROL_LINE)
                axes.set_ylim(0, 1)
                axes.margins(x=0.04)
                whole_number_ticks(axes.xaxis)
                if row == 0:
                    axes.set_title(names[model])
                if row == len(matrices) - 1:
                    axes.set_xlabel("block")
                if column == 0:
                    axes.set_ylabel(f"{matrix_name(matrix)}\nfraction interpretable")
        handles = [Line2D([], [], **styles[setting], lw=2, label=setting) for setting in settings]
        if has_controls(data):
            handles.append(Line2D([], [], color="0.4", lw=1.2, label="random directions", **CONTROL_LINE))
        caption = fraction_caption(data, "Bands", "dashed", controls)
        frame_figure(figure, "Fraction of interpretable rows by block", caption, handles)
    return figure


def model_names(data: pd.DataFrame) -> dict[str, str]:
    """Each model as the figures name it: an asterisk for the labeller's own network, and the read-out if not W_U."""
    names = {}
    for _, row in data.drop_duplicates("model").iterrows():
        mark = " *" if row["labeller_network"] else ""
        readout = "" if row["readout"] == "W_U" else f"\nread through {row['readout']}"
        names[row["model"]] = f"{row['model']}{mark}{readout}"
    return names


def fraction_caption(data: pd.DataFrame, interval_mark: str, control_mark: str, controls: int) -> str:
    """What a figure of fractions must say: read-out, labeller and rule, intervals, controls, dependence."""
    first = data.iloc[0]
    readouts = list(dict.fromkeys(data["readout"]))
    readout = readout_name(readouts[0] if len(readouts) == 1 else "W_U")
    elsewhere = " where nothing else is said" if len(readouts) > 1 else ""
    control = f" {control_mark.capitalize()}: {controls:,} random unit directions, read and labelled the same way."
    own = (
        " * The labeller embeds with this network itself, so these labels are no independent evidence; the lists of "
        "both nulls pass through the same embedding."
    )
    return (
        f"A row is one sign of one singular direction on one side, read through {readout}{elsewhere}; "
        f"labeller {first['labeller']}, rule {first['rule']}. {interval_mark}: Wilson 95 % intervals."
        f"{control if has_controls(data) else ''}{own if data['labeller_network'].any() else ''}"
    )


def has_controls(data: pd.DataFrame) -> bool:
    return bool(data["control_fraction"].notna().any())
