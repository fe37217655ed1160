"""The figure cards: what OV directions read and write, those that copy most and those that copy least."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import panel_figure
from svdlens.figures.style import frame_figure, look
from svdlens.figures.token_table import DARK_SHADE, FONTS, SPACE_MARK, shown_character
from svdlens.figures.trace_table import CHARACTER, FONT_SIZE, MARGIN, ROW_HEIGHT, WIDTH, shortened, tokens_in_line

ROWS = 10
"""Cards of each block."""
MOST, LEAST = "copies most", "copies least"
NUMBERS = ["cosine", "overlap", "opposite_overlap"]
COLUMNS = ["model", "setting", "matrix", "block", "layer", "head", "index", "sign", *NUMBERS]
COLUMNS += ["read_label", "write_label", "read_tokens", "write_tokens"]
# Where the columns begin, in characters.
DIRECTION, COSINE, READ, ARROW, WRITE = 0, 15, 24, 68, 71
LINE = int((WIDTH - 2 * MARGIN) / CHARACTER)
CARD_HEIGHT = 2.25 * ROW_HEIGHT


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each model and setting."""
    for subject, path in zip(subjects, inputs["cards"], strict=True):
        # Without `partitioning` the directory names model=... and setting=... would become columns.
        table = pd.read_parquet(path, partitioning=None)
        able = readable_cards(table)
        data = cards_data(able).assign(**{name: subject[name] for name in ("model", "setting", "matrix")})[COLUMNS]
        directions = len(table.loc[table["cosine"].notna(), ["layer", "head", "index"]].drop_duplicates())
        yield data, draw_cards(data, subject, options["labeller"], of=(len(able), directions))


def readable_cards(cards: pd.DataFrame) -> pd.DataFrame:
    """The cards of which both lists are interpretable, of the two signs of a direction the one whose lower score is
    higher, by falling cosine."""
    both = cards["read_interpretable"].eq(True) & cards["write_interpretable"].eq(True) & cards["cosine"].notna()
    rows = cards[both.fillna(False)].astype({"read_label": object, "write_label": object})
    rows = rows.assign(lower=rows[["read_score", "write_score"]].min(axis=1))
    rows = rows.sort_values(["lower", "sign"], ascending=[False, False], kind="stable")
    rows = rows.drop_duplicates(["layer", "head", "index"])
    return rows.sort_values(["cosine", "layer", "head", "index"], ascending=[False, True, True, True], kind="stable")


def cards_data(able: pd.DataFrame) -> pd.DataFrame:
    """The first and the last ROWS of readable_cards, in blocks, the furthest first; of few cards each is in one."""
    first, last = min(ROWS, (len(able) + 1) // 2), min(ROWS, len(able) // 2)
    least = able.iloc[len(able) - last :][::-1]
    return pd.concat([able.head(first).assign(block=MOST), least.assign(block=LEAST)], ignore_index=True)


def draw_cards(data: pd.DataFrame, subject: Mapping[str, Any], labeller: str, *, of: tuple[int, int]) -> Figure:
    """The rows of cards_data, labels above tokens; `of`: the directions they are chosen from, and all of them."""
    title = f"{subject['model']}, {subject['setting']}: what OV directions read and write"
    if data.empty:
        return panel_figure(
            title, "", [], nothing=f"Nothing to draw: by {labeller} no direction has two interpretable lists."
        )
    caption = (
        "What a direction reads (left) it writes as what stands on the right: the first tokens of both lists of one "
        f"sign, under their labels by {labeller}; {SPACE_MARK} is a space. Of {of[1]:,} directions {of[0]:,} have two "
        "interpretable lists, of one sign at least; of these the ends are shown, by the cosine of the vector that is "
        "read with the one that is written, each at the sign of which the worse of both lists scores higher. Near 1 it "
        "writes what it reads, near 0 something else, below 0 the opposite. Shade: the cosine, blue above 0, red below."
    )
    blocks = [(name, data[data["block"] == name]) for name in (MOST, LEAST)]
    plane = sum(1.5 * ROW_HEIGHT + CARD_HEIGHT * len(rows) for _, rows in blocks if len(rows))
    with look():
        figure = Figure(figsize=(WIDTH, plane))
        below = frame_figure(figure, title, caption)
        axes = figure.add_axes((0, below / figure.get_figheight(), 1, plane / figure.get_figheight()))
        axes.set(xlim=(0, WIDTH), ylim=(plane, 0))
        axes.set_axis_off()

        def write(column: int, at: float, text: str, colour: str = "black", **more: Any) -> None:
            style = {"fontfamily": FONTS, "fontsize": FONT_SIZE, "va": "center_baseline", **more}
            axes.text(MARGIN + CHARACTER * column, at, text, color=colour, **style)

        top = 0.0
        for name, rows in blocks:
            if rows.empty:
                continue
            at = top + 0.75 * ROW_HEIGHT
            for column, head in ((DIRECTION, name), (COSINE, "cosine"), (READ, "reads"), (WRITE, "writes")):
                write(column, at, head, fontweight="bold")
            top += 1.5 * ROW_HEIGHT
            for row in rows.to_dict("records"):
                label_line, token_line = top + 0.5 * ROW_HEIGHT, top + 1.5 * ROW_HEIGHT
                shade = min(1.0, abs(row["cosine"]))
                left, right = (MARGIN + CHARACTER * (COSINE + offset) for offset in (-0.5, 6.5))
                colour = colormaps["Blues" if row["cosine"] > 0 else "Reds"](shade)
                axes.fill_between([left, right], top + 0.01, top + ROW_HEIGHT - 0.01, color=colour, lw=0)
                sign = "+" if row["sign"] > 0 else "−"
                write(DIRECTION, label_line, f"L{row['layer']} H{int(row['head'])} #{row['index']} {sign}")
                number = f"{row['cosine']:.2f}".replace("-", "−")
                write(COSINE, label_line, number, "white" if shade > DARK_SHADE else "black")
                write(ARROW, label_line, "→")
                for column, until, side in ((READ, ARROW, "read"), (WRITE, LINE, "write")):
                    write(column, label_line, label_in_line(row[f"{side}_label"], until - column - 1))
                    write(column, token_line, tokens_in_line(list(row[f"{side}_tokens"]), until - column - 1), "0.4")
                top += CARD_HEIGHT
    return figure


def label_in_line(label: Any, most: int) -> str:
    """A label in one line, of at most so many signs."""
    if pd.isna(label):
        return "(no label)"
    return shortened("".join(map(shown_character, label)).replace(SPACE_MARK, " "), most)
