"""How often a file of replies was asked for in vain: a number beside it, which is a parameter of the rule that asks.

A run that leaves lists without an answer raises it, so that the next run asks for these again; a complete one is never
repeated. Imports nothing heavy: the Snakefile reads it.
"""

from pathlib import Path

from svdlens.artefacts.atomic_files import write_text


def attempt(path: Path) -> int:
    """The number in the file; 0 if there is none, or no number in it."""
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def ask_again(path: Path) -> None:
    """Have the next run ask again."""
    write_text(path, f"{attempt(path) + 1}\n")
