"""The figure fraction_published: what Millidge & Black (2022) published, by block and by the rules P, V and B."""

from collections.abc import Mapping
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svdlens.evaluation.fractions import fractions_of
from svdlens.figures.fraction_rows import in_sweep
from svdlens.figures.panels import draw_line, figure_of, labelled, matrix_handles, matrix_style, places, unit_axis
from svdlens.figures.selection import as_text, whole_numbers
from svdlens.figures.style import ordered_matrices, whole_number_ticks

RULES = {"P": "P: labeller", "V": "V: verifier", "B": "B: both"}
COLUMNS = ["model", "setting", "matrix", "rule", "layer", "n", "k", "fraction", "low", "high"]


def fraction_published_data(
    labels: Mapping[tuple[str, str], pd.DataFrame], models: list[str], matrices: list[str]
) -> pd.DataFrame:
    """The fractions drawn: one row per model, matrix, rule (P, V, B) and layer.

    `labels` are the published labels by model and matrix; of what else there is in `models` and `matrices`, the table
    has a row with n = 0. Columns: model, labeller_network (never), setting, matrix, rule, layer, n (directions with an
    answer), k (found interpretable by the rule), fraction, low, high (Wilson 95 %).
    """
    pieces = []
    for (model, matrix), rows in labels.items():
        for rule in RULES:
            table = fractions_of(rows, None, rule)
            ours = (table["group"] == "layer") & (table["unit"] == "row") & (table["kind"] == "all")
            table = table[ours & (table["side"] == "all")]
            pieces.append(table.assign(model=model, setting="post2022", matrix=matrix, rule=rule)[COLUMNS])
    data = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=COLUMNS)
    data["rule"], data["layer"] = as_text(data["rule"]), whole_numbers(data["layer"])
    return in_sweep(data, [(model, "post2022", matrix) for model in models for matrix in matrices])


def draw_fraction_published(data: pd.DataFrame) -> Figure:
    """The rows of fraction_published_data: models down, rules across, a line for each matrix."""
    drawn = labelled(data)

    absent = data[data["n"] == 0]
    not_at_hand = f" Absent, no answers at hand: {places(absent, False)}." if len(absent) else ""

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        last = float(rows["layer"].max())
        for matrix in ordered_matrices(rows["matrix"]):
            draw_line(axes, rows[rows["matrix"] == matrix], "layer", matrix_style(matrix))
        axes.set_xlim(-0.4, last + 0.4)
        unit_axis(axes)
        whole_number_ticks(axes.xaxis)

    return figure_of(
        "Published labels of Millidge & Black (2022), by block",
        "Answers of GPT-3 about lists of 15 tokens of leading singular directions, one sign of each. P: the answer "
        "names a meaning; V: a second prompt says that an answer, whatever it is, is right; B: both. Bands: Wilson "
        "95 % intervals. No control was published." + not_at_hand,
        [
            (
                f"{model}, {name}",
                partial(panel, drawn[(drawn["model"] == model) & (drawn["rule"] == rule)]),
            )
            for model in dict.fromkeys(drawn["model"])
            for rule, name in RULES.items()
        ],
        columns=3,
        height=1.8,
        handles=matrix_handles(drawn),
        nothing="Nothing to draw: no published labels at hand.",
        xlabel="block",
        ylabel="fraction interpretable",
    )
