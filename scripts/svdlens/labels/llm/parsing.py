"""What a language model's reply says: a label, that there is none, or a verdict. Pure: no reply is asked for again.

A reply is a JSON object, `{"label": TEXT}` or `{"answer": "yes"}`. Fences, text around it and reasoning before it do
not matter. What is no such object is `unparsed`, with a reason, and never becomes a label.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from svdlens.labels.llm.ledger import Reply

OK = "ok"
UNPARSED = "unparsed"
"""Statuses. A reply that is there and says nothing that counts is UNPARSED."""

LONGEST_LABEL = 100
"""Characters."""
LONGEST_ANSWER = 20_000
"""Characters of a reply, without its reasoning, in which an answer is looked for."""

REASONING = r"(think|thinking|thought|reasoning)"
REASONING_STARTS = re.compile(rf"\s*<{REASONING}>", re.IGNORECASE)
REASONING_ENDS = re.compile(rf"</{REASONING}>", re.IGNORECASE)

SHARED = (
    "(label|meaning|theme|topic|concept|pattern|property|relation|relationship|connection|link|category|commonality)"
)
NO_LABEL = re.compile(
    r"|none|null|nil|n/?a|no|nothing|-+|\?+|unknown|unclear|unrelated|miscellaneous|no label"
    r"|(there is |they have |they share |these (words|tokens) (have|share) )?"
    rf"no(?: [a-z]+){{0,3}} {SHARED}s?( in common)?"
    r"|(none|nothing) (in common|shared|applies|of (the above|these|them))"
    r"|(unrelated|random|miscellaneous|mixed) (words|tokens|fragments|strings)",
    re.IGNORECASE,
)
"""What stands in place of a label where there is none."""
REFUSAL = re.compile(
    r"(i|we)( am|['’]m|['’]ve| apologi[sz]e| can(not)?| could| do| did| don['’]?t| must| will| won['’]?t| need)\b.*"
    r"|(i['’]m )?sorry\b[,.! ].*\b(i|we|can|cannot|unable)\b.*|(as|being) an? (ai|language model|assistant)\b.*",
    re.IGNORECASE,
)
"""A sentence of the model about itself is no name of what tokens share."""
JOINERS = "\u200c\u200d"
"""Characters without a width that some scripts and emoji need within a word."""


class ParsedLabel(NamedTuple):
    """status: OK or UNPARSED. label: None where the model says that nothing is shared, or where nothing was parsed.
    reason: why nothing was."""

    status: str
    label: str | None = None
    reason: str | None = None


class ParsedVerdict(NamedTuple):
    """status: OK or UNPARSED. yes: whether the label is said to fit, None where nothing was parsed. reason: why not."""

    status: str
    yes: bool | None = None
    reason: str | None = None


class NoAnswer(Exception):
    """Why a reply has no answer."""


def parse_label(reply: Reply) -> ParsedLabel:
    """The label that a reply to the label prompt gives, None for "none" and its like.

    A label is one line of at most LONGEST_LABEL characters, none of them a control character.
    """
    try:
        return ParsedLabel(OK, read_label(answer_of(reply, "label")))
    except NoAnswer as error:
        return ParsedLabel(UNPARSED, reason=str(error))


def parse_verdict(reply: Reply) -> ParsedVerdict:
    """Whether a reply to the verify prompt says that the label fits. The word yes or no alone says so, too."""
    try:
        return ParsedVerdict(OK, read_verdict(answer_of(reply, "answer", ("yes", "no"))))
    except NoAnswer as error:
        return ParsedVerdict(UNPARSED, reason=str(error))


def read_label(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise NoAnswer(f"the label is no text but {type(value).__name__}")
    label = value.strip()
    if len(label) > LONGEST_LABEL:
        raise NoAnswer(f"the label has {len(label)} characters, more than {LONGEST_LABEL}")
    if len(label.splitlines()) > 1:
        raise NoAnswer("the label has a line break")
    # Control characters, those that reverse text, halves of surrogate pairs, and what Unicode has not assigned.
    if any(unicodedata.category(character)[0] == "C" and character not in JOINERS for character in label):
        raise NoAnswer("the label has a control character")
    label = " ".join(label.split())
    if NO_LABEL.fullmatch(label.strip(" .\"'()[]")):
        return None
    if REFUSAL.fullmatch(label):
        raise NoAnswer("a refusal stands in place of the label")
    return label


def read_verdict(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    said = value.strip(" .!\n\t").lower() if isinstance(value, str) else value
    if said not in ("yes", "no"):
        raise NoAnswer(f"the answer is neither yes nor no but {value!r:.60}")
    return bool(said == "yes")


def answer_of(reply: Reply, key: str, alone: tuple[str, ...] = ()) -> Any:
    """The value of `key` in the one JSON object of a reply that has it; or the reply, if it is a word of `alone`.

    Raises NoAnswer for refusals, replies that were cut off, and those with no such object, or with several that differ.
    """
    if reply.refusal:
        raise NoAnswer("the model refused")
    if reply.finish_reason == "content_filter":
        raise NoAnswer("the server's filter withheld the reply (finish_reason content_filter)")
    if reply.finish_reason == "length":
        raise NoAnswer("the reply was cut off (finish_reason length); raise max_tokens")
    text = without_reasoning(reply.content or "").strip()
    if not text:
        raise NoAnswer("the reply is empty")
    if len(text) > LONGEST_ANSWER:
        raise NoAnswer(f"the reply has {len(text)} characters, more than {LONGEST_ANSWER}")
    if text.strip(" .!").lower() in alone:
        return text
    values = list(values_in(text, key))
    if not values:
        raise NoAnswer(f"there is no JSON object with {key!r} in the reply")
    if any(value != values[0] for value in values):
        raise NoAnswer(f"the reply has {len(values)} answers, which differ")
    return values[0]


def without_reasoning(content: str) -> str:
    """A reply without the reasoning before it, of which some servers leave out the opening tag."""
    ends = list(REASONING_ENDS.finditer(content))
    if ends:
        return content[ends[-1].end() :]
    if REASONING_STARTS.match(content):
        raise NoAnswer("the reply is reasoning without an answer")
    return content


def values_in(text: str, key: str) -> Iterator[Any]:
    """The value of `key` in each JSON object of a text that has it, objects within such an object left out."""
    decoder = json.JSONDecoder(object_pairs_hook=once_each)
    start = text.find("{")
    while start >= 0:
        end = start + 1
        try:
            found, after = decoder.raw_decode(text, start)
        except RecursionError as error:
            raise NoAnswer("the reply is nested too deeply") from error
        except ValueError:  # no JSON, or a number of thousands of digits
            found, after = {}, end
        if key in found:
            yield found[key]
            end = after
        start = text.find("{", end)


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object by its keys in lower case. Raises NoAnswer for a key that stands twice: which one counts?"""
    found: dict[str, Any] = {}
    for key, value in pairs:
        name = key.strip().lower()
        if name in found and found[name] != value:
            raise NoAnswer(f"the reply says {name!r} twice")
        found[name] = value
    return found
