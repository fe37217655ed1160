"""The figure of the prompt study: false positives, and labels that name an example's topic, under each condition."""

import pandas as pd
from matplotlib.figure import Figure

from svdlens.figures.style import COLOURS, frame_figure, look

SIZE = (6.5, 2.8)  # inches


def draw_prompt_study(table: pd.DataFrame) -> Figure:
    """Two panels over the conditions, of the rows of all controls together; bars are intervals."""
    data = table[table["control"].isna()].reset_index(drop=True)
    ticks = [
        "none" if row.n_examples == 0 else f"{row.n_examples}\n{row.n_positive} + {row.n_negative}"
        for row in data.itertuples()
    ]
    with look():
        figure = Figure(figsize=SIZE, layout="constrained")
        left, right = figure.subplots(1, 2, sharex=True)
        series = [
            (left, "labelled", "a label was given", COLOURS[0], "o", -0.08),
            (left, "interpretable", "and the verifier agrees", COLOURS[3], "s", 0.08),
            (right, "names_example", "", COLOURS[2], "D", 0.0),
        ]
        for axes, name, title, colour, marker, shift in series:
            value, low, high = (data[f"{name}{end}"] for end in ("", "_low", "_high"))
            axes.errorbar(
                data.index + shift, value, [value - low, high - value], label=title, color=colour, marker=marker,
                ms=4.5, ls="", elinewidth=1, capsize=2,
            )  # fmt: skip
        for axes, name in ((left, "share of lists"), (right, "share of labels")):
            axes.set_xticks(range(len(data)), ticks)
            axes.set_xlabel("examples (with a label + without)")
            axes.set_ylabel(name)
            axes.set_ylim(-0.03, 1.03)
        left.set_title("false positives")
        right.set_title("labels that name an example's topic")
        handles = left.get_legend_handles_labels()[0]
        first = data.iloc[0]
        title = f"{first['language_model']}: what examples in the prompt do"
        caption = (
            f"{first['n']} lists of random directions, asked about under each condition; bars are 95 % intervals "
            "(Wilson). Lists without an answer that could be read are left out. A label names a topic if it shares a "
            "word with the label of an example in the prompt; where there is none, of any example of the study."
        )
        frame_figure(figure, title, caption, handles)
    return figure
