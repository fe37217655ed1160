"""The text of every token of a model."""

import json
from pathlib import Path

from tokenizers import Tokenizer

from svdlens.errors import SvdlensError


def byte_alphabet() -> dict[str, int]:
    """The printable characters that byte-level tokenizers write for the 256 bytes (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def read_vocabulary(directory: Path) -> list[str]:
    """The text of each token id, decoded alone: leading space kept, bytes that are no UTF-8 as \\xNN.

    Takes tokenizer.json, else vocab.json of a byte-level tokenizer. Raises SvdlensError when there is neither.
    """
    alphabet = byte_alphabet()
    if (directory / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        state = json.loads(tokenizer.to_str())
        special = {entry["id"] for entry in state["added_tokens"]}
        pieces = {id: piece for piece, id in tokenizer.get_vocab().items()}
        byte_level = "ByteLevel" in json.dumps(state["decoder"])
    elif (directory / "vocab.json").exists():
        tokenizer, special, byte_level = None, set(), True
        pieces = {id: piece for piece, id in json.loads((directory / "vocab.json").read_text("utf-8")).items()}
    else:
        raise SvdlensError(f"{directory} has neither tokenizer.json nor vocab.json; put the model's tokenizer there.")

    texts = []
    for id in range(max(pieces) + 1):
        piece = pieces.get(id, "")
        if byte_level and id not in special and all(character in alphabet for character in piece):
            raw = bytes(alphabet[character] for character in piece)
            texts.append(raw.decode("utf-8", errors="backslashreplace"))
        elif tokenizer is None or id in special or byte_level:
            texts.append(piece)
        else:
            texts.append(tokenizer.decode([id], skip_special_tokens=False))
    return texts
