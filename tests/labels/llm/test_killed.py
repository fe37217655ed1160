"""A process that asks is killed at random moments, while the server misbehaves: nothing is lost, or asked for twice."""

import json
import random
from pathlib import Path

import pytest

from chat_server import ChatServer
from small_questions import asking_process, endpoint_of, questions, some_lists, wait_until
from svdlens.labels.llm.asking import Limits, ask
from svdlens.labels.llm.ledger import Ledger, Request
from svdlens.labels.llm.questions import replies_of

LISTS, IN_FLIGHT, KILLS = 320, 8, 4


def key_of(body: dict) -> str:
    """The key of the request with this body: everything that is asked for is sent."""
    sampling = {name: value for name, value in body.items() if name not in ("messages", "model")}
    return Request(tuple(body["messages"]), body["model"], sampling).key


@pytest.mark.slow
def test_after_kill_9_every_list_has_an_answer_and_none_that_the_ledger_had_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    known: list[str] = []

    def seen(body: dict) -> None:
        if path.exists() and path.stat().st_size:
            with Ledger(path, read_only=True) as other:
                known.extend(other.find([key_of(body)]))

    draw = random.Random()
    moments = sorted(draw.sample(range(5, 600), KILLS))
    with ChatServer(rate=0.3, stall=0.2, service=0.002, seed=draw.randrange(10**6)) as server:
        server.seen = seen
        for moment in moments:
            child = asking_process(server, path, LISTS, IN_FLIGHT)
            wait_until(lambda child=child, moment=moment: server.requests >= moment or child.poll() is not None)
            wait_until(lambda: draw.random() < 0.2)
            child.kill()
            child.communicate()
        child = asking_process(server, path, LISTS, IN_FLIGHT)
        output, log = child.communicate(timeout=120)
        assert f"complete={LISTS}, failed={{}}" in output, (moments, log[-2000:])
        assert server.answered >= 500 and server.requests > 1.2 * server.answered
    assert known == [], moments
    lists = some_lists(LISTS)
    with ChatServer() as calm, Ledger(tmp_path / "calm.sqlite") as undisturbed, Ledger(path) as ledger:
        ask(lists, questions(), endpoint_of(calm), undisturbed, Limits(IN_FLIGHT))
        assert replies_of(lists, questions(), ledger) == replies_of(lists, questions(), undisturbed)
        # What was paid for in vain are replies that were under way, to the process or to its disk, when it died.
        assert server.answered - ledger.spent(0.0)[0] <= KILLS * 2 * IN_FLIGHT
        exports = [tmp_path / "killed.jsonl", tmp_path / "calm.jsonl"]
        ledger.export(exports[0])
        undisturbed.export(exports[1])
    timeless = [[json.loads(line) | {"asked_at": 0} for line in path.read_text().splitlines()] for path in exports]
    assert timeless[0] == timeless[1]
