"""The smallest questions about lists, and lists to ask about; none of it is of svdlens' own prompts and parsing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from chat_server import MODEL, ChatServer
from svdlens.labels.llm.client import Endpoint
from svdlens.labels.llm.ledger import Reply
from svdlens.labels.llm.questions import Questions


@dataclass(frozen=True)
class SmallPrompts:
    opening: str = ""

    def label_messages(self, tokens: Sequence[str]) -> list[dict[str, str]]:
        system = {"role": "system", "content": self.opening or "You label lists."}
        return [system, {"role": "user", "content": json.dumps(list(tokens))}]

    def verify_messages(self, tokens: Sequence[str], label: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": json.dumps({"answer": None, "label": label, "tokens": list(tokens)})}]


class SmallParsed(NamedTuple):
    label: str | None


def parse_label(reply: Reply) -> SmallParsed:
    try:
        label = json.loads(reply.content or "")["label"]
    except (ValueError, KeyError, TypeError):
        return SmallParsed(None)
    return SmallParsed(label if isinstance(label, str) and label != "none" else None)


SAMPLING = {"temperature": 0.0, "max_tokens": 50, "seed": 0}


def questions(opening: str = "", **replaced: object) -> Questions:
    parts = {"model": MODEL, "sampling": SAMPLING} | replaced
    return Questions(SmallPrompts(opening), parse_label, **parts)  # type: ignore[arg-type]


def some_lists(n: int) -> list[list[str]]:
    return [[f"word{i}", f"other{i}", "the"] for i in range(n)]


def endpoint_of(server: ChatServer, **replaced: object) -> Endpoint:
    """The server as an endpoint that waits for little."""
    parts = {"timeout": 5.0, "first_wait": 0.01, "price_in": 1.0, "price_out": 2.0} | replaced
    return Endpoint(server.url, server.key, **parts)  # type: ignore[arg-type]


def secret_in_files(secret: str, directory: Path) -> list[str]:
    """The files under a directory that have the secret in them."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [str(path) for path in files if secret.encode() in path.read_bytes()]
