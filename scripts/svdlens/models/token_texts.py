"""The text of every token of a model."""

import re
from pathlib import Path
from typing import Any

from svdlens.models.tokenizer_files import load_tokenizer

# How tokenizers after SentencePiece (Kudo & Richardson 2018) write the bytes of what no piece has.
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def byte_alphabet() -> dict[str, int]:
    """The printable characters that byte-level tokenizers write for the 256 bytes (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


ALPHABET = byte_alphabet()


def read_vocabulary(directory: Path) -> list[str]:
    """The text of each token id, as transformers decodes it after another token: with its leading space.

    Two things are not lost, as they are in decoding: bytes that are no UTF-8 are \\xNN, and continuations of a word
    keep the ## that WordPiece writes before them; its other tokens begin words, though no space is part of them. An id
    without a token is "". Raises SvdlensError when there is no tokenizer.
    """
    tokenizer, ids = load_tokenizer(directory, str(directory))
    decoder = tokenizer.decoder
    described = decoder.__getstate__().decode("utf-8") if decoder else ""  # as tokenizer.json has it
    texts = [""] * (max(ids) + 1)
    for id in ids:
        # Not get_vocab: tokens that were added to a normalised vocabulary are decoded as they are normalised.
        texts[id] = token_text(str(tokenizer.id_to_token(id)), decoder, described)
    return texts


def token_text(piece: str, decoder: Any, described: str) -> str:
    """The text of a token. decoder: of the library tokenizers, or None; described: its JSON."""
    if "ByteLevel" in described:
        return byte_level_text(piece)
    byte = BYTE_PIECE.fullmatch(piece) if "ByteFallback" in described else None
    if byte:
        return visible(bytes.fromhex(byte[1]))
    if decoder is None or "WordPiece" in described:
        return piece
    # As it stands in a text: what comes first in one loses its space.
    return str(decoder.decode(["x", piece])).removeprefix("x")


def byte_level_text(piece: str) -> str:
    """The text of a token as a byte-level tokenizer writes it; as it is written where a character stands for no byte.

    Added tokens are read alike, as transformers does: most have a character, such as a space, that stands for no byte.
    """
    if all(character in ALPHABET for character in piece):
        return visible(bytes(ALPHABET[character] for character in piece))
    return piece


def visible(raw: bytes) -> str:
    """UTF-8 as text, and bytes that are none as \\xNN."""
    return raw.decode("utf-8", errors="backslashreplace")
