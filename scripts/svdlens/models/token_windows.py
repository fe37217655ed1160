"""Text as token ids for forward passes: windows of a long text, or one prompt."""

import functools
import json
import logging
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from tokenizers import Tokenizer
from torch import Tensor, nn

from svdlens.errors import SvdlensError
from svdlens.models.tokenizer_files import load_tokenizer

logger = logging.getLogger(__name__)

POSITION_KEYS = ("n_positions", "max_position_embeddings")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises SvdlensError if it has none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SvdlensError(
            f"{path} is no text in UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}). "
            "Save it as UTF-8 and run again."
        ) from error
    if not text.strip():
        raise SvdlensError(f"{path} has no text. Give a file with at least a sentence.")
    return text


def positions_of(model: nn.Module) -> int:
    """How many tokens the model can take at once."""
    return next(int(getattr(model.config, key)) for key in POSITION_KEYS if hasattr(model.config, key))


def first_token(model: nn.Module) -> list[int]:
    """The token that begins every text, as TransformerLens prepends it, if the configuration names one of the model's:
    transformers fills in GPT-2's where a config.json has none."""
    pretrained: Any = model
    number = getattr(pretrained.config, "bos_token_id", None)
    rows = pretrained.get_input_embeddings().num_embeddings
    return [number] if isinstance(number, int) and number < rows else []


def token_ids(text: str, directory: Path) -> list[int]:
    """The ids of a text by the tokenizer in `directory`, nothing put before or after."""
    return list(encoded(text, directory).ids)


def single_token(text: str, directory: Path) -> int | None:
    """The id of a text that is one token; None for one that is several, or that the vocabulary does not have, of which
    some tokenizers make a token for all that is unknown."""
    ids = token_ids(text, directory)
    if len(ids) != 1:
        return None
    spelt = plain_tokenizer(directory).id_to_token(ids[0]) == text.strip()
    return ids[0] if spelt or ids[0] != unknown_token(directory) else None


@functools.lru_cache(maxsize=1)
def unknown_token(directory: Path) -> int | None:
    """The id of what the tokenizer in `directory` makes of what is not in its vocabulary; None where it has no such."""
    tokenizer = plain_tokenizer(directory)
    model = json.loads(tokenizer.to_str())["model"]
    if "unk_id" in model:
        return None if model["unk_id"] is None else int(model["unk_id"])
    return tokenizer.token_to_id(model["unk_token"]) if model.get("unk_token") else None


def tokens_in_text(text: str, directory: Path) -> tuple[list[int], list[int]]:
    """The same, and with which character of the text each token begins, and at last where the last one ends."""
    encoding = encoded(text, directory)
    return list(encoding.ids), [begin for begin, _ in encoding.offsets] + [end for _, end in encoding.offsets[-1:]]


def encoded(text: str, directory: Path) -> Any:
    """What the tokenizer in `directory` makes of a text, nothing put before or after. Raises SvdlensError for half of
    a surrogate pair, which JSON and YAML can write and which is no character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SvdlensError(
            f"the text {text[:40]!r} has half a surrogate pair, {text[error.start]!r}, which is no character. Leave it "
            "out, or write the character itself."
        ) from error
    return plain_tokenizer(directory).encode(text, add_special_tokens=False)


@functools.lru_cache(maxsize=1)
def plain_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer in `directory`, which neither cuts nor pads; kept, since reading a large one takes time."""
    tokenizer, _ = load_tokenizer(directory, f"the tokenizer in {directory}")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def token_windows(text: str, model: nn.Module, directory: Path, length: int, tokens: int) -> Int[Tensor, "n length"]:
    """The first `tokens` of a text in windows of `length`, each with the model's first token before its text.

    What does not fill a window is left out; of a text that does not fill one, there is one that is shorter. length: at
    most what the model can take. Raises SvdlensError for a text without tokens.
    """
    start = first_token(model)
    body = length - len(start)
    ids = token_ids(text, directory)[:tokens]
    if not ids:
        raise SvdlensError(f"the text {text[:40]!r} has no token. Give one with at least a word.")
    body = min(body, len(ids))
    windows = [start + ids[i : i + body] for i in range(0, len(ids) - body + 1, body)]
    return torch.tensor(windows)


def prompt_tokens(prompt: str, model: nn.Module, directory: Path) -> Int[Tensor, "1 length"]:
    """A prompt with the model's first token before it. What is in it and not in the vocabulary is logged.

    Raises SvdlensError for a prompt without tokens, and for one that is longer than what the model can take.
    """
    ids = token_ids(prompt, directory)
    if not ids:
        raise SvdlensError(f"the prompt {prompt!r} has no token. Write at least a word.")
    unknown = unknown_token(directory)
    if unknown in ids:
        name = plain_tokenizer(directory).id_to_token(unknown)
        logger.warning("the prompt %r: what the vocabulary does not have the model reads as %s.", prompt, name)
    ids = first_token(model) + ids
    if len(ids) > positions_of(model):
        raise SvdlensError(
            f"the prompt {prompt[:40]!r}... has {len(ids)} tokens, and the model takes at most {positions_of(model)}. "
            "Shorten it."
        )
    return torch.tensor([ids])
