"""From replies to answers to labels: each where it belongs, identical lists alike, no label of what failed."""

import itertools
import json
from pathlib import Path

import pyarrow as pa
import pytest

from svdlens.artefacts.table_schemas import ANSWERS, LABEL_FIELDS, write_table
from svdlens.errors import SvdlensError
from svdlens.labels.external_lists import ExternalList
from svdlens.labels.label_kinds import kind_of_label
from svdlens.labels.label_table import Choice, choose
from svdlens.labels.labeller import SINGULAR, Labeller, TokenLists
from svdlens.labels.llm.answers import Answer, answer_columns, answer_of, facts_of, questions_of
from svdlens.labels.llm.attempts import ask_again, attempt
from svdlens.labels.llm.labeller import label_external_lists, labeller_from_files
from svdlens.labels.llm.ledger import Reply
from svdlens.labels.llm.lists import distinct_lists
from svdlens.labels.llm.prompts import Examples, Prompts
from svdlens.labels.llm.reply_files import read_replies, write_replies

PROMPTS = Prompts("{{ tokens | tojson }}", "{{ tokens | tojson }} {{ label | tojson }}", Examples())
PARAMETERS = {"model": "m", "tokens": 3, "temperature": 0, "max_tokens": 20, "seed": 0, "json_schema": True}
QUESTIONS = questions_of(PROMPTS, PARAMETERS)
TOKENS = (" ship", " mast", " sail")


def replied(key: str, content: str | None, finish_reason: str = "stop") -> dict[str, Reply]:
    return {key: Reply(key, content, finish_reason, None, 9, 3, 0.5, '{"id": "x"}')}


def about(tokens: tuple[str, ...], label: str | None, verdict: str | None) -> dict[str, Reply]:
    """Replies to both prompts about a list, None where there is none."""
    replies = {}
    if label is not None:
        replies |= replied(QUESTIONS.label_request(tokens).key, json.dumps({"label": label}))
    if verdict is not None:
        replies |= replied(QUESTIONS.verify_request(tokens, str(label)).key, json.dumps({"answer": verdict}))
    return replies


