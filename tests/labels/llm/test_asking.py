"""Many requests at once to a real HTTP server: what is asked, how often, what it may cost, and when it ends."""

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from chat_server import PASSING, ChatServer, completion, prompt_of, topic_answer
from small_questions import SAMPLING, asking_process, endpoint_of, questions, some_lists, wait_until
from svdlens.errors import SvdlensError
from svdlens.labels.llm.asking import Limits, ask, duration, progress_line
from svdlens.labels.llm.ledger import Ledger
from svdlens.labels.llm.questions import NOT_IN_LEDGER, Asked, find_or_failed, replies_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def labels_of(lists: list[list[str]], ledger: Ledger) -> list[tuple[str | None, ...]]:
    """The contents of both replies about each list."""
    asked = questions()
    found = []
    for tokens in lists:
        key = asked.label_request(tokens).key
        label = asked.parse_label(ledger.find([key])[key]).label
        second = None if label is None else ledger.find([k := asked.verify_request(tokens, label).key])[k].content
        found.append((label, second))
    return found


def test_every_list_is_asked_about_once_and_verified_where_it_has_a_label(path: Path) -> None:
    lists = some_lists(30)
    reported = []
    with ChatServer() as server, Ledger(path) as ledger:
        first = ask(
            [*lists, *lists], questions(), endpoint_of(server), ledger, Limits(), lambda *now: reported.append(now)
        )
        n_labels = sum(label is not None for label, _ in labels_of(lists, ledger))
        assert first.asked == server.requests == 30 + n_labels
        assert 0 < n_labels < 30
        assert (first.found, first.complete, first.failed, first.stopped_by) == (0, 30, {}, None)
        # A million words in cost 1, out 2; the server counts 5 out.
        words = sum(len(prompt.split()) * count for prompt, count in server.by_prompt.items())
        assert first.cost == pytest.approx((words + 2 * 5 * server.requests) / 1e6)
        assert ledger.spent(0.0) == (first.asked, pytest.approx(first.cost))
        assert [done for done, *_ in reported] == list(range(1, 31))
        assert {total for _, total, *_ in reported} == {30}
        assert reported[-1][2] == pytest.approx(first.cost)
        # All that is sent for a request, and nothing that was not asked for.
        assert set(server.bodies[0]) == {"model", "messages", *SAMPLING}
        again = ask(lists, questions(), endpoint_of(server), ledger, Limits())
        assert (again.found, again.asked, again.complete, again.cost) == (first.asked, 0, 30, 0.0)
        assert find_or_failed(lists, questions(), ledger) == again
        replies = replies_of([*lists, *lists], questions(), ledger)
        assert [reply.key for reply in replies] == sorted({reply.key for reply in replies})
        assert len(replies) == first.asked


def test_other_questions_are_other_requests(path: Path) -> None:
    lists = some_lists(3)
    with ChatServer(answer=lambda body: '{"label": "none"}') as server, Ledger(path) as ledger:
        for one in (questions(), questions("Another prompt."), questions(sampling=SAMPLING | {"seed": 1})):
            assert ask(lists, one, endpoint_of(server), ledger, Limits()).asked == 3
        # Whom one asks, and how fast, is no part of the question.
        with ChatServer(answer=lambda body: '{"label": "other"}') as other:
            assert ask(lists, questions(), endpoint_of(other, timeout=9.0), ledger, Limits(3)).asked == 0


def test_two_lists_with_one_prompt_are_asked_about_once(path: Path) -> None:
    lists = [["fire", str(i)] for i in range(6)]
    with ChatServer(answer=lambda body: '{"label": "none"}', service=0.1) as server, Ledger(path) as ledger:
        assert ask(lists, questions(shown=1), endpoint_of(server), ledger, Limits(6)).complete == 6
        assert server.requests == 1


def test_the_number_in_flight_is_what_was_asked_for_and_there_is_no_barrier(path: Path) -> None:
    slow = json.dumps(some_lists(1)[0])

    def answer(body: dict) -> str:
        if prompt_of(body).endswith(slow):
            time.sleep(0.6)
        return topic_answer(body)

    with ChatServer(answer=answer, service=0.02) as server, Ledger(path) as ledger:
        ask(some_lists(40), questions(), endpoint_of(server), ledger, Limits(5))
        assert server.most_at_once == 5
        # All others had both answers while the first was waited for.
        asked_second = [i for i, body in enumerate(server.bodies) if '"answer"' in prompt_of(body)]
        assert len(asked_second) > 15 and asked_second[0] < 20


