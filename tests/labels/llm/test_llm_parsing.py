"""What replies say: tolerant of what stands around an answer, and never a label of what is none."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svdlens.labels.llm.ledger import Reply
from svdlens.labels.llm.parsing import LONGEST_LABEL, OK, UNPARSED, parse_label, parse_verdict


def reply(content: str | None, finish_reason: str | None = "stop", refusal: str | None = None) -> Reply:
    return Reply("key", content, finish_reason, refusal, 1, 1, 0.0, "{}")


LABELS = {
    "alone": '{"label": "ships and the sea"}',
    "fenced": '```json\n{"label": "ships and the sea"}\n```',
    "fenced, without a language": '```\n{\n  "label": "ships and the sea"\n}\n```',
    "between sentences": 'Sure! Here it is: {"label": "ships and the sea"} Let me know if you need more.',
    "after reasoning": '<think>\nWater? {"label": "water"} No.\n</think>\n\n{"label": "ships and the sea"}',
    "after reasoning whose start is in the prompt": 'So, ships.</think>{"label": "ships and the sea"}',
    "with an opinion": '{"reason": "sailor, mast", "label": "ships and the sea", "confidence": 0.9}',
    "within another object": '{"answer": {"label": "ships and the sea"}}',
    "said twice": '{"label": "ships and the sea"}\n{"label": "ships and the sea"}',
    "another case": '{"Label": "ships and the sea"}',
    "blanks around it": '{"label": "  ships and\u00a0the sea "}',
    "after braces of no JSON": 'The set {mast, sail} is {"label": "ships and the sea"}',
}


@pytest.mark.parametrize("case", LABELS)
def test_a_label_is_found(case: str) -> None:
    assert parse_label(reply(LABELS[case])) == (OK, "ships and the sea", None)


NONE = [
    *("none", "None", "NONE.", "n/a", "null", "", " ", "nothing", "no label", "-", "No shared meaning", "unrelated"),
    *("no clear semantic theme", "none of the above", "There is no common theme", "these words have no shared meaning"),
    *("random tokens", "nothing in common", "(none)", "no relation"),
]


@pytest.mark.parametrize("text", NONE)
def test_none_and_its_like_is_no_label(text: str) -> None:
    assert parse_label(reply(json.dumps({"label": text}))) == (OK, None, None)


def test_null_is_no_label() -> None:
    assert parse_label(reply('{"label": null}')) == (OK, None, None)


@pytest.mark.parametrize(
    "text", ["null pointers", "non-fiction", "nothingness", "no-entry signs", "numbers", "I and O"]
)
def test_a_label_that_only_begins_like_none_is_one(text: str) -> None:
    assert parse_label(reply(json.dumps({"label": text}))).label == text


UNPARSED_REPLIES = {
    "nothing": (reply(None), "empty"),
    "blanks": (reply(" \n"), "empty"),
    "reasoning alone": (reply('<think>ships {"label": "ships"}'), "reasoning without an answer"),
    "reasoning, and nothing after it": (reply("<think>ships</think>\n"), "empty"),
    "cut off": (reply('{"label": "ships"}', "length"), "cut off"),
    "withheld": (reply('{"label": "ships"}', "content_filter"), "filter"),
    "a refusal": (reply(None, "stop", "I can't help with that."), "refused"),
    "a refusal as text": (reply("I'm sorry, I can't help with that."), "no JSON object"),
    "a refusal as a label": (reply('{"label": "I\'m sorry, but I can\'t assist with that."}'), "refusal"),
    "another refusal as a label": (reply('{"label": "I cannot determine a common theme"}'), "refusal"),
    "an error as text": (reply("Error: model overloaded"), "no JSON object"),
    "a sentence": (reply("Most of these words have to do with ships."), "no JSON object"),
    "single quotes": (reply("{'label': 'ships'}"), "no JSON object"),
    "JSON cut short": (reply('{"label": "ships'), "no JSON object"),
    "another object": (reply('{"topic": "ships"}'), "no JSON object"),
    "a list": (reply('["ships"]'), "no JSON object"),
    "several labels": (reply('{"label": "ships"} or {"label": "harbours"}'), "2 answers"),
    "a key twice": (reply('{"label": "ships", "label": "harbours"}'), "twice"),
    "a number": (reply('{"label": 7}'), "no text"),
    "labels in a list": (reply('{"label": ["ships"]}'), "no text"),
    "true": (reply('{"label": true}'), "no text"),
    "a long label": (reply(json.dumps({"label": "x" * (LONGEST_LABEL + 1)})), "101 characters"),
    "10 kB": (reply(json.dumps({"label": "ship " * 2000})), "characters"),
    "30 kB": (reply(json.dumps({"label": "ship " * 6000})), "characters"),
    "a line break": (reply('{"label": "ships\\nand boats"}'), "line break"),
    "a line separator": (reply('{"label": "ships\\u2028and boats"}'), "line break"),
    "a control character": (reply('{"label": "ships\\u0000"}'), "control"),
    "an escape sequence": (reply('{"label": "\\u001b[31mships"}'), "control"),
    "reversed text": (reply('{"label": "\\u202eships"}'), "control"),
    "half of a surrogate pair": (reply('{"label": "\\ud800"}'), "control"),
    "deeply nested": (reply('{"a":' * 3000), "nested too deeply"),
    "a number of 10,000 digits": (reply('{"label": ' + "9" * 10_000 + "}"), "no JSON object"),
}


@pytest.mark.parametrize("case", UNPARSED_REPLIES)
def test_what_is_no_answer_is_unparsed_with_a_reason(case: str) -> None:
    given, reason = UNPARSED_REPLIES[case]
    started = time.process_time()
    parsed = parse_label(given)
    assert (parsed.status, parsed.label) == (UNPARSED, None)
    assert parsed.reason is not None and reason in parsed.reason
    assert len(parsed.reason) < 200
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "label", ["<b>ships</b>", "**ships**", "</script><script>alert(1)", "HTML tags: <div>", "=1+1"]
)
def test_markup_stays_text(label: str) -> None:
    """It is shown escaped; tokens can be tags, and so can what they share."""
    assert parse_label(reply(json.dumps({"label": label}))).label == label


@pytest.mark.parametrize("label", ["корабли", "船", "سفن", "نمی‌دانم", "👩‍👧 families"])
def test_labels_are_in_any_script(label: str) -> None:
    assert parse_label(reply(json.dumps({"label": label}))).label == label


VERDICTS = [
    ('{"answer": "yes"}', True),
    ('{"answer": "No."}', False),
    ('{"answer": true}', True),
    ('<think>{"answer": "no"}?</think>{"answer": "yes"}', True),
    ("yes", True),
    ("No.", False),
    ('```json\n{"answer": "no"}\n```', False),
]


@pytest.mark.parametrize(("content", "yes"), VERDICTS)
def test_a_verdict_is_found(content: str, yes: bool) -> None:
    assert parse_verdict(reply(content)) == (OK, yes, None)


@pytest.mark.parametrize(
    "content",
    [
        *(None, "", "Yes, but also no", "maybe", '{"answer": "maybe"}', '{"answer": null}', '{"answer": 1}'),
        *('{"label": "yes"}', '{"answer": "yes"} {"answer": "no"}', '{"answer": ["yes"]}'),
    ],
)
def test_what_is_neither_yes_nor_no_is_unparsed(content: str | None) -> None:
    parsed = parse_verdict(reply(content))
    assert (parsed.status, parsed.yes) == (UNPARSED, None)
    assert parsed.reason


def test_a_verdict_that_was_cut_off_or_refused_is_none() -> None:
    assert parse_verdict(reply("yes", "length")).status == UNPARSED
    assert parse_verdict(reply("yes", refusal="no")).status == UNPARSED


@given(
    st.text(max_size=300) | st.recursive(st.none() | st.text(), lambda x: st.dictionaries(st.text(), x)).map(json.dumps)
)
def test_anything_is_parsed_or_unparsed(content: str) -> None:
    for parse in (parse_label, parse_verdict):
        assert parse(reply(content)).status in (OK, UNPARSED)
    label = parse_label(reply(content)).label
    assert label is None or (0 < len(label) <= LONGEST_LABEL and len(label.splitlines()) == 1)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=LONGEST_LABEL), st.text(), st.text())
def test_a_label_survives_what_is_around_it(label: str, before: str, after: str) -> None:
    alone = parse_label(reply(json.dumps({"label": label})))
    quiet = str.maketrans("{}<>", "()()")
    around = f"{before.translate(quiet)}{json.dumps({'label': label})}{after.translate(quiet)}"
    assert parse_label(reply(around)) == alone
