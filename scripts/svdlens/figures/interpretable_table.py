"""The figure interpretable_table: the tokens of the matrix of each kind whose lists are interpretable most often."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from svdlens.figures.fraction_rows import first_readout
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import nothing_labelled, panel_figure
from svdlens.figures.selection import as_text, whole_numbers
from svdlens.figures.style import content_term, matrix_name
from svdlens.figures.token_table import (
    draw_table,
    read_leading_tokens,
    token_table_caption,
    token_table_data,
    token_table_title,
)
from svdlens.runtime.progress import progress
from svdlens.spec.matrix_kinds import MATRIX_KINDS


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each model and kind of matrix, of the table of fractions and of a table of tokens."""
    choice = {name: options[name] for name in ("labeller", "criterion")}
    fractions = pd.read_parquet(inputs["fractions"], filters=[("unit", "==", "row"), ("kind", "==", "all")])
    for path, subject in zip(inputs["tokens"], progress(subjects, "token tables"), strict=True):
        candidates = fractions_of_matrices(fractions, **subject, **choice)
        if candidates.empty:
            nothing = nothing_labelled(options["labeller"])
            yield candidates, panel_figure("Tokens of an interpretable matrix", "", [], nothing=nothing)
            continue
        chosen = most_interpretable(candidates)
        place = {name: chosen[name] for name in ("model", "setting", "matrix", "layer", "head", "readout", "side")}
        directions = options["n_directions"]
        tokens = read_leading_tokens(path, layers=[chosen["layer"]], directions=directions)
        data = token_table_data(tokens, **place, directions=directions, tokens=options["n_tokens"])
        why = why_this_one(candidates, **choice)
        yield data, draw_interpretable_table(data, why, rotary=subject["model"] in options["rotary"])


def fractions_of_matrices(
    fractions: pd.DataFrame,
    *,
    model: str,
    setting: str,
    matrix: str,
    labeller: str,
    criterion: str,
) -> pd.DataFrame:
    """The fraction interpretable of each matrix of one kind, by layer and head, on the side that token tables show.

    `fractions` is the table of fractions. Columns: model, setting, matrix, side, readout, layer, head (empty for an
    MLP), n, k, fraction, control_fraction. Of the read-outs the first in the table.
    """
    kind = MATRIX_KINDS[matrix]
    chosen = {"model": model, "setting": setting, "matrix": matrix, "labeller": labeller, "criterion": criterion}
    group = kind.per if kind.in_layers else "all"
    chosen |= {"side": kind.sign_side, "group": group, "unit": "row", "kind": "all"}
    rows = fractions
    for column, value in chosen.items():
        rows = rows[rows[column] == value]
    rows = first_readout(rows[rows["n"] > 0])
    names = ["model", "setting", "matrix", "side", "readout"]
    return pd.DataFrame(
        {
            **{name: as_text(rows[name]) for name in names},
            **{name: whole_numbers(rows[name]) for name in ("layer", "head")},
            **{name: rows[name] for name in ("n", "k", "fraction", "control_fraction")},
        }
    ).reset_index(drop=True)


def most_interpretable(candidates: pd.DataFrame) -> dict[str, Any]:
    """The row of fractions_of_matrices with the largest fraction; among equals that of the first layer, then head."""
    best = candidates.sort_values(["fraction", "layer", "head"], ascending=[False, True, True], kind="stable").iloc[0]
    return {str(name): None if pd.isna(value) else value for name, value in best.to_dict().items()}


def why_this_one(candidates: pd.DataFrame, *, labeller: str, criterion: str) -> str:
    """The rule by which most_interpretable chose, with the numbers, as sentences for a caption."""
    chosen = most_interpretable(candidates)
    whole = candidates["k"].sum() / candidates["n"].sum()
    random = chosen["control_fraction"]
    beside = "" if random is None else f", of random directions {percent(random)}"
    by = f"({chosen['k']} of {chosen['n']}; labeller {labeller}, criterion {criterion})"
    if not MATRIX_KINDS[chosen["matrix"]].in_layers:
        return (
            f"Of the lists of this matrix on the {chosen['side']} side {percent(chosen['fraction'])} {by} are "
            f"interpretable{beside}."
        )
    return (
        f"Chosen by a rule: of the {len(candidates):,} {matrix_name(chosen['matrix'])} matrices of this model, that "
        f"with the largest share of interpretable lists on the {chosen['side']} side, {percent(chosen['fraction'])} "
        f"{by}. Of all of them it is {percent(whole)}{beside}: the best of many looks better than it is."
    )


def percent(share: float) -> str:
    """A share as captions write it."""
    return f"{100 * share:.0f} %"


def draw_interpretable_table(data: pd.DataFrame, why: str, *, rotary: bool) -> Figure:
    """The table of token_table_data of the matrix that was chosen, with `why` in the caption."""
    caption = f"{why} {token_table_caption(data)}{content_term(data['matrix'].iloc[0], rotary)}"
    return draw_table(data, token_table_title(data), caption)
