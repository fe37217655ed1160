"""What it would take to ask a language model about lists: requests, tokens and cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from svdlens.labels.llm.ledger import Ledger, Reply, Request
from svdlens.labels.llm.questions import Questions, found_replies

Found = tuple[Reply | None, Reply | None, bool]
"""The replies about a list, to the label prompt and to the verify prompt, and whether it needs no other."""
BYTES_OF_A_TOKEN = 3
"""Of the prompts of this project, in UTF-8: 3.15 with the tokenizer of GPT-2."""
REPLY_TOKENS = 12
"""Of a reply of a few words as JSON, from a model that does not reason before it answers."""
SOME_LABEL = "a label of a few words"


def replies_so_far(lists: Sequence[tuple[str, ...]], questions: Questions, ledger: Path) -> list[Found]:
    """What the ledger in a file has of each list; nothing where there is no such file yet."""
    if not ledger.exists():
        return [(None, None, False)] * len(lists)
    with Ledger(ledger, read_only=True) as opened:
        return found_replies(lists, questions, opened)


class Requests(NamedTuple):
    """How many requests of one prompt are in the ledger, how many are to be asked, and the tokens of these prompts."""

    found: int
    asked: int
    tokens: int


def requests_of(
    lists: Sequence[tuple[str, ...]],
    questions: Questions,
    found: Sequence[Found],
) -> tuple[Requests, Requests]:
    """The requests of the label prompt, and those of the verify prompt at most: as if every list got a label."""
    new = [tokens for tokens, (label, _, _) in zip(lists, found, strict=True) if label is None]
    unjudged = [
        tokens for tokens, (_, verdict, complete) in zip(lists, found, strict=True) if not (verdict or complete)
    ]
    labels = [questions.label_request(tokens) for tokens in new]
    verdicts = [questions.verify_request(tokens, SOME_LABEL) for tokens in unjudged]
    return (
        Requests(len(lists) - len(new), len(labels), sum(map(prompt_tokens, labels))),
        Requests(sum(verdict is not None for _, verdict, _ in found), len(verdicts), sum(map(prompt_tokens, verdicts))),
    )


def prompt_tokens(request: Request) -> int:
    """An estimate: a token for each BYTES_OF_A_TOKEN bytes."""
    return sum(-(-len(message["content"].encode()) // BYTES_OF_A_TOKEN) for message in request.messages)


def cost(requests: Requests, reply_tokens: int, price: Mapping[str, float | int]) -> float:
    """Of the requests that are to be asked."""
    return (requests.tokens * price["input"] + requests.asked * reply_tokens * price["output"]) / 1e6


def told(n_lists: int, label: Requests, verify: Requests, own: Mapping[str, Any]) -> str:
    """All of it, for a person."""
    price, longest = own["price"], own["max_tokens"]
    lines = [
        f"{n_lists:,} distinct lists for {own['model']}",
        "",
        f"{'':16}{'in the ledger':>14}{'to ask':>10}{'prompt tokens':>15}{'reply tokens':>14}{'cost':>10}",
    ]
    for name, requests in (("label prompt", label), ("verify, at most", verify)):
        replies = requests.asked * REPLY_TOKENS
        lines.append(
            f"{name:16}{requests.found:>14,}{requests.asked:>10,}{requests.tokens:>15,}{replies:>14,}"
            f"{cost(requests, REPLY_TOKENS, price):>10.4g}"
        )
    both = cost(label, REPLY_TOKENS, price) + cost(verify, REPLY_TOKENS, price)
    most = cost(label, longest, price) + cost(verify, longest, price)
    lines += [
        "",
        f"In all about {both:.4g}; {most:.4g} if every reply had max_tokens ({longest}), as of models that reason.",
        f"Estimated: a token for every {BYTES_OF_A_TOKEN} bytes of a prompt, {REPLY_TOKENS} tokens for a reply, and a "
        "label for every list, which the verify prompt judges; lists without one need no second request.",
        "Trying again after an error is not counted. Nothing was sent.",
    ]
    if not any(price.values()):
        lines.append("Costs are 0 because no price is given: labellers.llm.price: {input: ..., output: ...}.")
    return "\n".join(lines)
