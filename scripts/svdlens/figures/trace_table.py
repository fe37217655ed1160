"""The figure trace_table: the directions that a query lies along, the nearest first, with their tokens and labels."""

from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.style import frame_figure, look
from svdlens.figures.token_table import DARK_SHADE, FONTS, SPACE_MARK, shown_character, shown_token
from svdlens.figures.trace_rows import direction_name, null_sentence, query_sentence, read_query

ROWS = 20
COLUMNS = ["model", "setting", "query", "rank", "round", "matrix", "layer", "head", "index", "side", "sign", "cosine"]
COLUMNS += ["standard_score", "q_value", "found", "label", "tokens"]

FONT_SIZE = 7
WIDTH, ROW_HEIGHT, MARGIN = 7.0, 0.15, 0.1  # inches
CHARACTER = 0.602 * FONT_SIZE / 72  # inches: DejaVu Sans Mono
# The columns, their heads, and where they begin, in characters.
RANK, DIRECTION, COSINE, SCORE, Q_VALUE, LABEL, TOKENS = range(7)
HEADS = ["", "direction", "cosine", "score", "q", "label", "tokens"]
STARTS = [0, 3, 28, 35, 41, 48, 69]
TOKENS_UNTIL = int((WIDTH - 2 * MARGIN) / CHARACTER) - STARTS[TOKENS]
DARKEST = 0.6  # cosine


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each query of each model and setting, of the tables of their traces."""
    for path, subject in zip(inputs["directions"], subjects, strict=True):
        rows, facts = read_query(path, subject["query"])
        data = trace_table_data(rows, model=subject["model"], setting=subject["setting"])
        caption = f"{query_sentence(subject['query'], facts)} {null_sentence(options['level'], options['n_random'])}"
        yield data, draw_trace_table(data, caption, rounds=len(facts["rounds"][subject["query"]]))


def trace_table_data(rows: pd.DataFrame, *, model: str, setting: str) -> pd.DataFrame:
    """COLUMNS of the first ROWS rows of one query in a table of a trace; the tokens of a row as one text each."""
    first = rows.sort_values("rank", kind="stable").head(ROWS)
    data = first.assign(model=model, setting=setting, head=first["head"].astype("Int32"))[COLUMNS]
    return data.reset_index(drop=True)


def draw_trace_table(data: pd.DataFrame, caption: str, *, rounds: int) -> Figure:
    """The rows of trace_table_data, one below the other; `rounds`: how many the query had."""
    first = data.iloc[0]
    title = f"{first['model']}, setting {first['setting']}: directions nearest to {first['query']}"
    several = " Of later rounds, which extend the query by what was found, the number is before the label." * (
        rounds > 1
    )
    legend = (
        f"{caption}{several} Shade: the cosine, up to {DARKEST:g}. Grey: not found. Tokens: the best ones of the "
        f"direction at this sign, {SPACE_MARK} is a space; the csv has all of them."
    )
    with look():
        height = ROW_HEIGHT * (len(data) + 1)
        figure = Figure(figsize=(WIDTH, height))
        below = frame_figure(figure, title, legend)
        axes = figure.add_axes((0, below / figure.get_figheight(), 1, height / figure.get_figheight()))
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        style: dict[str, Any] = {"fontfamily": FONTS, "fontsize": FONT_SIZE, "va": "center_baseline"}
        for start, head in zip(STARTS, HEADS, strict=True):
            axes.text(MARGIN + CHARACTER * start, ROW_HEIGHT / 2, head, **style)
        for number, row in enumerate(data.to_dict("records"), start=1):
            top, at = number * ROW_HEIGHT, (number + 0.5) * ROW_HEIGHT
            shade = min(1.0, row["cosine"] / DARKEST)
            left, right = (MARGIN + CHARACTER * (STARTS[column] - 0.5) for column in (COSINE, SCORE))
            axes.fill_between(
                [left, right - 0.03], top + 0.01, top + ROW_HEIGHT - 0.01, color=colormaps["Blues"](shade), lw=0
            )
            for column, text in enumerate(cells(row)):
                # On a shade grey could not be read.
                on_shade = "white" if shade > DARK_SHADE else "black"
                colour = on_shade if column == COSINE else "black" if row["found"] else "0.45"
                axes.text(MARGIN + CHARACTER * STARTS[column], at, text, color=colour, **style)
    return figure


def cells(row: dict[Any, Any]) -> list[str]:
    """The texts of a row, one for each of HEADS."""
    label = "" if pd.isna(row["label"]) else row["label"]
    label = f"({row['round']}) {label}" if row["round"] > 1 else label
    return [
        str(row["rank"]),
        direction_name(row),
        f"{row['cosine']:.3f}",
        f"{row['standard_score']:.1f}",
        f"{row['q_value']:.3f}" if row["q_value"] >= 0.001 else f"{row['q_value']:.0e}",
        shortened("".join(map(shown_character, label)).replace(SPACE_MARK, " "), STARTS[TOKENS] - STARTS[LABEL] - 2),
        tokens_in_line(row["tokens"]),
    ]


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters, with an ellipsis where it was longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def tokens_in_line(tokens: list[str], most: int = TOKENS_UNTIL) -> str:
    """As many of the first tokens as a line of so many characters has room for."""
    line = ""
    for token in tokens:
        longer = f"{line}  {shown_token(token)}" if line else shown_token(token)
        if len(longer) > most:
            break
        line = longer
    return line