def test_requests_per_minute_is_never_exceeded(path: Path) -> None:
    def fault(body: dict, attempt: int) -> str | None:
        return "500" if attempt == 0 and len(body["messages"][-1]["content"]) % 2 else None

    with ChatServer(fault=fault) as server, Ledger(path) as ledger:
        ask(some_lists(12), questions(), endpoint_of(server), ledger, Limits(8, requests_per_minute=60 / 0.05))
        # Arrivals may be late on a busy machine, the first one most.
        assert server.times[-1] - server.times[0] > (server.requests - 1) * 0.05 - 0.2 > 0.6


# --- limits


def test_max_requests_stops_and_the_next_run_goes_on(path: Path) -> None:
    lists = some_lists(20)
    with ChatServer(service=0.01) as server, Ledger(path) as ledger:
        start = time.time()
        first = ask(lists, questions(), endpoint_of(server), ledger, Limits(4, max_requests=10, since=start))
        assert first.asked == server.requests == 10
        assert first.stopped_by == "max_requests = 10 is reached"
        assert first.failed == {"not asked: max_requests = 10 is reached": 20 - first.complete}
        # Of the same call of snakemake nothing is left.
        assert ask(lists, questions(), endpoint_of(server), ledger, Limits(max_requests=10, since=start)).asked == 0
        last = ask(lists, questions(), endpoint_of(server), ledger, Limits(max_requests=500, since=time.time()))
        assert last.complete == 20 and last.stopped_by is None
        assert server.requests == first.asked + last.asked
        assert max(server.by_prompt.values()) == 1


@pytest.mark.parametrize("usage", ["all", "none"])
def test_max_cost_is_never_exceeded_whatever_comes_back(path: Path, usage: str) -> None:
    """The server says that each reply has as many tokens as it may, or does not say how many."""

    def answer(body: dict) -> dict:
        tokens = {"prompt_tokens": len(json.dumps(body["messages"])), "completion_tokens": SAMPLING["max_tokens"]}
        return completion('{"label": "none"}', body) | {"usage": tokens if usage == "all" else None}

    most = 0.005
    with ChatServer(answer=answer, service=0.02) as server, Ledger(path) as ledger:
        endpoint = endpoint_of(server, price_in=2.0, price_out=10.0)
        asked = ask(some_lists(60), questions(), endpoint, ledger, Limits(8, max_cost=most))
        assert 0.5 * most < asked.cost <= most
        assert asked.stopped_by is not None and asked.stopped_by.startswith("max_cost = 0.005 is reached: 0.00")
        assert ledger.spent(0.0) == (server.requests, pytest.approx(asked.cost))
        none = ask(some_lists(60), questions(), endpoint, ledger, Limits(8, max_cost=1e-7))
        assert none.asked == 0 and "can cost up to" in str(none.stopped_by)


def test_max_cost_needs_to_know_how_long_a_reply_can_be(path: Path) -> None:
    with (
        ChatServer() as server,
        Ledger(path) as ledger,
        pytest.raises(SvdlensError, match=r"needs labellers\.llm\.max_tok"),
    ):
        endless = questions(sampling={"temperature": 0.0, "max_tokens": None})
        ask(some_lists(1), endless, endpoint_of(server), ledger, Limits(max_cost=1.0))


# --- faults


def test_every_list_has_an_answer_after_faults_of_all_kinds_and_they_are_those_without_faults(tmp_path: Path) -> None:
    lists = some_lists(60)
    found, kinds = [], Counter()
    for rate in (0.0, 0.4):
        with Ledger(tmp_path / f"{rate}.sqlite") as ledger, ChatServer(rate=rate, stall=0.6) as server:
            server.injected = kinds
            asked = ask(lists, questions(), endpoint_of(server, timeout=0.5, retries=20), ledger, Limits(8))
            assert asked.failed == {} and asked.complete == 60
            assert server.answered == asked.asked
            assert max(server.answered_by_prompt.values()) == 1
            found.append((labels_of(lists, ledger), replies_of(lists, questions(), ledger)))
    assert found[0] == found[1]
    assert {*PASSING} <= set(kinds)