CASES = {
    ("ships", "yes"): Answer("ok", "ships", True, True),
    ("ships", "no"): Answer("ok", "ships", True, False),
    ("none", None): Answer("ok", None, False, None),
    ("none", "yes"): Answer("ok", None, False, None),  # nobody asked for that
    (None, None): Answer("failed", reason="no reply to the label prompt"),
    (None, "yes"): Answer("failed", reason="no reply to the label prompt"),
    ("ships", None): Answer("failed", "ships", True, None, "no reply to the verify prompt"),
    ("ships", "maybe"): Answer(
        "unparsed", "ships", True, None, "verify prompt: the answer is neither yes nor no but 'maybe'"
    ),
    ("x" * 200, "yes"): Answer("unparsed", reason="label prompt: the label has 200 characters, more than 100"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_answer_is_what_both_replies_say(case: tuple[str | None, str | None]) -> None:
    assert answer_of(TOKENS, QUESTIONS, about(TOKENS, *case)) == CASES[case]


def test_a_list_of_one_token_is_not_asked_about() -> None:
    assert answer_of((" ship",), QUESTIONS, about((" ship",), "ships", "yes")).status == "abstained"
    assert answer_of((), QUESTIONS, {}).status == "abstained"


def test_what_is_asked_depends_on_every_parameter_and_on_both_templates() -> None:
    changed = {"model": "n", "temperature": 1, "max_tokens": 21, "seed": 1, "json_schema": False}
    keys = {QUESTIONS.label_request(TOKENS).key}
    keys |= {questions_of(PROMPTS, PARAMETERS | {k: v}).label_request(TOKENS).key for k, v in changed.items()}
    other = Prompts("? {{ tokens | tojson }}", "{{ tokens | tojson }} {{ label | tojson }}", Examples())
    keys.add(questions_of(other, PARAMETERS).label_request(TOKENS).key)
    assert len(keys) == len(changed) + 2


def test_replies_survive_their_file_but_for_times_and_prices(tmp_path: Path) -> None:
    replies = about(TOKENS, "ships", "yes") | replied("k", None, "length") | replied("a", "\ud800 \x00 ü \n")
    write_replies(tmp_path / "one.jsonl", list(replies.values()))
    write_replies(tmp_path / "other.jsonl", list(reversed(replies.values())))
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "other.jsonl").read_bytes()
    read = read_replies(tmp_path / "one.jsonl")
    assert list(read) == sorted(replies)
    for key, reply in replies.items():
        assert (read[key].content, read[key].finish_reason) == (reply.content, reply.finish_reason)
        assert (read[key].cost, read[key].raw) == (0.0, "")
    text = (tmp_path / "one.jsonl").read_text("utf-8")
    (tmp_path / "one.jsonl").write_text(text[:-20], "utf-8")
    with pytest.raises(SvdlensError, match=r"one\.jsonl is cut short or damaged.*Delete it"):
        read_replies(tmp_path / "one.jsonl")


def lists_of(*rows: tuple[str, ...]) -> TokenLists:
    import numpy as np

    return TokenLists(np.zeros((len(rows), 4), np.int64), pa.array([list(row) for row in rows], pa.list_(pa.string())))


def written_answers(tmp_path: Path, lists: list[tuple[str, ...]], replies: dict[str, Reply]) -> dict[str, Path]:
    columns = answer_columns(lists, QUESTIONS, replies)
    write_table(tmp_path / "answers.parquet", columns, ANSWERS, facts_of(PROMPTS, PARAMETERS))
    return {"answers": tmp_path / "answers.parquet"}


def test_labels_are_joined_by_the_texts_that_were_shown(tmp_path: Path) -> None:
    rows = [
        (" ship", " mast", " sail", " a"),
        (" walked", " ran", " sat", " b"),
        ("x", "y", "z", " c"),
        (" ship", " mast", " sail", " d"),
    ]
    shown = distinct_lists(rows, 3)
    assert len(shown) == 3
    replies = about(shown[0], "ships", "yes") | about(shown[1], "verbs", "yes") | about(shown[2], "none", None)
    labeller = labeller_from_files(written_answers(tmp_path, shown, replies), PARAMETERS, 0)
    assert isinstance(labeller, Labeller)
    said = labeller.label({SINGULAR: lists_of(*rows[:2]), "random_unit": lists_of(*rows[2:])}).columns
    assert said[SINGULAR]["label"] == ["ships", "verbs"]
    assert said[SINGULAR]["kind"] == ["semantic", "grammatical"]
    assert said["random_unit"]["label"] == [None, "ships"]  # the fourth is the first again, but for what was not shown
    assert said["random_unit"]["interpretable"] == [False, True]
    assert said["random_unit"]["verified"] == [None, True]
    assert said["random_unit"]["kind"] == ["none", "semantic"]
    assert {name for name, _ in LABEL_FIELDS} - set(said[SINGULAR]) == {"labeller", "mean_log_rank"}
    model = labeller.facts["language_model"]
    assert model["model"] == "m" and model["label_prompt_sha256"] == PROMPTS.sha256["label_prompt"]
    with pytest.raises(SvdlensError, match="no answer about 1 lists"):
        labeller.label({SINGULAR: lists_of((" other", " one", " yet", " e"))})


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    lists = [(letter, "b", "c") for letter in "abcdefghi"]
    replies = dict(itertools.chain(*(about(one, *case).items() for one, case in zip(lists, CASES, strict=True))))
    files = written_answers(tmp_path, lists, replies)
    given = [ExternalList(str(number), list(tokens)) for number, tokens in enumerate(lists)]
    columns, facts = label_external_lists(given, files, PARAMETERS, 0)
    interpretable = {"ships yes": True, "ships no": False, "none None": False, "none yes": False}
    expected = [interpretable.get(f"{label} {verdict}") for label, verdict in CASES]
    assert columns["interpretable"] == expected
    assert columns["status"] == [answer.status for answer in CASES.values()]
    assert [label for label, status in zip(columns["label"], columns["status"], strict=True) if status == "ok"] == [
        *("ships", "ships", None, None)
    ]
    assert columns["id"] == list("012345678")
    assert facts["language_model"]["model"] == "m"


KINDS = {
    "ships and the sea": "semantic",
    "verbs": "grammatical",
    "verbs in the past tense": "grammatical",
    "plural nouns": "grammatical",
    "verbs about motion": "semantic",
    "words ending in -ing": "orthographic",
    "words that start with qu": "orthographic",
    "parts of words": "orthographic",
    "word fragments": "orthographic",
    "punctuation": "orthographic",
    "numbers": "orthographic",
    "endings": "semantic",
    "the end of the world": "semantic",
}


@pytest.mark.parametrize("label", KINDS)
def test_the_kind_of_a_label_is_what_it_names(label: str) -> None:
    assert kind_of_label(label) == KINDS[label]


def table_of(n: int, controls: dict[str, int]) -> pa.Table:
    rows = [{"control": None, "readout": "W_U", "side": "read", "index": i} for i in range(n)]
    for control, count in controls.items():
        rows += [{"control": control, "readout": "W_U", "side": "all", "index": i} for i in range(count)]
    rows += [row | {"readout": "W_E"} for row in rows]
    return pa.Table.from_pylist([row | {"sign": sign} for row in rows for sign in (1, -1)])


def test_of_controls_so_many_lists_are_chosen_evenly_and_of_directions_none_is_left_out() -> None:
    chosen = choose(table_of(7, {"random_unit": 100, "rotated": 5}), Choice(signs=[1], control_lists=10)).to_pylist()
    for readout in ("W_U", "W_E"):
        rows = [row for row in chosen if row["readout"] == readout]
        assert [row["index"] for row in rows if row["control"] is None] == list(range(7))
        assert [row["index"] for row in rows if row["control"] == "random_unit"] == list(range(0, 100, 10))
        assert [row["index"] for row in rows if row["control"] == "rotated"] == list(range(5))
    assert choose(table_of(7, {"rotated": 5}), Choice()).num_rows == table_of(7, {"rotated": 5}).num_rows


def test_attempts_are_counted_from_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.attempt"
    assert attempt(path) == 0
    ask_again(path)
    ask_again(path)
    assert attempt(path) == 2
    path.write_text("nonsense")
    assert attempt(path) == 0
