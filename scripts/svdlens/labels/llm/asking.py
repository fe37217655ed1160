"""Asks an endpoint about many lists at once: for a label, and, as soon as a list has one, whether it fits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from svdlens.labels.llm.client import Endpoint
from svdlens.labels.llm.ledger import Ledger
from svdlens.labels.llm.questions import Asked, Questions, Tokens

Report = Callable[[int, int, float, float], None]
"""Called with lists done, lists in all, cost so far, seconds so far."""


@dataclass(frozen=True)
class Limits:
    """`in_flight`: requests at a time. The others may be None, no limit: requests_per_minute; max_requests and max_cost,
    of replies since the time `since` (seconds since 1970)."""

    in_flight: int = 8
    requests_per_minute: float | None = None
    max_requests: int | None = None
    max_cost: float | None = None
    since: float = 0.0


def ask(
    lists: Sequence[Tokens],
    questions: Questions,
    endpoint: Endpoint,
    ledger: Ledger,
    limits: Limits,
    report: Report | None = None,
) -> Asked:
    raise NotImplementedError


def progress_line(done: int, total: int, cost: float, seconds: float) -> str:
    """Such as "120 of 500 lists, 4.1 per second, cost 0.13, 1 min left"."""
    raise NotImplementedError
