"""The files that a configuration names: where they are, and what tells whether their content is another.

Snakemake goes by the dates of files, which a copy keeps (`mv`, `cp -p`, `rsync -a`), and by their paths, which another
directory changes. Rules therefore have the digests of these files as a parameter. Imports nothing heavy: the Snakefile
asks for them.
"""

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from svdlens.errors import SvdlensError
from svdlens.models.python_packages import package_directory

WHOLE = 1 << 26  # bytes; up to this size a file is read as a whole
HEAD = 1 << 24  # bytes read at the start of a larger one: the headers of safetensors and GGUF, with its tokenizer
PIECE = 1 << 12  # bytes read every so often behind that
PIECES = 1 << 10  # at most so many, and not more than one for each MiB
OF_MODELS = (".safetensors", ".json", ".txt", ".model", ".parquet")
"""Endings of the files that models consist of; what else lies beside them changes nothing."""
OF_TOKENIZERS = (
    *("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "added_tokens.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "config.json", "token_counts.parquet"),
)


def named_paths(config: MutableMapping[str, Any]) -> Iterator[tuple[str, MutableMapping[str, Any], str]]:
    """Every path that a configuration can have: what it is called in messages, the mapping that has it, and its key."""
    for name, model in config["models"].items():
        yield from ((f"models.{name}.{key}", model, key) for key in ("path", "token_counts"))
        yield f"models.{name}.adapter.path", model.get("adapter", {}), "path"
    yield "labellers.published.path", config["labellers"].get("published", {}), "path"
    llm = config["labellers"].get("llm", {})
    files = ("label_prompt", "verify_prompt", "examples", "ledger")
    yield from ((f"labellers.llm.{key}", llm, key) for key in files)
    sheets = config["labellers"].get("manual", {}).get("sheets", {})
    yield from ((f"labellers.manual.sheets.{person}", sheets, person) for person in sheets)
    yield from ((key, config, key) for key in ("lists", "tokenizer"))
    for name, edit in config.get("edits", {}).items():
        keys = ("text", "prompts") if isinstance(edit.get("prompts"), str) else ("text",)
        yield from ((f"edits.{name}.{key}", edit, key) for key in keys)
    yield "examples.text", config.get("examples", {}), "text"
    yield "effects.text", config.get("effects", {}), "text"


def expand_home(config: MutableMapping[str, Any]) -> None:
    """Write ~ and ~user in the paths of a configuration out, in place, so that all who read it look in one place.

    Raises SvdlensError where there is no such home directory.
    """
    for where, mapping, key in named_paths(config):
        if key in mapping:
            try:
                mapping[key] = str(Path(mapping[key]).expanduser())
            except RuntimeError as error:
                raise SvdlensError(
                    f"{where}: {mapping[key]!r} begins with ~, and {error} Write the path out."
                ) from error


def model_place(source: Mapping[str, Any], bundled: Path) -> Path | None:
    """Where on this machine a model of the catalogue comes from: a directory, or a GGUF file; nothing need be there.

    `bundled` is the directory of the models of this project. None for hub and package index, and for a package that is
    not installed.
    """
    if "package" in source:
        try:
            top = package_directory(source["package"], "a model")
        except SvdlensError:
            return None
        return top / "model" if (top / "model/config.json").exists() else top
    if "bundled" in source:
        return bundled / source["bundled"]
    return Path(source["path"]) if "path" in source else None


def model_digests(path: Path) -> dict[str, str]:
    """Digests of the files of a model by name, of a GGUF file under the name `file`; none where nothing is there.

    They are the same wherever the files lie and whatever their dates.
    """
    if path.is_file():
        return {"file": content_digest(path)}
    if not path.is_dir():
        return {}
    files = sorted(file for file in path.iterdir() if file.suffix in OF_MODELS and file.is_file())
    return {file.name: content_digest(file) for file in files}


def tokenizer_paths(directory: Path) -> list[Path]:
    """The files of a tokenizer that are there."""
    return sorted(path for name in OF_TOKENIZERS for path in directory.glob(name))


def tokenizer_name(directory: Path) -> str:
    """A name for a tokenizer by what its files, read as a whole, say, so that another in its place is embedded anew."""
    digest = hashlib.sha256()
    for path in tokenizer_paths(directory):
        digest.update(b"%s\0%s" % (path.name.encode(), hashlib.sha256(path.read_bytes()).digest()))
    return f"tokenizer_{digest.hexdigest()[:16]}"


def content_digest(path: Path) -> str:
    """A digest of the size and content of a file, quick enough to be asked for at every start.

    Of a file above 64 MiB, its first 16 MiB, its end, and a piece of 4 KiB from each MiB (from each of 1,024 parts, if
    it is larger than that): another checkpoint of the same model differs there, and so does one with a single matrix
    edited. Whole files are compared by `make verify`. A file that cannot be read has a digest of its own.
    """
    try:
        size = path.stat().st_size
        with path.open("rb", buffering=0) as file:
            if size <= WHOLE:
                return hashlib.file_digest(file, "sha256").hexdigest()
            digest = hashlib.sha256(b"%d " % size)
            digest.update(file.read(HEAD))
            for start in (*range(HEAD, size, max(1 << 20, size // PIECES)), size - PIECE):
                file.seek(start)
                digest.update(file.read(PIECE))
    except OSError:
        return "unreadable"
    return digest.hexdigest()
