"""The job that asks: its endpoint and limits, replay without a network, and what a person sees."""

from pathlib import Path
from typing import Any

import pytest

from svdlens.errors import SvdlensError
from svdlens.labels.llm.answers import answer_of, questions_of
from svdlens.labels.llm.ledger import Ledger, Reply
from svdlens.labels.llm.prompts import Examples, Prompts
from svdlens.labels.llm.questions import Asked
from svdlens.labels.llm.requesting import STARTED, endpoint_of, limits_of, reporter, request_replies, summary

PARAMETERS = {"model": "m", "temperature": 0, "max_tokens": 20, "seed": 0, "json_schema": True}
PROMPTS = Prompts("{{ tokens | tojson }}", "{{ tokens | tojson }}{{ label | tojson }}", Examples())
QUESTIONS = questions_of(PROMPTS, PARAMETERS)
OPTIONS: dict[str, Any] = {
    "base_url": "https://host/v1",
    "key_variable": "A_KEY",
    "in_flight": 3,
    "timeout": 60,
    "retries": 2,
    "price": {"input": 1.0, "output": 2.0},
    "replay": False,
}


def test_the_key_is_that_of_the_environment() -> None:
    endpoint = endpoint_of(OPTIONS, {"A_KEY": " sk-1\n", "OPENAI_API_KEY": "sk-2"})
    assert (endpoint.base_url, endpoint.key, endpoint.retries) == ("https://host/v1", "sk-1", 2)
    assert (endpoint.price_in, endpoint.price_out) == (1.0, 2.0)
    assert "sk-1" not in repr(endpoint)


@pytest.mark.parametrize("environment", [{}, {"A_KEY": ""}, {"A_KEY": " "}])
def test_without_a_key_only_a_server_on_this_machine_is_asked(environment: dict[str, str]) -> None:
    with pytest.raises(SvdlensError, match=r"variable A_KEY is not set.*export A_KEY"):
        endpoint_of(OPTIONS, environment)
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
        assert endpoint_of(OPTIONS | {"base_url": f"http://{host}/v1"}, environment).key == ""
    assert endpoint_of(OPTIONS | {"key_variable": ""}, environment | {"OPENAI_API_KEY": "sk-2"}).key == ""


def test_limits_are_for_one_call_of_snakemake() -> None:
    limits = limits_of(OPTIONS | {"max_requests": 7}, {STARTED: "12.5"})
    assert (limits.in_flight, limits.max_requests, limits.max_cost, limits.since) == (3, 7, None, 12.5)


def test_progress_is_a_line_now_and_then_and_at_the_end() -> None:
    lines: list[str] = []
    report = reporter(lines.append)
    for second in range(65):
        report(second, 64, 0.0, float(second))
    assert len(lines) == 7  # after 10, 20 ... 60 seconds, and at the end
    report = reporter(lines.append)
    report(5, 5, 0.0, 2.0)
    assert len(lines) == 7  # what takes no time is not worth a line


def test_what_a_person_is_told_in_the_end() -> None:
    assert summary(Asked(found=9, complete=9)) is None
    assert summary(Asked(found=1, asked=8, cost=0.25, complete=9)) == (
        "8 replies asked for, 1 were in the ledger, cost 0.25"
    )
    stopped = summary(Asked(asked=1, complete=1, failed={"limit": 3}, stopped_by="max_requests: 1 is reached"))
    assert stopped and "3 of 4 lists have no answer yet: max_requests: 1 is reached" in stopped
    failed = summary(Asked(complete=1, failed={"timeout": 3, "status 500": 1}))
    assert failed and failed.startswith("4 of 5 lists have no answer yet: timeout (3); status 500 (1)")


def test_replay_is_the_ledger_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    options = {"ledger": str(path), "replay": True}  # no address, no key: there is nobody to ask
    with pytest.raises(SvdlensError, match="there is no ledger"):
        request_replies([("a", "b")], PROMPTS, PARAMETERS, options, print)
    lists = [("a", "b"), ("c", "d"), ("e",)]
    with Ledger(path) as ledger:
        for request, content in (
            (QUESTIONS.label_request(lists[0]), '{"label": "letters"}'),
            (QUESTIONS.verify_request(lists[0], "letters"), '{"answer": "yes"}'),
        ):
            ledger.add(request, Reply(request.key, content, "stop", None, 1, 1, 0.5, "{}"))
    before = path.read_bytes()
    replies, asked = request_replies(lists, PROMPTS, PARAMETERS, options, print)
    assert path.read_bytes() == before
    assert (asked.complete, sum(asked.failed.values())) == (1, 1)  # one token alone is not asked about
    by_key = {reply.key: reply for reply in replies}
    assert answer_of(lists[0], QUESTIONS, by_key).verified is True
    assert answer_of(lists[1], QUESTIONS, by_key).status == "failed"
