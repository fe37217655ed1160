"""The text of every token of a model."""

import json
import re
from pathlib import Path

from tokenizers import Tokenizer

from svdlens.errors import SvdlensError

METASPACE = "▁"  # how tokenizers after SentencePiece (Kudo & Richardson 2018) write a space
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")  # and how they write the bytes of what no piece has


def byte_alphabet() -> dict[str, int]:
    """The printable characters that byte-level tokenizers write for the 256 bytes (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


ALPHABET = byte_alphabet()


def read_vocabulary(directory: Path) -> list[str]:
    """The text of each token id, decoded alone: leading space kept, bytes that are no UTF-8 as \\xNN.

    Continuations of a word keep the ## that WordPiece writes before them; its other tokens begin words, though no
    space is part of them. An id without a token is "". Takes tokenizer.json, else vocab.json of a byte-level
    tokenizer. Raises SvdlensError when there is neither.
    """
    if (directory / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        pieces = {id: piece for piece, id in tokenizer.get_vocab().items()}
        state = json.loads(tokenizer.to_str())
        added = {entry["id"] for entry in state["added_tokens"]}
        decoder = json.dumps(state["decoder"], ensure_ascii=False)
        if "ByteLevel" in decoder:
            texts = {id: piece if id in added else byte_level_text(piece) for id, piece in pieces.items()}
        elif METASPACE in decoder:
            texts = {id: metaspace_text(piece) for id, piece in pieces.items()}
        elif "WordPiece" in decoder:
            texts = pieces
        else:
            texts = {
                id: piece if id in added else tokenizer.decode([id], skip_special_tokens=False)
                for id, piece in pieces.items()
            }
    elif (directory / "vocab.json").exists():
        pieces = {id: piece for piece, id in json.loads((directory / "vocab.json").read_text("utf-8")).items()}
        texts = {id: byte_level_text(piece) for id, piece in pieces.items()}
    else:
        raise SvdlensError(f"{directory} has neither tokenizer.json nor vocab.json; put the model's tokenizer there.")
    return [texts.get(id, "") for id in range(max(texts) + 1)]


def byte_level_text(piece: str) -> str:
    """The text of a token as a byte-level tokenizer writes it.

    Special tokens have characters that stand for no byte, and are as they are written.
    """
    if all(character in ALPHABET for character in piece):
        return visible(bytes(ALPHABET[character] for character in piece))
    return piece


def metaspace_text(piece: str) -> str:
    """The text of a token as a tokenizer after SentencePiece writes it.

    The library's own decoding of a single piece would drop its leading space.
    """
    byte = BYTE_PIECE.fullmatch(piece)
    return visible(bytes.fromhex(byte[1])) if byte else piece.replace(METASPACE, " ")


def visible(raw: bytes) -> str:
    """UTF-8 as text, and bytes that are none as \\xNN."""
    return raw.decode("utf-8", errors="backslashreplace")
