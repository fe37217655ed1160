"""The job that asks: whom, within which limits, and what the person at the terminal sees of it."""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from svdlens.errors import SvdlensError
from svdlens.labels.llm.answers import questions_of
from svdlens.labels.llm.asking import Limits, ask, progress_line
from svdlens.labels.llm.client import Endpoint
from svdlens.labels.llm.ledger import Ledger, Reply
from svdlens.labels.llm.lists import FEWEST_TOKENS
from svdlens.labels.llm.prompts import Prompts
from svdlens.labels.llm.questions import Asked, find_or_failed, replies_of

log = logging.getLogger(__name__)

STARTED = "SVDLENS_STARTED"
"""The environment variable with the time at which snakemake was called: limits are for everything since then."""
SECONDS_BETWEEN_LINES = 10.0
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def request_replies(
    lists: Sequence[Sequence[str]],
    prompts: Prompts,
    parameters: Mapping[str, Any],
    options: Mapping[str, Any],
    say: Callable[[str], None],
) -> tuple[list[Reply], Asked]:
    """All replies about these lists that the ledger has in the end, and what became of the lists.

    `parameters`: what replies depend on (questions_of). `options`: the rest of the configuration of the labeller. `say`
    shows a line to a person. Raises SvdlensError where there is no ledger to replay, and for an endpoint that no
    request can reach.
    """
    questions, path = questions_of(prompts, parameters), Path(options["ledger"])
    asked_of = [tokens for tokens in lists if len(tokens) >= FEWEST_TOKENS]
    if options["replay"]:
        with Ledger(path, read_only=True) as ledger:
            return replies_of(asked_of, questions, ledger), find_or_failed(asked_of, questions, ledger)
    endpoint = endpoint_of(options, os.environ)
    with Ledger(path) as ledger:
        asked = ask(asked_of, questions, endpoint, ledger, limits_of(options, os.environ), reporter(say))
        return replies_of(asked_of, questions, ledger), asked


def endpoint_of(options: Mapping[str, Any], environment: Mapping[str, str]) -> Endpoint:
    """Whom to ask. The key is that of the environment variable `key_variable`, and nowhere else.

    Raises SvdlensError if it is not set, but for a server on this machine: that may want none.
    """
    variable, url = options["key_variable"], options["base_url"]
    key = environment.get(variable, "").strip() if variable else ""
    if variable and not key and urlsplit(url).hostname not in LOCAL_HOSTS:
        raise SvdlensError(
            f"labellers.llm.key_variable: the environment variable {variable} is not set, and {url} wants a key. Set "
            f'it (export {variable}=...), or write key_variable: "" for a server that wants none.'
        )
    price = options["price"]
    return Endpoint(
        url,
        key,
        timeout=options["timeout"],
        retries=options["retries"],
        price_in=price["input"],
        price_out=price["output"],
    )


def limits_of(options: Mapping[str, Any], environment: Mapping[str, str]) -> Limits:
    """The limits of the configuration, since the time at which snakemake was called."""
    optional = {name: options.get(name) for name in ("requests_per_minute", "max_requests", "max_cost")}
    return Limits(in_flight=options["in_flight"], since=float(environment.get(STARTED, 0.0)), **optional)


def reporter(say: Callable[[str], None]) -> Callable[[int, int, float, float], None]:
    """What `ask` tells of its progress, as a line every SECONDS_BETWEEN_LINES and at the end."""
    last = 0.0

    def report(done: int, total: int, cost: float, seconds: float) -> None:
        nonlocal last
        if seconds - last >= SECONDS_BETWEEN_LINES or (done == total and seconds >= SECONDS_BETWEEN_LINES):
            last = seconds
            say(progress_line(done, total, cost, seconds))

    return report


def summary(asked: Asked) -> str | None:
    """What a person should know in the end: what was paid for, and what has no answer; None if there is nothing."""
    parts = []
    if asked.asked:
        parts.append(f"{asked.asked} replies asked for, {asked.found} were in the ledger, cost {asked.cost:.4g}")
    if n := sum(asked.failed.values()):
        reasons = "; ".join(f"{reason} ({count})" for reason, count in asked.failed.items())
        parts.append(f"{n} of {n + asked.complete} lists have no answer yet: {asked.stopped_by or reasons}")
        parts.append("the next run asks for them again")
    return "; ".join(parts) or None


def say_to_person(labeller: str, lists: str) -> Callable[[str], None]:
    """A function that shows lines about these lists on the terminal, also where Snakemake is quiet, and in the log."""
    place = "/".join(part for part in lists.split("/") if not part.endswith("=off"))

    def say(line: str) -> None:
        log.info("%s", line)
        print(f"svdlens: {labeller}, {place}: {line}", file=sys.stderr, flush=True)

    return say
