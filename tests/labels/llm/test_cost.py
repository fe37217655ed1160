"""What is still to be asked, and what that costs: exact where the ledger tells, else at most."""

from svdlens.labels.llm.answers import questions_of
from svdlens.labels.llm.cost import BYTES_OF_A_TOKEN, REPLY_TOKENS, SOME_LABEL, Requests, cost, requests_of, told
from svdlens.labels.llm.ledger import Reply
from svdlens.labels.llm.prompts import Examples, Prompts

PARAMETERS = {"model": "m", "temperature": 0, "max_tokens": 20, "seed": 0, "json_schema": True}
PROMPTS = Prompts("L{{ tokens | tojson }}", "V{{ tokens | tojson }}{{ label }}", Examples())
QUESTIONS = questions_of(PROMPTS, PARAMETERS)
REPLY = Reply("k", "c", "stop", None, 1, 1, 1.0, "{}")
LISTS = [(" ship", " ü"), ("a", "b"), ("c", "d"), ("e", "f")]


def estimate(text: str) -> int:
    return -(-len(text.encode()) // BYTES_OF_A_TOKEN)


def test_lists_with_all_their_replies_need_nothing_and_others_what_they_lack() -> None:
    found = [(None, None, False), (REPLY, None, False), (REPLY, REPLY, True), (REPLY, None, True)]
    label, verify = requests_of(LISTS, QUESTIONS, found)
    assert label == (3, 1, estimate('L[" ship", " ü"]'))
    judged = [f'V[" ship", " ü"]{SOME_LABEL}', f'V["a", "b"]{SOME_LABEL}']
    assert verify == (1, 2, sum(map(estimate, judged)))


def test_a_cost_is_of_both_prices() -> None:
    assert cost(Requests(9, 1000, 500_000), 100, {"input": 2.0, "output": 5.0}) == 0.5 * 2 + 0.1 * 5
    assert cost(Requests(9, 0, 0), 100, {"input": 2.0, "output": 5.0}) == 0


def test_a_person_sees_requests_tokens_and_costs() -> None:
    own = {"model": "m", "max_tokens": 200, "price": {"input": 1.0, "output": 4.0}}
    text = told(12_345, Requests(345, 12_000, 1_000_000), Requests(5, 12_340, 500_000), own)
    for part in ("12,345 distinct lists for m", "12,000", "1,000,000", "345", "12,340", "Nothing was sent"):
        assert part in text
    total = 1.5 + (12_000 + 12_340) * REPLY_TOKENS * 4 / 1e6
    assert f"In all about {total:.4g};" in text
    assert "no price is given" not in text
    assert "no price is given" in told(
        1, Requests(0, 1, 1), Requests(0, 1, 1), own | {"price": {"input": 0, "output": 0}}
    )