def test_what_failed_is_no_answer_and_is_asked_for_again(path: Path) -> None:
    lists = some_lists(10)
    bad = json.dumps(lists[3])

    def fault(body: dict, attempt: int) -> str | None:
        return "503" if prompt_of(body).endswith(bad) else None

    with ChatServer(fault=fault) as server, Ledger(path) as ledger:
        first = ask(lists, questions(), endpoint_of(server, retries=2), ledger, Limits())
        assert first.failed == {"status 503 (fault 503)": 1} and first.complete == 9
        assert server.by_prompt[prompt_of({"messages": questions().label_request(lists[3]).messages})] == 3
        assert find_or_failed(lists, questions(), ledger).failed == {NOT_IN_LEDGER: 1}
        assert {prompt for prompt, n in server.by_prompt.items() if n > 1} == {"You label lists.\n" + bad}
        server.fault = None
        second = ask(lists, questions(), endpoint_of(server), ledger, Limits())
        assert second.complete == 10 and second.failed == {} and second.asked in (1, 2)


def test_a_list_without_a_verdict_is_not_complete_and_only_that_is_asked_for_again(path: Path) -> None:
    lists = some_lists(15)
    with ChatServer() as server, Ledger(path) as ledger:
        server.fault = lambda body, attempt: "400" if '"answer"' in prompt_of(body) else None
        first = ask(lists, questions(), endpoint_of(server), ledger, Limits())
        n = 15 - first.complete
        assert first.asked == 15 and first.failed == {"status 400 (fault 400)": n} and 0 < n < 15
        found = find_or_failed(lists, questions(), ledger)
        assert (found.found, found.complete, found.failed) == (15, 15 - n, {NOT_IN_LEDGER: n})
        assert len(replies_of(lists, questions(), ledger)) == 15
        server.fault = None
        second = ask(lists, questions(), endpoint_of(server), ledger, Limits())
        assert (second.found, second.asked, second.complete) == (15, n, 15)


def test_a_pause_that_the_server_wants_is_one_for_all(path: Path) -> None:
    first = json.dumps(some_lists(1)[0])

    def fault(body: dict, attempt: int) -> str | None:
        return "429 seconds" if prompt_of(body).endswith(first) and attempt == 0 else None

    with ChatServer(fault=fault, retry_after=0.6, service=0.01) as server, Ledger(path) as ledger:
        assert ask(some_lists(20), questions(), endpoint_of(server), ledger, Limits(3)).complete == 20
        gaps = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
        assert max(gaps) > 0.4 and gaps.index(max(gaps)) < len(gaps) / 2


def test_a_server_that_goes_away_is_not_asked_ten_thousand_times(path: Path) -> None:
    with ChatServer() as server, Ledger(path) as ledger:
        server.fault = lambda body, attempt: "500" if server.answered >= 10 else None
        asked = ask(some_lists(500), questions(), endpoint_of(server, retries=1), ledger, Limits(4))
        assert asked.stopped_by == "20 lists in a row got no reply, the last because of: status 500 (fault 500)"
        assert server.requests < 10 + 2 * 30
        assert sum(asked.failed.values()) == 500 - asked.complete


def test_what_nothing_can_come_of_stops_everything_and_keeps_what_there_is(path: Path) -> None:
    with ChatServer() as server, Ledger(path) as ledger:
        server.fault = lambda body, attempt: "401" if server.answered >= 10 else None
        with pytest.raises(SvdlensError, match="refuses the key"):
            ask(some_lists(500), questions(), endpoint_of(server), ledger, Limits(4))
        assert server.requests < 20
        assert ledger.spent(0.0)[0] == server.answered >= 10


def test_a_ledger_that_fails_stops_everything(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(service=0.01) as server, Ledger(path) as ledger:
        ledger.connection.execute("PRAGMA max_page_count = 12")  # as on a full disk
        with pytest.raises(SvdlensError, match=r"the disk of the ledger .* is full"):
            ask(some_lists(500), questions("x" * 2000), endpoint_of(server), ledger, Limits(4))
        n = ledger.spent(0.0)[0]
        assert n > 0 and server.requests <= n + 4 * 4


def test_an_interrupted_run_keeps_what_is_in_flight(path: Path) -> None:
    with ChatServer(service=0.5) as server:
        child = asking_process(server, path, n=100, in_flight=6)
        wait_until(lambda: server.requests >= 6)
        child.send_signal(signal.SIGINT)
        output = child.communicate(timeout=20)[1]
        with Ledger(path) as ledger:
            assert 6 <= ledger.spent(0.0)[0] == server.answered == server.requests < 50
    assert "requests in flight" in output and "KeyboardInterrupt" in output
    assert child.returncode != 0


def test_a_pause_that_the_server_wants_ends_with_an_interrupt(path: Path) -> None:
    with ChatServer(retry_after=60, fault=lambda body, attempt: "429 seconds") as server:
        child = asking_process(server, path, n=10, in_flight=3)
        wait_until(lambda: server.requests >= 1)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=40)
        assert server.requests <= 3


