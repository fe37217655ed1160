"""Token lists from elsewhere, labelled by `coherence`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from svdlens.labels.coherence.labeller import Coherence, abstained, vocabulary_from_files
from svdlens.labels.coherence.nulls import NULL_LISTS
from svdlens.labels.external_lists import ExternalList, find_tokens
from svdlens.labels.labeller import SINGULAR, Columns
from svdlens.readout.token_table import DistinctLists
from svdlens.vocabulary.list_similarity import FEWEST_TOKENS, LIST_LENGTH, first_distinct
from svdlens.vocabulary.token_features import KnownVocabulary
from svdlens.vocabulary.token_frequency import mean_log_rank

FEWEST_TO_SHUFFLE = 100
"""Lists, below which shuffles of them are too much like them to be a null."""
SHUFFLED = "shuffles of the given lists"
DRAWN = "lists drawn from the vocabulary, each token like one that was given in frequency"
NEAREST = 200
"""Tokens of a vocabulary, around a given one in the order of frequency, of which one is drawn."""


def label_external_lists(
    lists: list[ExternalList], files: Mapping[str, Path], parameters: Mapping[str, Any], seed: int
) -> tuple[Columns, dict[str, object]]:
    """Labels of `lists` with the vocabulary in `files` (labels/registry.py), and facts for the table's metadata."""
    vocabulary = vocabulary_from_files(files)
    columns, facts = label_lists(lists, vocabulary, parameters["level"], seed)
    return columns, facts | vocabulary.facts


def label_lists(
    lists: list[ExternalList], vocabulary: KnownVocabulary, level: float, seed: int
) -> tuple[dict[str, object], dict[str, object]]:
    """Columns of the table of labelled lists, and facts: the null that was taken, and how many tokens are unknown.

    Lists with fewer than FEWEST_TOKENS distinct tokens that the vocabulary has are abstained from. Fewer than
    FEWEST_TO_SHUFFLE others have lists drawn from the vocabulary as their null. There is no direction null.
    """
    known_ids = find_tokens(lists, vocabulary.texts)
    longest = max([LIST_LENGTH, *map(len, known_ids)])
    labelled_rows = [row for row, ids in enumerate(known_ids) if ids]
    # Repeats are not counted, so the first token may fill up a list.
    ids = np.array(
        [known_ids[row] + known_ids[row][:1] * (longest - len(known_ids[row])) for row in labelled_rows], np.int64
    )
    ids = ids.reshape(len(labelled_rows), longest)
    distinct = first_distinct(ids, vocabulary.classes.groups)
    enough = int((distinct.used.sum(axis=1) >= FEWEST_TOKENS).sum())
    shuffle = enough >= FEWEST_TO_SHUFFLE
    null_lists = None if shuffle or not enough else drawn_lists(distinct, vocabulary, seed)
    labels = Coherence(vocabulary, level, seed).label_ids({SINGULAR: ids}, null_lists)[SINGULAR]
    labels["mean_log_rank"] = mean_log_rank(distinct.ids, distinct.used, vocabulary.log_ranks)
    columns = {**abstained(len(lists)), "mean_log_rank": np.full(len(lists), np.nan)}
    for name, values in columns.items():
        whole = list(values)  # type: ignore[call-overload]
        for row, value in zip(labelled_rows, list(labels[name]), strict=True):  # type: ignore[call-overload]
            whole[row] = value
        columns[name] = whole
    n_tokens = sum(len(given.tokens) for given in lists)
    facts: dict[str, object] = {
        "null": SHUFFLED if shuffle else DRAWN,
        "n_tokens": n_tokens,
        "n_unknown_tokens": n_tokens - sum(map(len, known_ids)),
    }
    return {"id": [given.id for given in lists], "labeller": ["coherence"] * len(lists), **columns}, facts


def drawn_lists(given: DistinctLists, vocabulary: KnownVocabulary, seed: int) -> DistinctLists:
    """NULL_LISTS lists of tokens of the vocabulary, each near in frequency to a token that was given.

    Any tokens would not do: most of a vocabulary is rarer than what lists have, and rare tokens have less in common.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(vocabulary.log_ranks, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    like = rng.choice(given.ids[given.used], size=(NULL_LISTS, 2 * LIST_LENGTH))
    near = rank[like] + rng.integers(-NEAREST // 2, NEAREST // 2 + 1, size=like.shape)
    drawn: Int[np.ndarray, "n k"] = order[np.clip(near, 0, len(order) - 1)]
    return first_distinct(drawn, vocabulary.classes.groups)
