"""The picture of a prompt: its tokens across, the directions with the largest effect down, their labels beside."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from svdlens.figures.style import frame_figure, look
from svdlens.figures.token_table import FONTS, shown_token
from svdlens.spec.matrix_kinds import MATRIX_KINDS

COLUMNS = ["matrix", "rank", "layer", "head", "index", "position", "token", "next_token", "firing", "effect", "label"]
FONT_SIZE = 7
ROW_HEIGHT, COLUMN_WIDTH, NAMES, LABELS, HEADS, EDGE = 0.16, 0.62, 1.4, 2.4, 0.7, 0.1  # inches
LONGEST_LABEL = 34
MOST_TOKENS = 24


def picture_data(columns: Mapping[str, Sequence[Any]], drawn: int, first: int) -> pd.DataFrame:
    """COLUMNS of the `drawn` directions of the best rank of each kind of matrix that writes, a row for each position
    from `first` on, where the prompt itself begins. The label is that of the sign of the firing where the direction
    does most.
    """
    rows = pd.DataFrame({name: list(values) for name, values in columns.items()})
    measure = "effect" if rows["effect"].notna().any() else "firing"
    rows = rows[rows["rank"] <= drawn].sort_values(["matrix", "rank"], ascending=[False, True])
    made = []
    for row in rows.to_dict("records"):
        strongest = first + int(np.abs(row[measure][first:]).argmax())
        label = row["label"] if row["firing"][strongest] > 0 else row["opposite_label"]
        for position in range(first, len(row["firing"])):
            effect = row["effect"][position] if measure == "effect" else np.nan
            made.append(
                {name: row[name] for name in ("matrix", "rank", "layer", "head", "index")}
                | {"position": position, "token": row["tokens"][position], "next_token": row["next_tokens"][position]}
                | {"firing": row["firing"][position], "effect": effect, "label": label}
            )
    return pd.DataFrame(made, columns=COLUMNS).astype({"rank": "int64", "head": "Int32"})


def draw_prompt(data: pd.DataFrame, *, model: str, setting: str, labeller: str) -> Figure:
    """The rows of picture_data as a map of colours; of a longer prompt the last MOST_TOKENS tokens."""
    measure = "effect" if data["effect"].notna().all() else "firing"
    data = data[data["position"] > data["position"].max() - MOST_TOKENS]
    tokens = data.drop_duplicates("position").sort_values("position")
    directions = data.drop_duplicates(["matrix", "rank"])
    values = data[measure].to_numpy(dtype=np.float64).reshape(len(directions), len(tokens))
    shade = (
        "what the direction adds directly to the logit of the token that follows (in brackets), less the mean over the "
        "vocabulary, the scale of the final norm as it is"
        if measure == "effect"
        else "how much is written along the direction; a norm stands between that and the residual stream"
    )
    kinds = " and ".join(MATRIX_KINDS[matrix].short_title for matrix in directions["matrix"].unique())
    caption = (
        f"Colour: {shade}. Directions: of {kinds} each those with the largest value at any position, by magnitude. "
        f"Right: the label ({labeller}) of the list on the side where the direction does most."
    )
    size = len(directions) * ROW_HEIGHT, len(tokens) * COLUMN_WIDTH
    with look():
        figure = Figure(figsize=(NAMES + size[1] + LABELS + EDGE, HEADS + size[0]))
        title = f"{model}, setting {setting}: directions on the prompt"
        below = frame_figure(figure, title, caption)
        width, height = figure.get_size_inches()
        axes = figure.add_axes((NAMES / width, below / height, size[1] / width, size[0] / height))
        most = float(np.abs(values).max()) or 1.0
        shown = axes.pcolormesh(values[::-1], cmap="RdBu_r", norm=TwoSlopeNorm(0, -most, most))
        axes.grid(False)
        axes.tick_params(length=0)
        style: Any = {"fontsize": FONT_SIZE, "fontfamily": FONTS}
        heads = [
            f"{shown_token(token)}\n[{shown_token(following)}]"
            for token, following in zip(tokens["token"], tokens["next_token"], strict=True)
        ]
        axes.set_xticks(np.arange(len(tokens)) + 0.5, heads, rotation=60, ha="left", rotation_mode="anchor", **style)
        axes.xaxis.tick_top()
        middles = np.arange(len(directions))[::-1] + 0.5
        axes.set_yticks(middles, [direction_name(row) for row in directions.to_dict("records")], **style)
        beside = axes.secondary_yaxis("right")
        beside.set_yticks(middles, [shown_label(label) for label in directions["label"]], fontsize=FONT_SIZE)
        beside.tick_params(length=0)
        bar = figure.colorbar(
            shown, ax=[], cax=figure.add_axes((0.1 / width, below / height, 0.08 / width, size[0] / height))
        )
        bar.ax.tick_params(labelsize=5, length=2, pad=1)
        bar.outline.set_visible(False)
    return figure


def direction_name(row: Mapping[Any, Any]) -> str:
    """The place of a direction, as short as a tick."""
    head = "" if pd.isna(row["head"]) else f"H{row['head']} "
    return f"{MATRIX_KINDS[row['matrix']].short_title} L{row['layer']} {head}{row['index']}"


def shown_label(label: object) -> str:
    if not isinstance(label, str):
        return "–"
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