def test_a_reply_counts_only_when_the_ledger_has_it(path: Path) -> None:
    """Whoever hears of progress, or asks the second question, finds the replies in the file."""
    too_early = []

    def seen(body: dict) -> None:
        if '"answer"' in prompt_of(body):
            with Ledger(path, read_only=True) as other:
                key = questions().label_request(json.loads(prompt_of(body))["tokens"]).key
                too_early.extend([] if other.find([key]) else [key])

    def report(done: int, total: int, cost: float, seconds: float) -> None:
        with Ledger(path, read_only=True) as other:
            too_early.extend([done] if other.spent(0.0)[1] < cost - 1e-12 else [])

    with ChatServer(seen=seen) as server, Ledger(path) as ledger:
        ask(some_lists(30), questions(), endpoint_of(server), ledger, Limits(), report)
        assert server.requests > 30
    assert too_early == []


def test_a_run_waits_for_another_on_the_same_ledger_and_then_asks_for_the_rest(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lists, asked = some_lists(30), []

    def run() -> None:
        with Ledger(path) as ledger:
            asked.append(ask(lists, questions(), endpoint_of(server), ledger, Limits(3)))

    with caplog.at_level(logging.WARNING), ChatServer(service=0.01) as server:
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert max(server.by_prompt.values()) == 1
    assert sorted(one.asked for one in asked) == [0, server.requests]
    assert "waiting for process" in caplog.text


def test_replay_needs_no_network_and_no_library_for_it(path: Path) -> None:
    lists = some_lists(4)
    with ChatServer() as server, Ledger(path) as ledger:
        ask(lists[:3], questions(), endpoint_of(server), ledger, Limits())
    code = """
import socket, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from small_questions import questions, some_lists
from svdlens.labels.llm.ledger import Ledger
from svdlens.labels.llm.questions import find_or_failed, replies_of
def none(*arguments): raise AssertionError("a socket")
socket.socket.__init__ = none
with Ledger(Path(sys.argv[3]), read_only=True) as ledger:
    asked = find_or_failed(some_lists(4), questions(), ledger)
    print(asked.complete, asked.failed, len(replies_of(some_lists(4), questions(), ledger)), "openai" in sys.modules)
"""
    project = Path(__file__).parents[3]
    command = [sys.executable, "-c", code, str(project / "scripts"), str(project / "tests/helpers"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == f"3 { ({NOT_IN_LEDGER: 1}) } {server.requests} False"


def test_nothing_to_ask_asks_nothing(path: Path) -> None:
    with ChatServer() as server, Ledger(path) as ledger:
        assert ask([], questions(), endpoint_of(server), ledger, Limits()) == Asked()
        assert server.requests == 0


# --- the line that tells how far it is


@pytest.mark.parametrize(
    ("now", "line"),
    [
        ((0, 500, 0.0, 0.0), "0 of 500 lists, cost 0.00"),
        ((120, 500, 0.1342, 30.0), "120 of 500 lists, 4 per second, cost 0.13, 95 s left"),
        ((120, 12500, 12.5, 30.0), "120 of 12,500 lists, 4 per second, cost 12.50, 52 min left"),
        ((5, 2000, 0.00042, 50.0), "5 of 2,000 lists, 0.1 per second, cost 0.00042, 5 h 32 min left"),
        ((500, 500, 1.0, 10.0), "500 of 500 lists, 50 per second, cost 1.00"),
    ],
)
def test_the_line_of_progress(now: tuple[int, int, float, float], line: str) -> None:
    assert progress_line(*now) == line.replace("95 s", duration(95))


def test_durations() -> None:
    texts = [duration(seconds) for seconds in (0.2, 42, 89, 90, 3570, 3600, 90000)]
    assert texts == ["0 s", "42 s", "89 s", "2 min", "1 h 0 min", "1 h 0 min", "25 h 0 min"]
