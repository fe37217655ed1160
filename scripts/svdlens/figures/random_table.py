"""The figure random_table: directions of a Gaussian matrix as tokens, for comparison with those of the model."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import panel_figure
from svdlens.figures.token_table import draw_table, token_table_caption, token_table_data

N_DIRECTIONS = 20
"""Columns of the table, leading directions, as the post shows."""


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each model, of a table of tokens of the control `gaussian`."""
    size = {"directions": N_DIRECTIONS, "tokens": options["n_tokens"]}
    for path, subject in zip(inputs["tokens"], subjects, strict=True):
        data = random_table_data(read_random_tokens(path, directions=N_DIRECTIONS), **subject, **size)
        yield data, draw_random_table(data)


def read_random_tokens(path: Path, *, directions: int) -> pd.DataFrame:
    """The rows of a table of tokens of the control `gaussian` that random_table_data needs."""
    return pd.read_parquet(path, partitioning=None, filters=[("index", "<", directions)])


def random_table_data(
    frame: pd.DataFrame, *, model: str, setting: str, matrix: str, readout: str, directions: int, tokens: int
) -> pd.DataFrame:
    """As token_table_data, of the leading singular vectors of one Gaussian matrix, which is of no layer and no head.

    `frame` is the table of tokens of the control `gaussian`, which the workflow has once for each kind of `matrix`.
    """
    choice = {"model": model, "setting": setting, "matrix": matrix, "readout": readout}
    return token_table_data(frame, **choice, layer=None, head=None, side="all", directions=directions, tokens=tokens)


def draw_random_table(data: pd.DataFrame) -> Figure:
    """The table of random_table_data, in the same form as the tables of singular directions."""
    if data.empty:
        return panel_figure(
            "Tokens of random directions", "", [], nothing="There are no random directions: nothing to draw."
        )
    first = data.iloc[0]
    title = f"{first['model']}, setting {first['setting']}: singular vectors of a Gaussian matrix"
    return draw_table(data, title, token_table_caption(data))
