"""Rows of the labels table from the coherence labeller."""

from collections.abc import Mapping
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
    tables: Mapping[str, pa.Table],
    texts: list[str],
    embeddings: Float[np.ndarray, "d_vocab d"],
    level: float,
    seed: int,
) -> dict[str, dict[str, object]]:
    """Columns of the labels tables, keys and labels of each row, for a tokens table and those of its controls.

    `tables` has `tokens` and, by name, the controls. Each read-out is labelled by itself, against the controls of the
    same read-out: trained read-outs differ in how coherent the lists are that they give to any direction.
    """
    pieces: dict[str, list[dict[str, Any]]] = {name: [] for name in tables}
    for readout in tables["tokens"]["readout"].unique().to_pylist():
        of_readout = {name: table.filter(pc.field("readout") == readout) for name, table in tables.items()}
        ids = {name: np.stack(table["token_ids"].to_numpy()) for name, table in of_readout.items()}
        labelled = label_by_coherence(ids, texts, embeddings, level, seed)
        for name, table in of_readout.items():
            keys = {key: table[key].to_pylist() for key in table.column_names if key in CONTROL_LABELS.names}
            pieces[name].append(keys | labelled[name])
    return {name: joined(of_table) for name, of_table in pieces.items()}


def joined(pieces: list[dict[str, Any]]) -> dict[str, object]:
    """One piece after the other, column by column."""
    return {name: [value for piece in pieces for value in piece[name]] for name in pieces[0]}


def label_by_coherence(
    ids: Mapping[str, Int[np.ndarray, "n k"]],
    texts: list[str],
    embeddings: Float[np.ndarray, "d_vocab d"],
    level: float,
    seed: int,
) -> dict[str, dict[str, object]]:
    """Label columns (section labels of docs/design.md) for each of the lists of token ids.

    `tokens` are calibrated by shuffling them (list null) and by `random_unit` (direction null), and every control by
    the same two.
    """
    groups, embeddings = token_groups(texts), centred(embeddings)
    lists = {name: first_distinct(of_name, groups) for name, of_name in ids.items()}
    scores = {name: coherence(of_name, embeddings) for name, of_name in lists.items()}
    list_null = coherence(shuffled_lists(lists["tokens"], groups, NULL_LISTS, seed), embeddings)
    # A random_unit control meets itself among the others, which costs nothing but 1/m.
    nulls = list_null, scores["random_unit"]
    p_of_rows = [p_values(scores["tokens"], null) for null in nulls]
    q_of_rows = [q_values(p) for p in p_of_rows]
    columns = {}
    for name, kept in lists.items():
        calibration = []
        for null, p_rows, q_rows in zip(nulls, p_of_rows, q_of_rows, strict=True):
            p = p_values(scores[name], null)
            calibration += [p, q_rows if name == "tokens" else q_values_of_controls(p, p_rows, q_rows)]
        members = [[texts[id] for id in list_ids[used]] for list_ids, used in zip(kept.ids, kept.used, strict=True)]
        columns[name] = label_columns(scores[name], membership(kept, embeddings), members, level, *calibration)
    return columns


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
