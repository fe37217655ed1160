"""The figure fraction_published: what Millidge & Black (2022) published, by layer and by the criteria P, V and B."""

from collections.abc import Iterable, Mapping
from functools import partial

import pandas as pd
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svdlens.evaluation.fractions import fractions_of
from svdlens.figures.fraction_rows import in_sweep
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import (
    draw_line,
    labelled,
    matrix_handles,
    matrix_style,
    name_matrices,
    panel_figure,
    unit_axis,
)
from svdlens.figures.selection import as_text, whole_numbers
from svdlens.figures.style import ordered_matrices, whole_number_ticks
from svdlens.labels.published.answers import LAYERS, MATRICES

CRITERIA = {"P": "P: labeller", "V": "V: verifier", "B": "B: both"}
SETTING = "post2022"
"""How the weights were prepared whose directions the answers are about."""
COLUMNS = ["model", "setting", "matrix", "criterion", "layer", "n", "k", "fraction", "low", "high"]


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """One figure, of the published labels of each of options["published"], (model, matrix)."""
    tables = zip(options["published"], inputs["labels"], strict=True)
    labels = {(model, matrix): pq.ParquetFile(path).read().to_pandas() for (model, matrix), path in tables}
    data = fraction_published_data(labels, LAYERS, MATRICES)
    yield data, draw_fraction_published(data)


def fraction_published_data(
    labels: Mapping[tuple[str, str], pd.DataFrame], models: Iterable[str], matrices: Iterable[str]
) -> pd.DataFrame:
    """The fractions drawn: one row per model, matrix, criterion (P, V, B) and layer.

    `labels` are the published labels by model and matrix; of what else there is in `models` and `matrices`, the table
    has a row with n = 0. Columns: model, labeller_network (never), setting, matrix, criterion, layer, n (directions
    with an answer), k (those that are interpretable by it), fraction, low, high (95 % over
    the rows of the layer's matrix).
    """
    pieces = []
    for (model, matrix), rows in labels.items():
        for criterion in CRITERIA:
            table = fractions_of(rows, None, criterion)
            chosen = (table["group"] == "layer") & (table["unit"] == "row") & (table["kind"] == "all")
            table = table[chosen & (table["side"] == "all")]
            pieces.append(table.assign(model=model, setting=SETTING, matrix=matrix)[COLUMNS])
    data = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=COLUMNS)
    data["criterion"], data["layer"] = as_text(data["criterion"]), whole_numbers(data["layer"])
    return in_sweep(data, [(model, SETTING, matrix) for model in models for matrix in matrices])


def draw_fraction_published(data: pd.DataFrame) -> Figure:
    """The rows of fraction_published_data: models down, rules across, a line for each matrix."""
    drawn = labelled(data)

    absent = data[data["n"] == 0]
    not_at_hand = f" Absent, no answers at hand: {name_matrices(absent, False)}." if len(absent) else ""

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        last = float(rows["layer"].max())
        for matrix in ordered_matrices(rows["matrix"]):
            draw_line(axes, rows[rows["matrix"] == matrix], "layer", matrix_style(matrix))
        axes.set_xlim(-0.4, last + 0.4)
        unit_axis(axes)
        whole_number_ticks(axes.xaxis)

    return panel_figure(
        "Published labels of Millidge & Black (2022), by layer",
        "Answers of GPT-3 about lists of 15 tokens of leading singular directions, one sign of each. P: the answer "
        "names a meaning; V: a second prompt says that an answer, whatever it is, is right; B: both. Bands: Wilson "
        "95 % intervals. No control was published." + not_at_hand,
        [
            (
                f"{model}, {name}",
                partial(panel, drawn[(drawn["model"] == model) & (drawn["criterion"] == criterion)]),
            )
            for model in dict.fromkeys(drawn["model"])
            for criterion, name in CRITERIA.items()
        ],
        columns=3,
        height=1.8,
        handles=matrix_handles(drawn),
        nothing="Nothing to draw: no published labels at hand.",
        xlabel="layer",
        ylabel="fraction interpretable",
    )
