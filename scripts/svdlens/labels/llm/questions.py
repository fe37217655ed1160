"""What is asked of token lists, and which replies to it a ledger holds; nothing here knows a network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from svdlens.labels.llm.ledger import Ledger, Reply, Request

Tokens = Sequence[str]
Messages = Sequence[Mapping[str, str]]


@runtime_checkable
class Prompts(Protocol):
    """The texts of both questions."""

    def label_messages(self, tokens: Tokens) -> Messages: ...

    def verify_messages(self, tokens: Tokens, label: str) -> Messages: ...


@runtime_checkable
class Parsed(Protocol):
    """What parsing a reply to the first question finds: a label, or None if it has none."""

    @property
    def label(self) -> str | None: ...


@dataclass(frozen=True)
class Questions:
    """Both questions as requests to a model: for a label of a list, and whether the label fits it.

    `parse_label` reads the reply to the first. `sampling`: parameters of chat completions (temperature, max_tokens,
    seed); those that are None are left out. `label_format`, `verify_format`: response_format of each, or None.
    """

    prompts: Prompts
    parse_label: Callable[[Reply], Parsed]
    model: str
    sampling: Mapping[str, Any]
    label_format: Mapping[str, Any] | None = None
    verify_format: Mapping[str, Any] | None = None

    def label_request(self, tokens: Tokens) -> Request:
        return self.request(self.prompts.label_messages(tokens), self.label_format)

    def verify_request(self, tokens: Tokens, label: str) -> Request:
        return self.request(self.prompts.verify_messages(tokens, label), self.verify_format)

    def request(self, messages: Messages, response_format: Mapping[str, Any] | None) -> Request:
        sampling = {**self.sampling, "response_format": response_format}
        return Request(
            tuple(messages), self.model, {name: value for name, value in sampling.items() if value is not None}
        )


@dataclass
class Asked:
    """What became of some lists. `found`: replies that the ledger had; `asked`: replies that came; `cost`: of these.
    `complete`: distinct lists with all the replies that they need; `failed`: those without, by reason. `stopped_by`:
    the limit that ended it, in words."""

    found: int = 0
    asked: int = 0
    cost: float = 0.0
    complete: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    stopped_by: str | None = None


def distinct(lists: Sequence[Tokens]) -> list[tuple[str, ...]]:
    """Each list once, in the order of the first of its kind."""
    return list(dict.fromkeys(tuple(tokens) for tokens in lists))


def found_replies(
    lists: Sequence[tuple[str, ...]], questions: Questions, ledger: Ledger
) -> list[tuple[Reply | None, Reply | None, bool]]:
    """For each list the replies to both questions that the ledger has, and whether it needs no other.

    There is no second question, and no reply to it, where the first gave no label.
    """
    asked = [questions.label_request(tokens).key for tokens in lists]
    labels = ledger.find(asked)
    second: dict[int, str] = {}
    for i, key in enumerate(asked):
        if key in labels and (label := questions.parse_label(labels[key]).label) is not None:
            second[i] = questions.verify_request(lists[i], label).key
    verdicts = ledger.find(second.values())
    return [
        (labels.get(key), verdicts.get(second.get(i, "")), key in labels and (i not in second or second[i] in verdicts))
        for i, key in enumerate(asked)
    ]


def replies_of(lists: Sequence[Tokens], questions: Questions, ledger: Ledger) -> list[Reply]:
    """All replies about these lists that the ledger has, sorted by key."""
    found = {
        reply.key: reply
        for label, verdict, _ in found_replies(distinct(lists), questions, ledger)
        for reply in (label, verdict)
        if reply is not None
    }
    return [found[key] for key in sorted(found)]


def find_or_failed(lists: Sequence[Tokens], questions: Questions, ledger: Ledger) -> Asked:
    """What the ledger has of these lists; the others have failed. Asks nobody."""
    asked = Asked()
    for label, verdict, complete in found_replies(distinct(lists), questions, ledger):
        asked.found += (label is not None) + (verdict is not None)
        asked.complete += complete
        if not complete:
            asked.failed[NOT_IN_LEDGER] = asked.failed.get(NOT_IN_LEDGER, 0) + 1
    return asked


NOT_IN_LEDGER = "the ledger has no reply, and `replay: true` asks for none"
