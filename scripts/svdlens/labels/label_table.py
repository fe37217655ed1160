"""Rows of the labels tables: which lists a labeller gets, and what it says of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from svdlens.artefacts.table_schemas import CONTROL_LABELS, LABEL_FIELDS
from svdlens.labels.labeller import NULL_SPACE, SINGULAR, Columns, Labeller, TokenLists
from svdlens.vocabulary.list_similarity import first_distinct
from svdlens.vocabulary.token_features import TokenFeatures
from svdlens.vocabulary.token_frequency import mean_log_rank


class Choice(NamedTuple):
    """Which rows of a table a labeller gets: of these sides and signs, the first `directions` of each matrix; None
    for all. Controls have no sides and no order: of them signs are chosen, and of the lists of each, through each
    read-out, `control_lists`, spread evenly over them."""

    sides: Sequence[str] | None = None
    signs: Sequence[int] | None = None
    directions: int | None = None
    control_lists: int | None = None


def choose(table: pa.Table, choice: Choice) -> pa.Table:
    """The rows of a table of tokens, with the column `control`, that are chosen."""
    wanted = pc.field("sign").isin(list(choice.signs or (+1, -1)))
    is_control = pc.field("control").is_valid()
    if choice.sides is not None:
        wanted &= is_control | pc.field("side").cast(pa.string()).isin(list(choice.sides))
    if choice.directions is not None:
        wanted &= is_control | (pc.field("index") < choice.directions)
    chosen = table.filter(wanted)
    return chosen if choice.control_lists is None else thinned_controls(chosen, choice.control_lists)


def thinned_controls(table: pa.Table, n: int) -> pa.Table:
    """The table with `n` rows, evenly spread, of each control through each read-out, or all where there are fewer."""
    keys = [table[name].cast(pa.string()).to_pylist() for name in ("control", "readout")]
    groups: dict[tuple[str | None, str], list[int]] = {}
    for row, key in enumerate(zip(*keys, strict=True)):
        groups.setdefault(key, []).append(row)
    kept = [
        rows if control is None or len(rows) <= n else [rows[i * len(rows) // n] for i in range(n)]
        for (control, _), rows in groups.items()
    ]
    return table.take(pa.array(sorted(row for rows in kept for row in rows), pa.int64()))


def label_table(
    tokens: pa.Table, name: str, labeller: Labeller, features: TokenFeatures, choice: Choice
) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Columns of CONTROL_LABELS: keys of the chosen rows, and what the labeller called `name` says of each; and by
    read-out the facts of how it was calibrated.

    `tokens` has the lists of singular directions (`control` null) and of controls. Each read-out is labelled by itself,
    against the controls of the same read-out: trained read-outs differ in how coherent the lists are that they give to
    any direction. Lists of null space have the status NULL_SPACE and nothing else. Rows: singular directions first,
    then one control after the other, each in the order of `tokens`.
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
        # Null space gets no label, and what is shuffled into null lists has no token of it.
        live = {group: table.filter(~pc.field("null_space")) for group, table in tables.items()}
        lists = {group: token_lists(table) for group, table in live.items()}
        labelled, facts[readout] = labeller.label(lists)
        for group, table in tables.items():
            distinct = first_distinct(lists[group].ids, features.classes.groups)
            ranks = mean_log_rank(distinct.ids, distinct.used, features.log_ranks)
            said = keys_of(live[group]) | labelled[group] | {"mean_log_rank": ranks}
            both = joined([said, null_space_columns(table.filter(pc.field("null_space")))])
            # In the order of the table: first all that are live, then null space.
            place = np.argsort(np.argsort(table["null_space"].to_numpy(), kind="stable"))
            both = {key: [values[row] for row in place] for key, values in both.items()}
            pieces[group].append(both | {"labeller": [name] * len(table)})
    if not facts:
        return {name: [] for name in CONTROL_LABELS.names}, facts
    return joined([piece for group in pieces.values() for piece in group]), facts


def keys_of(table: pa.Table) -> Columns:
    """The columns of a table of tokens that a table of labels has as well."""
    return {key: table[key].to_pylist() for key in table.column_names if key in CONTROL_LABELS.names}


def null_space_columns(table: pa.Table) -> Columns:
    """Columns of CONTROL_LABELS for lists that no labeller gets, because their directions are null space."""
    nothing: Columns = {name: [None] * len(table) for name, _ in LABEL_FIELDS}
    said = {"kind": ["none"] * len(table), "evidence": [[]] * len(table), "status": [NULL_SPACE] * len(table)}
    return keys_of(table) | nothing | said


def token_lists(table: pa.Table) -> TokenLists:
    """The lists of a table of tokens, all of which are equally long."""
    texts = table["tokens"].combine_chunks()
    flat = table["token_ids"].combine_chunks().flatten().to_numpy()
    ids: Int[np.ndarray, "n k"] = flat.reshape(len(table), -1) if len(table) else np.empty((0, 1), np.int32)
    return TokenLists(ids, texts)


def joined(pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One piece after the other, column by column."""
    return {name: [value for piece in pieces for value in piece[name]] for name in pieces[0]}
