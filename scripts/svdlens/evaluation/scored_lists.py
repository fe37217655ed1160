"""Lists of tokens with labels, made ready for the tests of label_tests.py."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from svdlens.errors import SvdlensError
from svdlens.evaluation.token_label_fit import known_groups, padded_rows
from svdlens.vocabulary.list_similarity import LIST_LENGTH, ROWS_AT_ONCE
from svdlens.vocabulary.word_forms import text_key


class Vocabulary(NamedTuple):
    """Of each token id its text, a number shared by tokens that count as one (those that differ in case or surrounding
    spaces at least), and its log rank (token_frequency.log_ranks).
    """

    texts: list[str]
    groups: Int[np.ndarray, " d_vocab"]
    log_ranks: Float[np.ndarray, " d_vocab"]


class LabelledLists(NamedTuple):
    """Lists of one model, setting, matrix and read-out: token ids best first (-1: none), a label or None, the
    evidence for it, the layer, and a number that rows share only where they are of the same direction.

    Lists without a label are not scored, but are among what labels are held against.
    """

    ids: Int[np.ndarray, "n k"]
    labels: Sequence[str | None]
    evidence: Sequence[Sequence[str]]
    layers: Int[np.ndarray, " n"]
    directions: Int[np.ndarray, " n"]


class Prepared(NamedTuple):
    """Lists in an order of their own, so that the order in which they came is forgotten.

    `first` are the first LIST_LENGTH distinct tokens, those that a labeller sees, `later` the distinct ones after them
    that are not evidence (-1: none). `familiar` are the groups of all tokens and of the evidence. `rows` have labels.
    """

    lists: LabelledLists
    first: Int[np.ndarray, "n 15"]
    later: Int[np.ndarray, "n _"]
    familiar: Int[np.ndarray, "n _"]
    rows: Int[np.ndarray, " labelled"]
    labels: list[str]
    evidence: list[list[str]]


def lists_of_tables(tokens: pd.DataFrame, labels: pd.DataFrame) -> LabelledLists:
    """The rows of a tokens table and of its labels table, of one matrix and read-out, in the same order.

    Columns: token_ids; layer, head, index, side, label, evidence.
    """
    direction = labels.groupby(["layer", "head", "index", "side"], dropna=False, observed=True).ngroup()
    named = labels["label"].astype(object).where(labels["label"].notna(), None)
    return LabelledLists(
        padded_rows(tokens["token_ids"].tolist()),
        named.tolist(),
        [[] if texts is None else list(texts) for texts in labels["evidence"]],
        labels["layer"].fillna(-1).to_numpy(np.int64),
        direction.to_numpy(),
    )


def shuffled_labels(lists: LabelledLists, seed: int) -> LabelledLists:
    """Labels and evidence dealt out anew among the labelled lists of each layer, which keeps what they say of it."""
    lists = in_own_order(lists)
    generator = np.random.default_rng(seed)
    labelled = np.array([label is not None for label in lists.labels], dtype=bool)
    source = list(range(len(lists.ids)))
    for layer in np.unique(lists.layers):
        rows = np.flatnonzero(labelled & (lists.layers == layer))
        for row, other in zip(rows, generator.permutation(rows), strict=True):
            source[row] = int(other)
    return lists._replace(
        labels=[lists.labels[row] for row in source], evidence=[lists.evidence[row] for row in source]
    )


def with_fewer_labels(lists: LabelledLists, most: int, seed: int) -> LabelledLists:
    """Of more labels than `most`, so many, drawn at random whatever the order of the lists; the others become None."""
    lists = in_own_order(lists)
    labelled = [row for row, label in enumerate(lists.labels) if label is not None]
    if len(labelled) <= most:
        return lists
    chosen = set(np.random.default_rng(seed).choice(labelled, most, replace=False).tolist())
    labels = [label if row in chosen else None for row, label in enumerate(lists.labels)]
    return lists._replace(
        labels=labels, evidence=[lists.evidence[row] if row in chosen else [] for row in range(len(labels))]
    )


def in_own_order(lists: LabelledLists) -> LabelledLists:
    """The same lists by layer, tokens, direction and label. Raises SvdlensError for columns of different lengths."""
    lengths = {name: len(column) for name, column in lists._asdict().items()}
    if len(set(lengths.values())) > 1:
        raise SvdlensError(f"lists to score have columns of different lengths ({lengths}). Give each row one value.")
    texts = [f"{label}\n{list(evidence)}" for label, evidence in zip(lists.labels, lists.evidence, strict=True)]
    rank_of_text = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    ranks = np.array([rank_of_text[text] for text in texts], np.int64)
    # Bytes of unsigned numbers, the most significant first, are in the order of the rows of numbers.
    rows = np.ascontiguousarray(lists.ids + 1, dtype=">u4").view(f"V{4 * lists.ids.shape[1]}").ravel()
    rank_of_ids = np.unique(rows, return_inverse=True)[1] if lists.ids.size else np.zeros(len(lists.ids), np.int64)
    order = np.lexsort((ranks, lists.directions, rank_of_ids, lists.layers))
    return LabelledLists(
        lists.ids[order],
        [lists.labels[row] for row in order],
        [list(lists.evidence[row]) for row in order],
        lists.layers[order],
        lists.directions[order],
    )


def prepare(lists: LabelledLists, vocabulary: Vocabulary) -> Prepared:
    """See Prepared. Raises SvdlensError for ids that are not in the vocabulary and for columns of different lengths."""
    if lists.ids.size and lists.ids.max() >= len(vocabulary.texts):
        raise SvdlensError(
            f"lists to score have the token id {lists.ids.max()}, but the vocabulary ends at "
            f"{len(vocabulary.texts) - 1}. Score them with the tokenizer of their own model."
        )
    lists = in_own_order(lists)
    groups = np.where(lists.ids >= 0, vocabulary.groups[lists.ids], -1)
    distinct = np.zeros(lists.ids.shape, dtype=bool)
    earlier = np.tri(groups.shape[1], k=-1, dtype=bool)
    for start in range(0, len(groups), ROWS_AT_ONCE):
        part = groups[start : start + ROWS_AT_ONCE]
        seen_before = ((part[:, :, None] == part[:, None, :]) & earlier).any(axis=2)
        distinct[start : start + ROWS_AT_ONCE] = ~seen_before & (part >= 0)
    seen = distinct & (np.cumsum(distinct, axis=1) <= LIST_LENGTH)
    group_of_key = dict(zip(map(text_key, vocabulary.texts), vocabulary.groups.tolist(), strict=True))
    evidence = known_groups(lists.evidence, group_of_key)
    is_evidence = np.zeros(lists.ids.shape, dtype=bool)
    for column in evidence.T:
        is_evidence |= groups == column[:, None]
    rows = np.array([row for row, label in enumerate(lists.labels) if label is not None], dtype=np.int64)
    return Prepared(
        lists,
        leading(lists.ids, seen, LIST_LENGTH),
        leading(lists.ids, distinct & ~seen & ~is_evidence, max(lists.ids.shape[1] - LIST_LENGTH, 0)),
        np.concatenate([groups, evidence], axis=1),
        rows,
        [str(lists.labels[row]) for row in rows],
        [list(lists.evidence[row]) for row in rows],
    )


def leading(ids: Int[np.ndarray, "n k"], keep: Bool[np.ndarray, "n k"], width: int) -> Int[np.ndarray, "n width"]:
    """The kept ids of each row, in their order, and -1 after them."""
    kept = np.where(keep, ids, -1)
    order = np.argsort(~keep, axis=1, kind="stable")[:, :width]
    padded = np.full((len(ids), width), -1, dtype=np.int64)
    padded[:, : order.shape[1]] = np.take_along_axis(kept, order, axis=1)
    return padded
