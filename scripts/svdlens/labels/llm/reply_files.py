"""Files of replies, as the rule that asks writes them and the rule that parses reads them."""

import json
from collections.abc import Sequence
from pathlib import Path

from svdlens.artefacts.atomic_files import write_text
from svdlens.errors import SvdlensError
from svdlens.labels.llm.ledger import Reply

KEPT = ("key", "content", "finish_reason", "refusal", "prompt_tokens", "completion_tokens")
"""What a file of replies has of each. The ledger has the rest, with times and prices."""


def write_replies(path: Path, replies: Sequence[Reply]) -> None:
    """One JSON object a line, in the order of the keys, with nothing of when and where they came."""
    lines = [
        json.dumps({name: getattr(reply, name) for name in KEPT}) for reply in sorted(replies, key=lambda r: r.key)
    ]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_replies(path: Path) -> dict[str, Reply]:
    """The replies of a file of write_replies, by key. Raises SvdlensError for one that is damaged."""
    replies = {}
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                kept = json.loads(line)
                replies[kept["key"]] = Reply(**{name: kept[name] for name in KEPT}, cost=0.0, raw="")
    except (ValueError, KeyError, TypeError) as error:
        raise SvdlensError(
            f"{path} is cut short or damaged ({error!r}). Delete it and run again: it is made again from the ledger."
        ) from error
    return replies
