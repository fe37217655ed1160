"""The figure token_table: the tokens of the leading directions of one matrix, both signs, shaded by score."""

import logging
from collections.abc import Collection
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps, font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font

from svdlens.errors import SvdlensError
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import panel_figure
from svdlens.figures.selection import select
from svdlens.figures.style import SIDE_NAMES, content_term, frame_figure, look, matrix_name, readout_name
from svdlens.runtime.progress import progress
from svdlens.spec.matrix_kinds import MATRIX_KINDS

log = logging.getLogger(__name__)

KEYS = ["matrix", "layer", "head", "index", "side", "sign", "readout"]
FONTS = ["DejaVu Sans Mono", "DejaVu Sans"]
SPACE_MARK = "␣"
LONGEST_TOKEN = 10  # characters of a cell
# The original tables shade by the dot product cut to 0..1. That shows something only if the largest score is near 1.
CUT_BETWEEN = (0.5, 2.0)
DARK_SHADE = 0.6  # above it the text is white

FONT_SIZE = 7
# Inches: a page of print, both signs side by side, below each other so many directions at a time.
WIDTH, STRIP = 7.0, 5
ROW_HEIGHT = 0.128
LEFT, MIDDLE, RIGHT, TOP, BOTTOM, HEADING = 0.3, 0.16, 0.1, 0.18, 0.1, 0.2
# Of the font size: how wide a character of DejaVu Sans Mono is, and how far below the middle of a cell it stands.
ADVANCE, BASE_LINE = 0.602, 0.36
CELL_TEXT: dict[str, Any] = {"fontsize": FONT_SIZE, "va": "center_baseline"}


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each matrix, of the tables of tokens of its model, setting and kind."""
    pairs = list(zip(inputs["tokens"], subjects, strict=True))
    # Matrices in one file come one after the other: it is read once.
    for path, group in groupby(progress(pairs, "token tables"), key=lambda pair: pair[0]):
        chosen = [subject for _, subject in group]
        table = read_leading_tokens(
            path,
            layers={subject["layer"] for subject in chosen},
            directions=max(subject["directions"] for subject in chosen),
        )
        for subject in chosen:
            try:
                there = subject["layer"] is None or subject["layer"] in set(table["layer"])
                frame = table if there else read_keys(path)
                data = token_table_data(frame, **subject, tokens=options["n_tokens"])
            except SvdlensError as error:
                # One entry too many in the configuration costs no other picture.
                log.warning("%s: %s", subject["model"], error)
                data = token_table_data(table.iloc[:0], **subject, tokens=options["n_tokens"])
                yield data, panel_figure("Tokens", "", [], nothing=str(error))
                continue
            yield data, draw_token_table(data, rotary=subject["model"] in options["rotary"])


def read_leading_tokens(path: Path, *, layers: Collection[int | None], directions: int) -> pd.DataFrame:
    """The rows of a table of tokens that token_table_data needs; of a large model the whole table is gigabytes."""
    # Without `partitioning` the directory names model=... and setting=... would become columns.
    wanted: list[tuple[str, str, Any]] = [("index", "<", directions)]
    if None not in layers:
        wanted.append(("layer", "in", list(layers)))
    return pd.read_parquet(path, partitioning=None, filters=wanted)


def read_keys(path: Path) -> pd.DataFrame:
    """The keys of all rows of a table of tokens, from which token_table_data says what there is."""
    return pd.read_parquet(path, partitioning=None, columns=KEYS)


def token_table_data(
    frame: pd.DataFrame,
    *,
    model: str,
    setting: str,
    matrix: str,
    layer: int | None,
    head: int | None,
    readout: str,
    side: str | None = None,
    directions: int = 15,
    tokens: int = 20,
) -> pd.DataFrame:
    """One row per token shown: the first `tokens` tokens of the `directions` leading directions, both signs.

    `frame` is the table of tokens of one model, setting and matrix; `head` is None for an MLP, `layer` for directions
    of no layer; `side` defaults to the one that decides the sign (MatrixKind.sign_side). Columns: model, setting,
    matrix, layer, head, side, readout, index, sign, rank (1 = best), token_id, token, score (dot product), null_space
    (of the direction), shade (0..1), shading (`cut` or `largest`), sorted by index, sign (+1 first) and rank. No rows
    where the table is empty. Raises SvdlensError when nothing fits, naming what there is.
    """
    side = MATRIX_KINDS[matrix].sign_side if side is None else side
    leading = frame[frame["index"] < directions]
    chosen = {"matrix": matrix, "layer": layer, "head": head, "readout": readout, "side": side}
    rows = leading if frame.empty else select(leading, "token_table", **chosen)
    rows = rows.sort_values(["index", "sign"], ascending=[True, False], kind="stable")
    assert not rows.duplicated(["index", "sign"]).any(), "the table of tokens lists a direction twice"
    of_lists = ("index", "sign", "token_ids", "tokens", "scores", "null_space")
    shown_columns = ["index", "sign", "rank", "token_id", "token", "score", "null_space"]
    cells = [
        dict(zip(shown_columns, (index, sign, rank, token_id, token, score, null_space), strict=True))
        for index, sign, ids, texts, scores, null_space in zip(*(rows[name] for name in of_lists), strict=True)
        for rank, (token_id, token, score) in enumerate(
            zip(ids[:tokens], texts[:tokens], scores[:tokens], strict=True), start=1
        )
    ]
    shown = pd.DataFrame(cells, columns=shown_columns)
    data = pd.DataFrame({"model": model, "setting": setting, "matrix": matrix}, index=shown.index)
    data["layer"] = pd.array([layer] * len(data), dtype="Int64")
    data["head"] = pd.array([head] * len(data), dtype="Int64")
    data["side"], data["readout"] = side, readout
    data = data.join(shown)
    largest = float(data["score"].max()) if len(data) else 0.0
    cut = CUT_BETWEEN[0] <= largest <= CUT_BETWEEN[1]
    data["shade"] = np.clip(data["score"] / (1.0 if cut or largest <= 0 else largest), 0, 1)
    data["shading"] = "cut" if cut else "largest"
    return data


def draw_token_table(data: pd.DataFrame, *, rotary: bool) -> Figure:
    """The table of token_table_data: a column for each direction, best token on top, sign + left and sign − right.

    `rotary`: whether the model has rotary position embeddings, for the caption.
    """
    if data.empty:
        return panel_figure("Tokens", "", [], nothing="The table of tokens is empty: there is nothing to draw.")
    caption = token_table_caption(data) + content_term(data["matrix"].iloc[0], rotary)
    return draw_table(data, token_table_title(data), caption)


def draw_table(data: pd.DataFrame, title: str, caption: str) -> Figure:
    """Any rows of token_table_data under a title of their own."""
    indices = sorted(int(index) for index in data["index"].unique())
    strips = [indices[start : start + STRIP] for start in range(0, len(indices), STRIP)]
    ranks = int(data["rank"].max())
    cell = (WIDTH - LEFT - MIDDLE - RIGHT) / (2 * STRIP)
    second = LEFT + cell * len(strips[0]) + MIDDLE  # where the other sign begins
    step = TOP + ROW_HEIGHT * ranks + BOTTOM
    with look():
        figure = Figure(figsize=(WIDTH, len(strips) * step + HEADING))
        below = frame_figure(figure, title, caption)
        # One plane for everything, in inches, down from the top of the tables: axes of its own for each strip would
        # take most of the time.
        plane = len(strips) * step + HEADING
        axes = figure.add_axes((0, below / figure.get_figheight(), 1, plane / figure.get_figheight()))
        axes.set(xlim=(0, WIDTH), ylim=(plane, 0))
        axes.set_axis_off()
        for left, name in ((LEFT, "sign +"), (second, "sign −")):
            axes.text(left, HEADING / 2, name, va="center", fontsize=9)
        for number, strip in enumerate(strips):
            top = HEADING + number * step + TOP
            for rank in (1, *range(5, ranks + 1, 5)):
                axes.text(LEFT - 0.05, top + (rank - 0.5) * ROW_HEIGHT, str(rank), ha="right", **CELL_TEXT)
            for left, sign in ((LEFT, 1), (second, -1)):
                panel = data[(data["sign"] == sign) & data["index"].isin(strip)]
                draw_strip(axes, panel, strip, ranks, left, top, cell)
    return figure


def draw_strip(
    axes: Axes, panel: pd.DataFrame, indices: list[int], ranks: int, left: float, top: float, cell: float
) -> None:
    """The directions `indices` of one sign side by side, in cells of width `cell` that are shaded by score."""
    # A list may be shorter than the others.
    shades = np.full((ranks, len(indices)), np.nan)
    rows = panel["rank"].to_numpy(int) - 1
    columns = panel["index"].map(indices.index).to_numpy(int)
    shades[rows, columns] = panel["shade"]
    # White lines keep neighbouring tokens apart.
    axes.pcolormesh(
        left + cell * np.arange(len(indices) + 1), top + ROW_HEIGHT * np.arange(ranks + 1), shades,
        cmap=colormaps["Blues"], vmin=0, vmax=1, edgecolor="white", linewidth=0.5,
    )  # fmt: skip
    for column, index in enumerate(indices):
        axes.text(left + (column + 0.5) * cell, top - 0.08, str(index), ha="center", **CELL_TEXT)
    dark = shades[rows, columns] > DARK_SHADE
    positions = np.column_stack([left + (columns + 0.5) * cell, top + (rows + 0.5) * ROW_HEIGHT])
    texts = panel["token"].map(shown_token).to_numpy(object)
    for colour, chosen in (("black", ~dark), ("white", dark)):
        axes.add_artist(Cells(positions[chosen], list(texts[chosen]), colour))


class Cells(Artist):
    """Short texts of FONT_SIZE around their `positions` [n, 2] on the axes, on a common base line.

    A Text of matplotlib lays itself out at each drawing, which for hundreds of tokens is half of all the time.
    """

    def __init__(self, positions: np.ndarray, texts: list[str], colour: str) -> None:
        super().__init__()
        self.positions, self.texts, self.colour = positions, texts, colour
        self.set_zorder(3)  # above the shades

    def draw(self, renderer: RendererBase) -> None:
        assert self.axes is not None
        font = FontProperties(family=FONTS, size=FONT_SIZE)
        gc = renderer.new_gc()
        gc.set_foreground(self.colour)
        em = FONT_SIZE * float(renderer.points_to_pixels(1.0))  # type: ignore[arg-type]
        _, height = renderer.get_canvas_width_height()
        for (x, y), text in zip(self.axes.transData.transform(self.positions), self.texts, strict=True):
            if not text:
                continue
            # Everything in ASCII is equally wide.
            plain = text.replace(SPACE_MARK, " ").isascii()
            width = ADVANCE * em * len(text) if plain else renderer.get_text_width_height_descent(text, font, False)[0]
            base = y - BASE_LINE * em
            renderer.draw_text(gc, x - width / 2, height - base if renderer.flipy() else base, text, font, 0)
        gc.restore()


def token_table_title(data: pd.DataFrame) -> str:
    """Model, setting, matrix and side of the rows of token_table_data."""
    first = data.iloc[0]
    numbers = "".join(f", {key} {first[key]}" for key in ("layer", "head") if not pd.isna(first[key]))
    side = SIDE_NAMES.get(first["side"], first["side"])
    return f"{first['model']}, setting {first['setting']}: {matrix_name(first['matrix'])}{numbers}, {side}"


def token_table_caption(data: pd.DataFrame) -> str:
    """What columns, rows and shades of the table are."""
    first = data.iloc[0]
    shade = (
        "the dot product of direction and token, cut to 0..1"
        if first["shading"] == "cut"
        else f"the dot product of direction and token, from 0 to the largest of this figure ({data['score'].max():.3g})"
    )
    null_space = [str(index) for index in sorted(data.loc[data["null_space"].astype(bool), "index"].unique())]
    nothing = f" Null space, whose lists say nothing: {', '.join(null_space)}." if null_space else ""
    return (
        f"Columns: directions, the strongest first.{nothing} Rows: their best tokens by rank, read through "
        f"{readout_name(first['readout'])}. Shade: {shade}. "
        f"{SPACE_MARK} is a space, \\n and the like are control characters or signs without a glyph here, "
        "… cuts a long token; the csv has every token whole."
    )


def shown_token(token: str) -> str:
    """A token as the figure shows it: one line of printable signs that the fonts have, at most LONGEST_TOKEN long.

    Spaces become SPACE_MARK; control and formatting characters and signs without a glyph become escapes as in
    Python (\\n, \\x07, \\u706b); what is too long ends in an ellipsis, and no escape is cut in two.
    """
    signs = [shown_character(character) for character in token[: LONGEST_TOKEN + 1]]
    if sum(map(len, signs)) <= LONGEST_TOKEN:
        return "".join(signs)
    while sum(map(len, signs)) > LONGEST_TOKEN - 1:
        signs.pop()
    return "".join(signs) + "…"


def shown_character(character: str) -> str:
    """A sign as it is, or as an escape where the fonts have none for it."""
    if character == " ":
        return SPACE_MARK
    if character.isprintable() and ord(character) in drawable_characters():
        return character
    return character.encode("unicode_escape").decode("ascii")


@cache
def drawable_characters() -> frozenset[int]:
    """The code points for which FONTS, which come with matplotlib, have a glyph."""
    paths = [font_manager.findfont(name, fallback_to_default=False) for name in FONTS]
    return frozenset(code for path in paths for code in FT2Font(path).get_charmap())
