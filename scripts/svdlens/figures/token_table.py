"""The figure token_table: the tokens of the leading singular directions of one matrix, both signs, shaded by score."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps, font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from svdlens.figures.selection import select
from svdlens.figures.style import SIDE_NAMES, content_term, frame_figure, look, matrix_name, readout_name

# The side on which a singular vector lives in the residual stream.
RESIDUAL_SIDE = {"ov": "write", "qk": "query", "mlp_in": "read", "mlp_gate": "read", "mlp_out": "write"}
KEYS = ["matrix", "layer", "head", "index", "side", "sign", "readout"]
FONTS = ["DejaVu Sans Mono", "DejaVu Sans"]
SPACE_MARK = "␣"
LONGEST_TOKEN = 12  # characters of a cell
# The original tables shade by the dot product cut to 0..1. That shows something only if the largest score is near 1.
CUT_BETWEEN = (0.5, 2.0)
DARK_SHADE = 0.6  # above it the text is white

FONT_SIZE = 7
CHARACTER_WIDTH = 0.602 * FONT_SIZE / 72  # inches: every character of DejaVu Sans Mono is .602 of the size wide
ROW_HEIGHT = 0.2
LEFT, RIGHT, TOP, BOTTOM = 0.35, 0.15, 0.25, 0.22


def read_leading_tokens(path: Path, *, layer: int, directions: int) -> pd.DataFrame:
    """The rows of a table of tokens that token_table_data needs; of a large model the whole table is gigabytes.

    For a layer that the table does not have these are the keys of all rows, from which token_table_data says what
    there is.
    """
    # Without `partitioning` the directory names model=... and setting=... would become columns.
    wanted = [("layer", "==", layer), ("index", "<", directions)]
    rows = pd.read_parquet(path, partitioning=None, filters=wanted)
    return pd.read_parquet(path, partitioning=None, columns=KEYS) if rows.empty else rows


def token_table_data(
    frame: pd.DataFrame,
    *,
    model: str,
    setting: str,
    matrix: str,
    layer: int,
    head: int | None,
    readout: str,
    side: str | None = None,
    directions: int = 15,
    tokens: int = 20,
) -> pd.DataFrame:
    """One row per token shown: the first `tokens` tokens of the `directions` largest singular directions, both signs.

    `frame` is the table of tokens of one model, setting and matrix; `head` is None for an MLP; `side` defaults to the
    side that lives in the residual stream. Columns: model, setting, matrix, layer, head, side, readout, index, sign,
    rank (1 = best), token_id, token, score (dot product), shade (0..1), shade_rule (`cut` or `largest`), sorted by
    index, sign (+1 first) and rank. Raises SvdlensError when nothing fits, naming what there is.
    """
    side = RESIDUAL_SIDE.get(matrix, "write") if side is None else side
    leading = frame[frame["index"] < directions]
    rows = select(leading, "token_table", matrix=matrix, layer=layer, head=head, readout=readout, side=side)
    rows = rows.sort_values(["index", "sign"], ascending=[True, False], kind="stable")
    assert not rows.duplicated(["index", "sign"]).any(), "the table of tokens lists a direction twice"
    cells = [
        {"index": index, "sign": sign, "rank": rank, "token_id": token_id, "token": token, "score": score}
        for index, sign, ids, texts, scores in zip(
            rows["index"], rows["sign"], rows["token_ids"], rows["tokens"], rows["scores"], strict=True
        )
        for rank, (token_id, token, score) in enumerate(
            zip(ids[:tokens], texts[:tokens], scores[:tokens], strict=True), start=1
        )
    ]
    shown = pd.DataFrame(cells)
    data = pd.DataFrame({"model": model, "setting": setting, "matrix": matrix, "layer": layer}, index=shown.index)
    data["head"] = pd.array([head] * len(data), dtype="Int64")
    data["side"], data["readout"] = side, readout
    data = data.join(shown)
    largest = float(data["score"].max())
    cut = CUT_BETWEEN[0] <= largest <= CUT_BETWEEN[1]
    data["shade"] = np.clip(data["score"] / (1.0 if cut or largest <= 0 else largest), 0, 1)
    data["shade_rule"] = "cut" if cut else "largest"
    return data


def draw_token_table(data: pd.DataFrame, *, rotary: bool) -> Figure:
    """The table of token_table_data as a figure: one panel for each sign, a row for each direction, best token left.

    `rotary`: whether the model has rotary position embeddings, for the caption.
    """
    signs = sorted(data["sign"].unique(), reverse=True)
    indices = sorted(data["index"].unique())
    ranks = int(data["rank"].max())
    shown = data["token"].map(shown_token)
    cell_width = CHARACTER_WIDTH * (max(4, int(shown.str.len().max())) + 1.5)
    panel_width, panel_height = cell_width * ranks, ROW_HEIGHT * len(indices)
    # A panel of few short tokens still needs the width that its title takes.
    width = max(LEFT + panel_width + RIGHT, 6.4)
    with look():
        figure = Figure(figsize=(width, len(signs) * (TOP + panel_height + BOTTOM)))
        strip = frame_figure(figure, token_table_title(data), token_table_caption(data, rotary))
        height = figure.get_figheight()
        for place, sign in enumerate(signs):
            # The first sign is on top.
            bottom = strip + BOTTOM + (len(signs) - 1 - place) * (TOP + panel_height + BOTTOM)
            axes = figure.add_axes((LEFT / width, bottom / height, panel_width / width, panel_height / height))
            panel = data[data["sign"] == sign]
            # Directions and ranks of this panel on a grid; a list may be shorter than the others.
            shades = np.full((len(indices), ranks), np.nan)
            rows = panel["index"].map(indices.index).to_numpy(int)
            columns = panel["rank"].to_numpy(int) - 1
            shades[rows, columns] = panel["shade"]
            axes.imshow(shades, cmap=colormaps["Blues"], vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            for row, column, text in zip(rows, columns, shown[panel.index], strict=True):
                colour = "white" if shades[row, column] > DARK_SHADE else "black"
                axes.text(
                    column, row, text, ha="center", va="center", fontsize=FONT_SIZE, family=FONTS, color=colour,
                    parse_math=False,
                )  # fmt: skip
            axes.set_title("sign +" if sign > 0 else "sign −", loc="left")
            axes.set_yticks(range(len(indices)), [str(index) for index in indices])
            axes.set_xticks([0, *range(4, ranks, 5)], ["1", *(str(rank + 1) for rank in range(4, ranks, 5))])
            # White lines keep neighbouring tokens apart.
            axes.set_xticks(np.arange(ranks + 1) - 0.5, minor=True)
            axes.set_yticks(np.arange(len(indices) + 1) - 0.5, minor=True)
            axes.grid(False, which="major")
            axes.grid(True, which="minor", color="white", linewidth=0.8)
            axes.set_axisbelow(False)
            axes.tick_params(which="both", length=0, pad=2)
            axes.spines[:].set_visible(False)
    return figure


def token_table_title(data: pd.DataFrame) -> str:
    first = data.iloc[0]
    head = "" if pd.isna(first["head"]) else f", head {first['head']}"
    side = SIDE_NAMES.get(first["side"], first["side"])
    return (
        f"{first['model']}, setting {first['setting']}: {matrix_name(first['matrix'])}, layer {first['layer']}{head}, "
        f"{side}"
    )


def token_table_caption(data: pd.DataFrame, rotary: bool) -> str:
    first = data.iloc[0]
    shade = (
        "the dot product of direction and token, cut to 0..1"
        if first["shade_rule"] == "cut"
        else f"the dot product of direction and token, from 0 to the largest of this figure ({data['score'].max():.3g})"
    )
    return (
        "Down: singular directions (0 = largest singular value). Across: their best tokens by rank, read through "
        f"{readout_name(first['readout'])}. Shade: {shade}. "
        f"{SPACE_MARK} is a space, \\n and the like are control characters or signs without a glyph here, "
        f"… cuts a long token; the csv has every token whole.{content_term(first['matrix'], rotary)}"
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
