"""Rows of the labels table from the coherence labeller."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from svdlens.coherence import (
    NULL_LISTS,
    centred,
    coherence,
    first_distinct,
    membership,
    p_values,
    q_values,
    q_values_of_controls,
    shuffled_lists,
    surface_kind,
    token_groups,
)
from svdlens.tables import CONTROL_LABELS

NAME_TOKENS = 3


def label_tables(
    tokens: pa.Table,
    controls: pa.Table,
    texts: list[str],
    embeddings: Float[np.ndarray, "d_vocab d"],
    level: float,
    seed: int,
) -> tuple[dict[str, object], dict[str, object]]:
    """Columns of the labels tables for a tokens table and for that of its controls: keys and labels of each row.

    Each read-out is labelled by itself, against the controls of the same read-out: trained read-outs differ in how
    coherent the lists are that they give to any direction.
    """
    pieces: list[list[dict[str, Any]]] = [[], []]
    for readout in tokens["readout"].unique().to_pylist():
        of_readout = [table.filter(pc.field("readout") == readout) for table in (tokens, controls)]
        rows, control_rows = (np.stack(table["token_ids"].to_numpy()) for table in of_readout)
        labelled = label_by_coherence(rows, control_rows, texts, embeddings, level, seed)
        for part, table, columns in zip(pieces, of_readout, labelled, strict=True):
            keys = {name: table[name].to_pylist() for name in table.column_names if name in CONTROL_LABELS.names}
            part.append(keys | columns)
    of_rows, of_controls = pieces
    return joined(of_rows), joined(of_controls)


def joined(pieces: list[dict[str, Any]]) -> dict[str, object]:
    """One piece after the other, column by column."""
    return {name: [value for piece in pieces for value in piece[name]] for name in pieces[0]}


def label_by_coherence(
    token_ids: Int[np.ndarray, "n k"],
    control_ids: Int[np.ndarray, "m k"],
    texts: list[str],
    embeddings: Float[np.ndarray, "d_vocab d"],
    level: float,
    seed: int,
) -> tuple[dict[str, object], dict[str, object]]:
    """Label columns (section labels of docs/design.md) of the rows, and of the controls read the same way."""
    groups, embeddings = token_groups(texts), centred(embeddings)
    lists, controls = first_distinct(token_ids, groups), first_distinct(control_ids, groups)
    scores, control_scores = coherence(lists, embeddings), coherence(controls, embeddings)
    list_null = coherence(shuffled_lists(lists, groups, NULL_LISTS, seed), embeddings)

    p, p_controls = p_values(scores, list_null), p_values(control_scores, list_null)
    q = q_values(p)
    p_direction = p_values(scores, control_scores)
    q_direction = q_values(p_direction)
    # A control is compared with the other controls; that it meets itself among them costs nothing but 1/m.
    p_direction_controls = p_values(control_scores, control_scores)
    columns = []
    for kept, row_scores, *calibration in (
        (lists, scores, p, q, p_direction, q_direction),
        (
            controls,
            control_scores,
            p_controls,
            q_values_of_controls(p_controls, p, q),
            p_direction_controls,
            q_values_of_controls(p_direction_controls, p_direction, q_direction),
        ),
    ):
        of_tokens = membership(kept, embeddings)
        members = [[texts[id] for id in ids[used]] for ids, used in zip(kept.ids, kept.used, strict=True)]
        columns.append(label_columns(row_scores, of_tokens, members, level, *calibration))
    return columns[0], columns[1]


def label_columns(
    scores: Float[np.ndarray, " n"],
    of_tokens: Float[np.ndarray, "n 15"],
    members: list[list[str]],
    level: float,
    p: Float[np.ndarray, " n"],
    q: Float[np.ndarray, " n"],
    p_direction: Float[np.ndarray, " n"],
    q_direction: Float[np.ndarray, " n"],
) -> dict[str, object]:
    """A list is named by its three most central tokens; evidence are all tokens closer to the rest than average."""
    labels: list[str | None] = []
    kinds: list[str] = []
    evidence: list[list[str]] = []
    interpretable = [None if np.isnan(value) else bool(value < level) for value in q]
    for row, tokens in enumerate(members):
        if not interpretable[row]:
            labels.append(None)
            kinds.append("none")
            evidence.append([])
            continue
        closeness = of_tokens[row, : len(tokens)]
        order = np.argsort(-closeness, kind="stable")
        central = [tokens[place] for place in order if closeness[place] > scores[row]]
        labels.append(" / ".join(tokens[place].strip() for place in order[:NAME_TOKENS]))
        kinds.append(surface_kind(tokens))
        evidence.append(central)
    n = len(scores)
    return {
        "labeller": ["coherence"] * n,
        "label": labels,
        "kind": kinds,
        "labelled": interpretable,
        "verified": [None] * n,
        "interpretable": interpretable,
        "score": scores,
        "p_value": p,
        "q_value": q,
        "p_direction": p_direction,
        "q_direction": q_direction,
        "evidence": pa.array(evidence, pa.list_(pa.string())),
        "n_concepts": [None] * n,
        "status": ["abstained" if np.isnan(score) else "ok" for score in scores],
    }
