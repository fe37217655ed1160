"""Token lists from elsewhere: read from a file, found in a vocabulary."""

import json
from pathlib import Path
from typing import NamedTuple

from svdlens.errors import SvdlensError


class ExternalList(NamedTuple):
    id: str
    tokens: list[str]


def read_lists(path: Path) -> list[ExternalList]:
    """The lists in a file of JSON lines, {"id": text, "tokens": [texts]} each, best token first; further keys are
    ignored, and so are empty lines.

    Raises SvdlensError, with the number of the line, for what is no such object and for an id that comes twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SvdlensError(f"{path} cannot be read as UTF-8 text ({error}). Give a file of JSON lines.") from error
    lists: dict[str, ExternalList] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        given = parse_line(line, f"{path}, line {number}")
        if given.id in lists:
            raise SvdlensError(f"{path}, line {number}: the id {given.id!r} was there before. Give each list its own.")
        lists[given.id] = given
    return list(lists.values())


def parse_line(line: str, where: str) -> ExternalList:
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
    return ExternalList(str(id), tokens)


def find_tokens(lists: list[ExternalList], texts: list[str]) -> list[list[int]]:
    """The id of each token in a vocabulary; tokens that it does not have are left out.

    A token is the one of the same text, else the one with a space before it, else one that differs in case or
    surrounding spaces: lists are often shown without their spaces.
    """
    exact: dict[str, int] = {}
    loose: dict[str, int] = {}
    for id, text in enumerate(texts):
        exact.setdefault(text, id)
        loose.setdefault(text.strip().lower(), id)
    known_ids = []
    for given in lists:
        ids = (exact.get(t, exact.get(f" {t}", loose.get(t.strip().lower()))) for t in given.tokens)
        known_ids.append([id for id in ids if id is not None])
    return known_ids
