"""Token lists from elsewhere: read from a file, found in a vocabulary, labelled."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from svdlens.errors import SvdlensError
from svdlens.labels.coherence.labeller import Coherence, abstained
from svdlens.labels.coherence.nulls import NULL_LISTS
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


class GivenList(NamedTuple):
    id: str
    tokens: list[str]


def read_lists(path: Path) -> list[GivenList]:
    """The lists in a file of JSON lines, {"id": text, "tokens": [texts]} each, best token first; further keys are
    ignored, and so are empty lines.

    Raises SvdlensError, with the number of the line, for what is no such object and for an id that comes twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SvdlensError(f"{path} cannot be read as UTF-8 text ({error}). Give a file of JSON lines.") from error
    lists: dict[str, GivenList] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        given = parse_line(line, f"{path}, line {number}")
        if given.id in lists:
            raise SvdlensError(f"{path}, line {number}: the id {given.id!r} was there before. Give each list its own.")
        lists[given.id] = given
    return list(lists.values())


def parse_line(line: str, where: str) -> GivenList:
    wanted = 'Each line is an object such as {"id": "a", "tokens": [" fire", " ice"]}.'
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SvdlensError(f"{where}: no JSON ({error}). {wanted}") from error
    if not isinstance(entry, dict) or not {"id", "tokens"} <= set(entry):
        raise SvdlensError(f"{where}: {line[:80]!r} has no `id` and `tokens`. {wanted}")
    id, tokens = entry["id"], entry["tokens"]
    if not isinstance(id, str | int) or isinstance(id, bool):
        raise SvdlensError(f"{where}: the id {id!r} is neither text nor a whole number. {wanted}")
    if any("\ud800" <= character <= "\udfff" for character in str(id)):
        raise SvdlensError(f"{where}: the id {id!r} has half of a surrogate pair, which no file can hold. Correct it.")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise SvdlensError(f"{where}: `tokens` is no list of texts. {wanted}")
    return GivenList(str(id), tokens)


def find_tokens(lists: list[GivenList], texts: list[str]) -> list[list[int]]:
    """The id of each token in a vocabulary; tokens that it does not have are left out.

    A token is the one of the same text, else the one with a space before it, else one that differs in case or
    surrounding spaces: lists are often shown without their spaces.
    """
    exact: dict[str, int] = {}
    loose: dict[str, int] = {}
    for id, text in enumerate(texts):
        exact.setdefault(text, id)
        loose.setdefault(text.strip().lower(), id)
    found = []
    for given in lists:
        ids = (exact.get(t, exact.get(f" {t}", loose.get(t.strip().lower()))) for t in given.tokens)
        found.append([id for id in ids if id is not None])
    return found


def label_lists(
    lists: list[GivenList], vocabulary: KnownVocabulary, level: float, seed: int
) -> tuple[dict[str, object], dict[str, object]]:
    """Columns of the table of labelled lists, and facts: the null that was taken, and how many tokens are unknown.

    Lists with fewer than FEWEST_TOKENS distinct tokens that the vocabulary has are abstained from. Fewer than
    FEWEST_TO_SHUFFLE others have lists drawn from the vocabulary as their null. There is no direction null.
    """
    found = find_tokens(lists, vocabulary.texts)
    longest = max([LIST_LENGTH, *map(len, found)])
    labelled_rows = [row for row, ids in enumerate(found) if ids]
    # Repeats are not counted, so the first token may fill up a list.
    ids = np.array([found[row] + found[row][:1] * (longest - len(found[row])) for row in labelled_rows], np.int64)
    ids = ids.reshape(len(labelled_rows), longest)
    distinct = first_distinct(ids, vocabulary.classes.groups)
    enough = int((distinct.used.sum(axis=1) >= FEWEST_TOKENS).sum())
    shuffle = enough >= FEWEST_TO_SHUFFLE
    null_lists = None if shuffle or not enough else drawn_lists(distinct, vocabulary, seed)
    of_rows = Coherence(vocabulary, level, seed).label({"tokens": ids}, null_lists)["tokens"]
    of_rows["mean_log_rank"] = mean_log_rank(distinct.ids, distinct.used, vocabulary.log_ranks)
    columns = {**abstained(len(lists)), "mean_log_rank": np.full(len(lists), np.nan)}
    for name, values in columns.items():
        whole = list(values)  # type: ignore[call-overload]
        for row, value in zip(labelled_rows, list(of_rows[name]), strict=True):  # type: ignore[call-overload]
            whole[row] = value
        columns[name] = whole
    n_tokens = sum(len(given.tokens) for given in lists)
    facts: dict[str, object] = {
        "null": SHUFFLED if shuffle else DRAWN,
        "n_tokens": n_tokens,
        "n_unknown_tokens": n_tokens - sum(map(len, found)),
    }
    return {"id": [given.id for given in lists], "labeller": ["coherence"] * len(lists), **columns}, facts


def drawn_lists(given: DistinctLists, vocabulary: KnownVocabulary, seed: int) -> DistinctLists:
    """NULL_LISTS lists of tokens of the vocabulary, each near in frequency to a token that was given.

    Any tokens would not do: most of a vocabulary is rarer than what lists have, and rare tokens have less in common.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(vocabulary.log_ranks, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    like = rng.choice(given.ids[given.used], size=(NULL_LISTS, 2 * LIST_LENGTH))
    near = place[like] + rng.integers(-NEAREST // 2, NEAREST // 2 + 1, size=like.shape)
    drawn: Int[np.ndarray, "n k"] = order[np.clip(near, 0, len(order) - 1)]
    return first_distinct(drawn, vocabulary.classes.groups)
