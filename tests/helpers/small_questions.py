"""The smallest questions about lists, and lists to ask about; none of it is of svdlens' own prompts and parsing."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from chat_server import MODEL, ChatServer
from svdlens.labels.llm.client import Endpoint
from svdlens.labels.llm.ledger import Reply
from svdlens.labels.llm.questions import Questions

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class SmallPrompts:
    """`shown`: of how many tokens the first question speaks."""

    opening: str = ""
    shown: int = 15

    def label_messages(self, tokens: Sequence[str]) -> list[dict[str, str]]:
        system = {"role": "system", "content": self.opening or "You label lists."}
        return [system, {"role": "user", "content": json.dumps(list(tokens[: self.shown]))}]

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


def questions(opening: str = "", shown: int = 15, **replaced: object) -> Questions:
    parts = {"model": MODEL, "sampling": SAMPLING} | replaced
    return Questions(SmallPrompts(opening, shown), parse_label, **parts)  # type: ignore[arg-type]


def some_lists(n: int) -> list[list[str]]:
    return [[f"word{i}", f"other{i}", "the"] for i in range(n)]


def endpoint_of(server: ChatServer, **replaced: object) -> Endpoint:
    """The server as an endpoint that waits for little."""
    parts = {"timeout": 5.0, "first_wait": 0.01, "price_in": 1.0, "price_out": 2.0} | replaced
    return Endpoint(server.url, server.key, **parts)  # type: ignore[arg-type]


ASK = """
import logging, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from small_questions import questions, some_lists
from svdlens.labels.llm.asking import Limits, ask
from svdlens.labels.llm.client import Endpoint
from svdlens.labels.llm.ledger import Ledger
logging.basicConfig(level=logging.DEBUG)
url, key, path, n, in_flight = sys.argv[3:]
endpoint = Endpoint(url, key, timeout=5.0, retries=20, first_wait=0.01, price_in=1.0, price_out=2.0)
with Ledger(Path(path)) as ledger:
    print(ask(some_lists(int(n)), questions(), endpoint, ledger, Limits(int(in_flight))))
"""


def asking_process(server: ChatServer, ledger: Path, n: int, in_flight: int) -> subprocess.Popen[str]:
    """A process that asks the server about n lists; its log is its stderr."""
    places = [str(PROJECT / "scripts"), str(PROJECT / "tests/helpers")]
    command = [sys.executable, "-c", ASK, *places, server.url, server.key, str(ledger), str(n), str(in_flight)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited for in vain"
        time.sleep(0.005)


def secret_in_files(secret: str, directory: Path) -> list[str]:
    """The files under a directory that have the secret in them."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [str(path) for path in files if secret.encode() in path.read_bytes()]
