"""A real server with a real instruct model: lists labelled end to end, and again from the ledger alone."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from configurations import CONFIG
from planted import GROUPS
from real_server import add_chat_template, served
from svdlens.labels.llm.answers import answer_columns, questions_of
from svdlens.labels.llm.ledger import Ledger
from svdlens.labels.llm.prompts import Prompts, read_prompts
from svdlens.labels.llm.requesting import request_replies

pytestmark = pytest.mark.slow
PROMPTS = Path(__file__).parents[3] / "resources/prompts"
N_LISTS = 64
N_TOKENS = 8
MODEL = "smollm2-135m"
# json_schema: this server ignores what it is asked for there.
PARAMETERS = {"model": MODEL, "temperature": 0, "max_tokens": 12, "seed": 0, "json_schema": True}

Tokens = tuple[str, ...]


@pytest.fixture(scope="module")
def base_url(smollm2: Path, smollm2_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server. The model is the fetched one with links for files, and its chat template beside it."""
    directory = tmp_path_factory.mktemp("served")
    model = directory / MODEL
    model.mkdir()
    for file in smollm2.iterdir():
        (model / file.name).hardlink_to(file)
    add_chat_template(model, smollm2_wheel, CONFIG["models"][MODEL]["file"])
    with served(model, directory / "server.log") as url:
        yield url


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return read_prompts(PROMPTS / "short_label.jinja", PROMPTS / "short_verify.jinja", PROMPTS / "examples.yaml")


def some_lists(n: int) -> list[Tokens]:
    """Every second one of words of a group, the others of words of all groups."""
    rng = random.Random(0)
    every_word = sorted({word for group in GROUPS for word in group.words})
    sources = [GROUPS[i % len(GROUPS)].words if i % 2 else every_word for i in range(n)]
    return [tuple(rng.sample(list(words), N_TOKENS)) for words in sources]


def ask(
    lists: Sequence[Tokens], prompts: Prompts, ledger: Path, base_url: str = "", replay: bool = False
) -> tuple[list[Any], dict[str, list[Any]], Any]:
    """Replies, columns of answers, and what became of the lists."""
    own = CONFIG["labellers"]["llm"] | {"in_flight": 4, "timeout": 300, "ledger": str(ledger), "replay": replay}
    # A server on this machine needs no key, and none of the person who runs the test leaves it.
    options = own | {"base_url": base_url, "key_variable": ""}
    replies, asked = request_replies(lists, prompts, PARAMETERS, options, print)
    columns = answer_columns(lists, questions_of(prompts, PARAMETERS), {reply.key: reply for reply in replies})
    return replies, columns, asked


def test_every_list_has_an_answer_and_the_ledger_replays_them(base_url: str, prompts: Prompts, tmp_path: Path) -> None:
    lists = list(dict.fromkeys(some_lists(N_LISTS)))
    assert len(lists) >= 60
    replies, columns, asked = ask(lists, prompts, tmp_path / "ledger.sqlite", base_url)
    assert (asked.failed, asked.complete, asked.asked, asked.found) == ({}, len(lists), len(replies), 0)

    # It is a weak model, which keeps to JSON for every second list. Roundings of other processors may change some.
    assert set(columns["status"]) <= {"ok", "unparsed"}
    n_labels = sum(label is not None for label in columns["label"])
    assert n_labels > len(lists) / 4
    assert len(replies) == len(lists) + n_labels
    assert any(verified is not None for verified in columns["verified"])
    for status, reason in zip(columns["status"], columns["reason"], strict=True):
        assert (reason is None) == (status == "ok")
    assert all(reply.prompt_tokens > 50 and 0 < reply.completion_tokens <= 12 for reply in replies)
    assert {reply.finish_reason for reply in replies} <= {"stop", "length"}

    # Elsewhere, with the export and no server.
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        assert ledger.export(tmp_path / "ledger.jsonl") == len(replies)
    with Ledger(tmp_path / "other.sqlite") as ledger:
        assert ledger.import_(tmp_path / "ledger.jsonl").added == len(replies)
    _, replayed, again = ask(lists, prompts, tmp_path / "other.sqlite", replay=True)
    assert replayed == columns
    assert (again.failed, again.asked, again.found) == ({}, 0, len(replies))


def test_temperature_zero_says_the_same_again(base_url: str, prompts: Prompts, tmp_path: Path) -> None:
    """By what is asked alone, whatever it is asked between: two new ledgers, and the lists in another order."""
    lists = some_lists(8)
    _, first, _ = ask(lists, prompts, tmp_path / "first.sqlite", base_url)
    _, second, _ = ask(lists[::-1], prompts, tmp_path / "second.sqlite", base_url)
    assert {name: values[::-1] for name, values in second.items()} == first
