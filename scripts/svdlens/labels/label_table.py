"""Rows of the labels tables: which lists a labeller gets, and what it says of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from svdlens.artefacts.table_schemas import CONTROL_LABELS
from svdlens.labels.labeller import Labeller
from svdlens.vocabulary.list_similarity import first_distinct
from svdlens.vocabulary.token_features import KnownVocabulary
from svdlens.vocabulary.token_frequency import mean_log_rank


class Choice(NamedTuple):
    """Which rows of a table a labeller gets: of these sides and signs, the first `directions` of each matrix; None
    for all. Controls have no sides and no order: of them only signs are chosen."""

    sides: Sequence[str] | None = None
    signs: Sequence[int] | None = None
    directions: int | None = None


def choose(table: pa.Table, choice: Choice, is_control: bool) -> pa.Table:
    wanted = pc.field("sign").isin(list(choice.signs or (+1, -1)))
    if not is_control:
        if choice.sides is not None:
            wanted &= pc.field("side").cast(pa.string()).isin(list(choice.sides))
        if choice.directions is not None:
            wanted &= pc.field("index") < choice.directions
    return table.filter(wanted)


def label_tables(
    tables: Mapping[str, pa.Table], labeller: Labeller, vocabulary: KnownVocabulary, choice: Choice
) -> dict[str, dict[str, object]]:
    """Columns of the labels tables, keys and labels of each row, for a tokens table and those of its controls.

    `tables` has `tokens` and, by name, the controls. Each read-out is labelled by itself, against the controls of the
    same read-out: trained read-outs differ in how coherent the lists are that they give to any direction.
    """
    chosen = {name: choose(table, choice, name != "tokens") for name, table in tables.items()}
    pieces: dict[str, list[dict[str, Any]]] = {name: [] for name in tables}
    for readout in tables["tokens"]["readout"].unique().to_pylist():
        of_readout = {name: table.filter(pc.field("readout") == readout) for name, table in chosen.items()}
        ids = {name: token_ids(table) for name, table in of_readout.items()}
        labelled = labeller.label(ids)
        for name, table in of_readout.items():
            keys = {key: table[key].to_pylist() for key in table.column_names if key in CONTROL_LABELS.names}
            lists = first_distinct(ids[name], vocabulary.classes.groups)
            ranks = mean_log_rank(lists.ids, lists.used, vocabulary.log_ranks)
            of_labeller = {"labeller": [labeller.name] * len(table), "mean_log_rank": ranks}
            pieces[name].append(keys | of_labeller | labelled[name])
    return {name: joined(of_table) for name, of_table in pieces.items()}


def token_ids(table: pa.Table) -> np.ndarray:
    """[n, k], all lists of a table being equally long."""
    flat = table["token_ids"].combine_chunks().flatten().to_numpy()
    return flat.reshape(len(table), -1) if len(table) else np.empty((0, 1), np.int32)


def joined(pieces: list[dict[str, Any]]) -> dict[str, object]:
    """One piece after the other, column by column."""
    return {name: [value for piece in pieces for value in piece[name]] for name in pieces[0]}
