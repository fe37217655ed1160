"""The tokenizer of a model, whatever files it consists of.

In every function `where` begins the messages of errors; it says which model it is and where it lies.
"""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from svdlens.errors import SvdlensError
from svdlens.models.byte_order_marks import without_marks
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.safetensors_files import read_json

WHOLE = "tokenizer.json"
# What transformers makes a tokenizer of where there is no tokenizer.json: of byte-level ones, WordPiece, SentencePiece.
PARTS = (("vocab.json", "merges.txt"), ("vocab.txt",), ("tokenizer.model",))
ADDED = "added_tokens.json"
SETTINGS = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
SAVE_AGAIN = "Save it anew with AutoTokenizer.from_pretrained(...).save_pretrained(...), which writes tokenizer.json."


def tokenizer_files(available: set[str]) -> set[str]:
    """The names, of those available in a directory or repository, of files of the tokenizer; none where it has none.

    vocab.json and merges.txt belong to it beside a tokenizer.json, too: they have the order of merges.
    """
    parts = next((set(names) for names in PARTS if set(names) <= available), set())
    if WHOLE in available:
        parts = {WHOLE, "vocab.json", "merges.txt"}
    return available & (parts | {ADDED, SETTINGS, SPECIAL}) if parts else set()


def load_tokenizer(directory: Path, where: str) -> tuple[Tokenizer, list[int]]:
    """The tokenizer as transformers reads it, and the ids that have a token, in order.

    tokenizer.json alone will do where it has every token that the other files name, and saves importing transformers.
    Tokens that transformers appends without an id in any file count as far as the model has rows for them. Raises
    SvdlensError where there is no tokenizer, or a damaged one.
    """
    added, named = added_ids(directory, where), named_tokens(directory, where)
    ids: set[int] = set()
    with without_marks(directory) as readable:
        if (readable / WHOLE).exists():
            try:
                tokenizer = Tokenizer.from_file(str(readable / WHOLE))
            except Exception as error:  # the library raises plain Exception
                raise SvdlensError(f"{where}: {WHOLE} is no tokenizer ({error}). Fetch or copy it again.") from error
            ids = set(tokenizer.get_vocab().values())
            if added.keys() | named <= tokenizer.get_vocab().keys():
                return tokenizer, sorted(ids)
        tokenizer = assemble_tokenizer(readable, where)
    ids |= {*tokenizer.get_vocab(with_added_tokens=False).values(), *added.values()}
    rows = embedding_rows(directory, where)
    return tokenizer, sorted(id for id in tokenizer.get_vocab().values() if rows is None or id < rows or id in ids)


def assemble_tokenizer(directory: Path, where: str) -> Tokenizer:
    """What transformers makes of all files together. Raises SvdlensError if it cannot."""
    names = {path.name for path in directory.iterdir()}
    if not tokenizer_files(names):
        raise SvdlensError(
            f"{where}: no tokenizer.json, and neither vocab.json with merges.txt nor vocab.txt nor tokenizer.model. "
            f"Put the model's tokenizer there."
        )
    if WHOLE not in names and "vocab.json" in names:
        check_ids("vocab.json", read_json(directory / "vocab.json", where), where)
    # Slow to import, and seldom needed.
    from transformers import AutoTokenizer, GPT2Tokenizer

    # Where nothing says which kind it is, or what does fits only a tokenizer.json, vocab.json means a byte-level one.
    readers: list[Any] = [AutoTokenizer, GPT2Tokenizer] if "vocab.json" in names else [AutoTokenizer]
    problems = []
    for reader in readers:
        try:
            tokenizer = reader.from_pretrained(directory, trust_remote_code=False, local_files_only=True)
            backend: Tokenizer = tokenizer.backend_tokenizer
            return backend
        except Exception as error:  # of many kinds
            problems.append(error)
    raise SvdlensError(
        f"{where}: transformers makes no tokenizer of {', '.join(sorted(tokenizer_files(names)))} "
        f"({' '.join(str(problems[0]).split())}). {SAVE_AGAIN}"
    ) from problems[0]


def check_ids(file: str, ids: dict[str, Any], where: str) -> None:
    """Raises SvdlensError unless the ids of a vocabulary are whole numbers, 0 or more, and there is one."""
    for token, number in ids.items():
        if type(number) is not int or number < 0:
            raise SvdlensError(
                f"{where}: {file} has {number!r} as the id of the token {token!r}, not a whole number. "
                f"Use the tokenizer that was saved with these weights."
            )
    if not ids:
        raise SvdlensError(f"{where}: {file} has no token. Use the tokenizer that was saved with these weights.")


def added_ids(directory: Path, where: str) -> dict[str, int]:
    """The tokens that files beside the vocabulary give an id: {text: id} of added_tokens.json, and of the settings."""
    ids = read_if_there(directory / ADDED, where)
    for number, token in as_dict(read_if_there(directory / SETTINGS, where).get("added_tokens_decoder")).items():
        ids |= {text: int(number) for text in texts_of(token) if number.isdecimal()}
    if ids:
        check_ids(ADDED, ids, where)
    return ids


def named_tokens(directory: Path, where: str) -> set[str]:
    """The special tokens that files beside the vocabulary name, with or without an id."""
    texts: set[str] = set()
    for file in (SETTINGS, SPECIAL):
        for key, value in read_if_there(directory / file, where).items():
            if key.endswith(("_token", "_special_tokens")):
                texts |= texts_of(value)
    return texts


def texts_of(value: Any) -> set[str]:
    """The texts in an entry of such a file: a text, {"content": text}, or a list or mapping of these."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return texts_of(value["content"]) if "content" in value else texts_of(list(value.values()))
    return set().union(*map(texts_of, value)) if isinstance(value, list) else set()


def embedding_rows(directory: Path, where: str) -> int | None:
    """The rows of the embedding as config.json beside the tokenizer has it; None where there is no config.json."""
    config = read_if_there(directory / "config.json", where)
    layout = LAYOUTS.get(str(config.get("model_type")))
    rows = config.get("vocab_size", layout.defaults.get("vocab_size") if layout else None)
    return rows if isinstance(rows, int) else None


def read_if_there(path: Path, where: str) -> dict[str, Any]:
    return read_json(path, where) if path.exists() else {}


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
