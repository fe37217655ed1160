"""Words of a query as tokens of a model."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Bool, Float

from svdlens.artefacts.atomic_files import write_text
from svdlens.errors import SvdlensError
from svdlens.vocabulary.token_classes import MOST_FREQUENT


class QueryTokens(NamedTuple):
    """The ids of the tokens of each word: one, or the pieces that the tokenizer splits it into."""

    words: list[str]
    ids: list[list[int]]

    @property
    def split(self) -> dict[str, list[int]]:
        """The words that are no single token, and their pieces."""
        return {word: ids for word, ids in zip(self.words, self.ids, strict=True) if len(ids) > 1}


def save_queries(path: Path, queries: Mapping[str, QueryTokens]) -> None:
    """Write queries, by name, as JSON."""
    write_text(path, json.dumps({name: tokens._asdict() for name, tokens in queries.items()}, ensure_ascii=False))


def read_queries(path: Path) -> dict[str, QueryTokens]:
    """What save_queries wrote."""
    return {name: QueryTokens(**tokens) for name, tokens in json.loads(path.read_text(encoding="utf-8")).items()}


def read_log_ranks(features: Path) -> Float[np.ndarray, " d_vocab"]:
    """The natural logarithm of the frequency rank of each token, of a table of its features."""
    return pq.ParquetFile(features).read(columns=["log_rank"])["log_rank"].to_numpy()


def query_tokens(
    query: str,
    words: Sequence[str],
    texts: Sequence[str],
    log_ranks: Float[np.ndarray, " d_vocab"],
    split: Callable[[str], list[int]],
) -> QueryTokens:
    """The tokens of the `words` of a `query`, by the `texts` of the tokens.

    A word is the token that it is inside a sentence, with a space before it, or else without; one that begins with a
    space is taken as it stands. Where there is neither, `split` says the ids of its pieces. `log_ranks`: natural
    logarithm of the frequency rank of each token.

    Raises SvdlensError for a word that is in no token, cut into pieces that are no text, there twice, or among the
    most frequent tokens: every direction has something of these, so that they find nothing. That there are words, and
    none is empty, check_configuration has seen to.
    """
    by_text = {text: id for id, text in reversed(list(enumerate(texts))) if text}
    frequent = too_frequent(log_ranks)
    found = [word_tokens(query, word, texts, by_text, split) for word in words]
    for number, (word, ids) in enumerate(zip(words, found, strict=True)):
        if ids in found[:number]:
            raise SvdlensError(
                f"trace.queries.{query}: {word!r} and {words[found.index(ids)]!r} are the same token. Leave one out."
            )
        if len(ids) == 1 and frequent[ids[0]]:
            raise SvdlensError(
                f"trace.queries.{query}: {word!r} is one of the {MOST_FREQUENT} most frequent tokens, which nearly "
                "every direction has something of. Take words that say what the concept is."
            )
    return QueryTokens(list(words), found)


def too_frequent(log_ranks: Float[np.ndarray, " d_vocab"]) -> Bool[np.ndarray, " d_vocab"]:
    """Which tokens are among the MOST_FREQUENT."""
    return log_ranks <= np.sort(log_ranks)[min(MOST_FREQUENT, len(log_ranks)) - 1]


def word_tokens(
    query: str, word: str, texts: Sequence[str], by_text: dict[str, int], split: Callable[[str], list[int]]
) -> list[int]:
    """The ids of one word. Raises SvdlensError as query_tokens does."""
    for text in (word,) if word[0].isspace() else (f" {word}", word):
        if text in by_text:
            return [by_text[text]]
    ids = split(word)
    if not ids or any(not 0 <= id < len(texts) or not texts[id] for id in ids):
        raise SvdlensError(
            f"trace.queries.{query}: {word!r} is not in the vocabulary, nor are parts of it. Take another word."
        )
    if not any(character.isalnum() for id in ids for character in readable(texts[id])):
        pieces = ", ".join(repr(texts[id]) for id in ids)
        raise SvdlensError(
            f"trace.queries.{query}: the vocabulary has {word!r} only as the pieces {pieces}, which are no text by "
            "themselves. Take a word of a language that the model was trained on."
        )
    return ids


def readable(text: str) -> str:
    """The text of a token without bytes that are no UTF-8, which are written as \\xNN."""
    parts = text.split("\\x")
    return parts[0] + "".join(part[2:] for part in parts[1:])
