"""Cue prompts and target tokens of an edit: written by a person, or places of a text; and tokens matched in
frequency."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from torch import nn

from svdlens.errors import SvdlensError
from svdlens.models.token_windows import first_token, plain_tokenizer, positions_of, prompt_tokens, single_token

N_PROMPTS = 16
"""Cue prompts that are taken from a text, at most."""
LENGTH = 32
"""Their tokens, the model's first token among them; half of what the model can take, if that is less."""
N_TARGETS = 10
"""Tokens of a list that are targets, its best."""
NEAREST = 20
"""A target is matched with one of so many tokens that are nearest to it in frequency rank."""
WANTED = 'Each line is an object such as {"prompt": "The sky is", "targets": ["blue", "grey"]}.'


class Cue(NamedTuple):
    """A prompt as token ids, and the ids of the tokens whose log-probability after it is measured. text: of the prompt;
    words: the targets as they were written, or the texts of their tokens."""

    ids: list[int]
    targets: list[int]
    text: str
    words: list[str]


def read_prompts(path: Path) -> list[dict[str, Any]]:
    """The prompts in a file of JSON lines, {"prompt": text, "targets": [words]} each; empty lines are ignored.

    Raises SvdlensError, with the number of the line, for what is no such object, and for a file without any.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SvdlensError(
            f"{path} cannot be read as UTF-8 text ({error}). Give a file of JSON lines. {WANTED}"
        ) from error
    prompts = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SvdlensError(f"{where}: no JSON ({error}). {WANTED}") from error
        if not isinstance(entry, dict) or set(entry) != {"prompt", "targets"}:
            raise SvdlensError(f"{where}: {line[:80]!r} has not just `prompt` and `targets`. {WANTED}")
        prompt, targets = entry["prompt"], entry["targets"]
        if not isinstance(prompt, str) or not prompt.strip():
            raise SvdlensError(f"{where}: the prompt {prompt!r} is no text. {WANTED}")
        if not isinstance(targets, list) or not targets or not all(isinstance(t, str) and t.strip() for t in targets):
            raise SvdlensError(f"{where}: the targets {targets!r} are no list of words. {WANTED}")
        prompts.append(entry)
    if not prompts:
        raise SvdlensError(f"{path} has no prompt. {WANTED}")
    return prompts


def written_cues(prompts: Iterable[Mapping[str, Any]], model: nn.Module, directory: Path) -> list[Cue]:
    """Prompts that a person wrote, with their target words as tokens. White space at the end of a prompt is left out:
    it belongs to the token that comes next.

    Raises SvdlensError for a prompt that the model cannot take, and for all target words that are no single token.
    """
    cues: list[Cue] = []
    split: dict[str, list[str]] = {}
    for entry in prompts:
        prompt = entry["prompt"].rstrip()
        tokens = {word: target_token(word, directory) for word in entry["targets"]}
        split |= {word: found for word, found in tokens.items() if isinstance(found, list)}
        ids = prompt_tokens(prompt, model, directory)[0].tolist()
        if len(ids) == positions_of(model):
            raise SvdlensError(
                f"the prompt {prompt[:40]!r}... has {len(ids)} tokens, all that the model can take, and none can "
                "follow. Shorten it."
            )
        # A word with and without a space is one target, since both are the same token.
        by_id: dict[int, str] = {}
        for word, found in tokens.items():
            if isinstance(found, int):
                by_id.setdefault(found, word)
        cues.append(Cue(ids, list(by_id), prompt, list(by_id.values())))
    if split:
        words = "; ".join(f"{word!r} is {' + '.join(map(repr, pieces))}" for word, pieces in split.items())
        raise SvdlensError(
            f"target words that are no single token of the vocabulary: {words}. The probability of a first piece is "
            "not that of the word: write words that are one token, or the piece itself as a target."
        )
    return cues


def target_token(word: str, directory: Path) -> int | list[str]:
    """The id of a target word: with a space before it, as words have it in a text, or else as it is written. The texts
    of its pieces where neither is one token."""
    spaced = word if word[0].isspace() else f" {word}"
    for text in dict.fromkeys((spaced, word)):
        token = single_token(text, directory)
        if token is not None:
            return token
    return pieces_of(spaced, directory)


def pieces_of(text: str, directory: Path) -> list[str]:
    """The parts of a text that its tokens stand for."""
    encoded = plain_tokenizer(directory).encode(text, add_special_tokens=False)
    return [text[start:end] for start, end in encoded.offsets]


def text_cues(
    ids: Sequence[int], targets: Sequence[int], texts: Sequence[str], model: nn.Module, n: int = N_PROMPTS
) -> list[Cue]:
    """The tokens before places of a text (its `ids`) at which one of the targets comes next, spread evenly over all
    such places; where they are fewer than `n`, then other places as well, spread evenly. texts: of each token id."""
    start = first_token(model)
    length = min(LENGTH, positions_of(model) // 2) - len(start)
    places = np.arange(length, len(ids))
    wanted = places[np.isin(np.asarray(ids)[length:], targets)]
    others = np.setdiff1d(places, wanted)
    chosen = np.concatenate([spread(wanted, n), spread(others, n - min(n, len(wanted)))])
    words = [texts[target] for target in targets]
    return [
        Cue([*start, *ids[i - length : i]], list(targets), "".join(texts[id] for id in ids[i - length : i]), words)
        for i in np.sort(chosen).tolist()
    ]


def spread(values: np.ndarray, n: int) -> np.ndarray:
    """`n` of the values, or all if they are fewer, from the first to the last in even steps."""
    n = min(n, len(values))
    return values[np.linspace(0, len(values) - 1, n).round().astype(int)] if n else values[:0]


def list_targets(lists: Sequence[Sequence[int]], without: Iterable[int] = ()) -> list[int]:
    """The best tokens of several lists, the first of each, then the second of each, and so on: N_TARGETS of them."""
    left_out = set(without)
    in_turn = [token for rank in range(max(map(len, lists))) for one in lists for token in one[rank : rank + 1]]
    return [token for token in dict.fromkeys(in_turn) if token not in left_out][:N_TARGETS]


def matched_tokens(
    targets: Iterable[int],
    log_ranks: Float[np.ndarray, " d_vocab"],
    is_word: Bool[np.ndarray, " d_vocab"],
    without: Iterable[int],
    seed: int,
) -> dict[int, int]:
    """For each target another token, words for words: one of the NEAREST in frequency rank, drawn at random; none
    twice, and none of `without`, as long as the vocabulary has such, as that of a small model need not."""
    random = np.random.default_rng(seed)
    targets = list(targets)
    others = np.ones(len(log_ranks), dtype=bool)
    others[targets] = False
    free = others.copy()
    free[[*without]] = False
    matched = {}
    for target in targets:
        alike = is_word == is_word[target]
        able = next(filter(len, map(np.flatnonzero, (free & alike, free, others & alike, others))))
        nearest = able[np.argsort(np.abs(log_ranks[able] - log_ranks[target]), kind="stable")[:NEAREST]]
        matched[target] = int(random.choice(nearest))
        free[matched[target]] = False
    return matched
