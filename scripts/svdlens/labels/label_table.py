"""Rows of the labels tables: which lists a labeller gets, and what it says of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from svdlens.artefacts.table_schemas import CONTROL_LABELS
from svdlens.labels.labeller import SINGULAR, Columns, Labeller, TokenLists
from svdlens.vocabulary.list_similarity import first_distinct
from svdlens.vocabulary.token_features import TokenFeatures
from svdlens.vocabulary.token_frequency import mean_log_rank


class Choice(NamedTuple):
    """Which rows of a table a labeller gets: of these sides and signs, the first `directions` of each matrix; None
    for all. Controls have no sides and no order: of them only signs are chosen."""

    sides: Sequence[str] | None = None
    signs: Sequence[int] | None = None
    directions: int | None = None


def choose(table: pa.Table, choice: Choice) -> pa.Table:
    """The rows of a table of tokens, with the column `control`, that are chosen."""
    wanted = pc.field("sign").isin(list(choice.signs or (+1, -1)))
    is_control = pc.field("control").is_valid()
    if choice.sides is not None:
        wanted &= is_control | pc.field("side").cast(pa.string()).isin(list(choice.sides))
    if choice.directions is not None:
        wanted &= is_control | (pc.field("index") < choice.directions)
    return table.filter(wanted)


def label_table(
    tokens: pa.Table, name: str, labeller: Labeller, features: TokenFeatures, choice: Choice
) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Columns of CONTROL_LABELS: keys of the chosen rows, and what the labeller called `name` says of each; and by
    read-out the facts of how it was calibrated.

    `tokens` has the lists of singular directions (`control` null) and of controls. Each read-out is labelled by itself,
    against the controls of the same read-out: trained read-outs differ in how coherent the lists are that they give to
    any direction. Rows: singular directions first, then one control after the other, each in the order of `tokens`.
    """
    chosen = choose(tokens, choice)
    controls = [
        control for control in pc.unique(tokens["control"].cast(pa.string())).to_pylist() if control is not None
    ]
    pieces: dict[str, list[Columns]] = {SINGULAR: [], **{control: [] for control in controls}}
    facts: dict[str, dict[str, object]] = {}
    for readout in pc.unique(tokens["readout"].cast(pa.string())).to_pylist():
        through_readout = chosen.filter(pc.field("readout") == readout)
        tables = {SINGULAR: through_readout.filter(pc.field("control").is_null())}
        tables |= {control: through_readout.filter(pc.field("control") == control) for control in controls}
        lists = {group: token_lists(table) for group, table in tables.items()}
        labelled, facts[readout] = labeller.label(lists)
        for group, table in tables.items():
            keys: Columns = {key: table[key].to_pylist() for key in table.column_names if key in CONTROL_LABELS.names}
            distinct = first_distinct(lists[group].ids, features.classes.groups)
            ranks = mean_log_rank(distinct.ids, distinct.used, features.log_ranks)
            said: Columns = {"labeller": [name] * len(table), "mean_log_rank": ranks}
            pieces[group].append(keys | said | labelled[group])
    return joined([piece for group in pieces.values() for piece in group]), facts


def token_lists(table: pa.Table) -> TokenLists:
    """The lists of a table of tokens, all of which are equally long."""
    texts = table["tokens"].combine_chunks()
    flat = table["token_ids"].combine_chunks().flatten().to_numpy()
    ids: Int[np.ndarray, "n k"] = flat.reshape(len(table), -1) if len(table) else np.empty((0, 1), np.int32)
    return TokenLists(ids, texts)


def joined(pieces: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """One piece after the other, column by column."""
    return {name: [value for piece in pieces for value in piece[name]] for name in pieces[0]}
