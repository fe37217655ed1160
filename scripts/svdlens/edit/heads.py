"""Whole attention heads removed one by one: in the order in which a query lies along their directions, or others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from svdlens.edit.updates import EDITED, Update, head_rows
from svdlens.errors import SvdlensError
from svdlens.models.load import module_of, weight_of

Head = tuple[int, int]
"""Layer and head, from 0."""


def heads_in_order(matrices: pd.DataFrame, query: str) -> dict[Head, float]:
    """Every head of OV matrices in a table of matrices of a trace (TRACE_MATRICES in artefacts/table_schemas.py), that
    with the largest score first; of equal ones the first of the model. The score is the |standard_score| of its nearest
    direction, on the side where it is larger.

    Raises SvdlensError for a query that the table does not have, and for a table without OV matrices.
    """
    known = list(map(str, matrices["query"].unique()))
    rows = matrices[(matrices["query"] == query) & (matrices["matrix"] == "ov")]
    if rows.empty:
        raise SvdlensError(
            f"the trace has no heads for the query {query!r}. It has the queries {', '.join(known) or 'none'}, and "
            "heads where the matrix ov is swept."
        )
    scores = rows.assign(score=rows["standard_score"].abs()).groupby(["layer", "head"])["score"].max()
    ordered = scores.sort_values(ascending=False, kind="stable").reset_index()
    places = zip(ordered["layer"].astype(int), ordered["head"].astype(int), strict=True)
    return dict(zip(places, ordered["score"].tolist(), strict=True))


def others_of_layers(heads: Sequence[Head], n_heads: int, seed: int) -> list[Head]:
    """For each of these heads another one of its layer, drawn at random, that is none of them and there once; layers
    that have none left give none. A control: heads of early layers matter more than others."""
    random = np.random.default_rng(seed)
    left = {
        layer: random.permutation([head for head in range(n_heads) if (layer, head) not in heads]).tolist()
        for layer in sorted({layer for layer, _ in heads})
    }
    return [(layer, int(left[layer].pop())) for layer, _ in heads if left[layer]]


def head_removal(model: nn.Module, layer: int, head: int) -> Update:
    """The update after which a head writes nothing: its rows of W_O are 0, whatever it reads. model: from load_model.

    Its OV directions are all removed, and what the bias of W_V makes it write; the bias of W_O is not of a head.
    """
    W = weight_of(module_of(model, EDITED["ov"], layer)).double()
    rows = head_rows(model, head, len(W))
    d_head = rows.stop - rows.start
    read, eps = torch.eye(d_head, dtype=torch.float64), -torch.ones(d_head, dtype=torch.float64)
    return Update(layer, EDITED["ov"], rows, read, W[rows], eps)


def one_by_one(
    model: nn.Module, heads: Sequence[Head], measures: Mapping[str, Callable[[Sequence[Update]], float]]
) -> list[dict[str, Any]]:
    """Rows for the model as it is and with the first 1, 2, ... of these heads removed: `removed`, how many; `layer` and
    `head` of the last of them, None in the first row; and each of the measures, functions of updates, by its name."""
    updates = [head_removal(model, *head) for head in heads]
    rows = []
    for n, (layer, head) in enumerate([(None, None), *heads]):
        measured = {name: measure(updates[:n]) for name, measure in measures.items()}
        rows.append({"removed": n, "layer": layer, "head": head} | measured)
    return rows
