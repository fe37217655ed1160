"""The tokens that a model's tokenizer makes of a word."""

from collections.abc import Callable
from pathlib import Path

from svdlens.errors import SvdlensError


def word_pieces(directory: Path) -> Callable[[str], list[int]]:
    """What says the ids of a word inside a sentence, by the tokenizer in a model's directory; it is read when it is
    first asked. Raises SvdlensError, then, for a directory without a tokenizer that transformers reads."""

    def pieces(word: str) -> list[int]:
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise SvdlensError(
                f"{directory}: {word!r} is no single token, and the tokenizer that would split it cannot be read "
                f"({error}). Take words that are single tokens, or put the model's tokenizer there."
            ) from error
        # With a space before it, as inside a sentence; a tokenizer that has no use for one drops it.
        text = word if word[0].isspace() else f" {word}"
        ids = tokenizer.encode(text, add_special_tokens=False)
        return [id for id in ids if id != tokenizer.unk_token_id]

    return pieces
