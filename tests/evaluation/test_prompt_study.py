"""The prompt study: its conditions, its lists, and what it counts, of a server whose answers are known."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from statsmodels.stats.proportion import proportion_confint

from chat_server import KEY, MODEL, ChatServer, prompt_of
from svdlens.errors import SvdlensError
from svdlens.evaluation.prompt_study import (
    CONDITIONS,
    Condition,
    examples_of,
    prompts_of_study,
    study_lists,
    study_table,
    topic_words,
)
from svdlens.evaluation.prompt_study_cost import study_cost
from svdlens.figures.prompt_study import draw_prompt_study
from svdlens.labels.llm.prompts import NONE, Examples, read_examples
from svdlens.labels.llm.requesting import request_replies
from svdlens.vocabulary.wordnet import Lexicon, load_lexicon

PROMPTS = Path(__file__).parents[2] / "resources/prompts"
FILES = (PROMPTS / "label.jinja", PROMPTS / "verify.jinja", PROMPTS / "study_examples.yaml")
PARAMETERS = {"model": MODEL, "temperature": 0, "max_tokens": 20, "seed": 0, "json_schema": True}
LISTS = {
    "random_unit": [(f"word{i}", "other", "the") for i in range(8)],
    "gaussian": [(f"word{i}", "another") for i in range(4)],
}


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load_lexicon()


@pytest.mark.parametrize(
    ("n", "negatives", "n_positive"), [(0, None, 0), (3, 1, 2), (3, 3, 1), (6, 1, 3), (6, 3, 2), (8, 3, 2)]
)
def test_conditions_have_examples_in_the_ratio(n: int, negatives: int | None, n_positive: int) -> None:
    condition = Condition(n, negatives)
    assert condition.n_positive == n_positive
    every = read_examples(FILES[2])
    if n <= 6:
        shown = examples_of(condition, every)
        labels = [example["label"] for example in shown.label]
        assert (len(labels), sum(label != NONE for label in labels)) == (n, n_positive)
        # In the order of the file, and the first of either kind.
        places = [every.label.index(example) for example in shown.label]
        assert places == sorted(places)
        assert shown.verify == every.verify


def test_too_few_examples_are_refused() -> None:
    every = read_examples(FILES[2])
    with pytest.raises(SvdlensError, match="up to 3 examples with a label and 3 without"):
        examples_of(Condition(6, 1), Examples(every.label[:3], every.verify))


def test_no_word_is_of_two_topics_of_the_study(lexicon: Lexicon) -> None:
    topics = [topic_words(one["label"], lexicon) for one in read_examples(FILES[2]).label if one["label"] != NONE]
    assert all(topics)
    assert len(set.union(*topics)) == sum(map(len, topics))


@pytest.mark.parametrize(
    ("label", "topic", "shared"),
    [
        ("a ship", "ships and the sea", True),
        ("The Seas", "ships and the sea", True),
        ("cooked meals", "cooking", True),
        ("rivers and the land", "ships and the sea", False),
        ("season", "ships and the sea", False),
        ("money-making", "money", True),
        ("123 --", "money", False),
    ],
)
def test_labels_name_a_topic_by_a_word_in_any_inflection(
    label: str, topic: str, shared: bool, lexicon: Lexicon
) -> None:
    assert bool(topic_words(label, lexicon) & topic_words(topic, lexicon)) == shared


def test_lists_are_of_random_directions_alone(tmp_path: Path) -> None:
    rows = [
        *((None, False, ["singular", str(i)]) for i in range(5)),
        *(("rotated", False, ["rotated", str(i)]) for i in range(5)),
        *(("random_unit", i == 0, ["random", str(i // 2), "third"]) for i in range(40)),
        ("gaussian", False, ["alone"]),
        ("gaussian", False, ["two", "tokens"]),
    ]
    paths = []
    for number, part in enumerate((rows[:20], rows[20:])):
        control, null_space, tokens = map(list, zip(*part, strict=True))
        paths.append(tmp_path / f"{number}.parquet")
        columns = {"control": pa.array(control).dictionary_encode(), "null_space": null_space, "tokens": tokens}
        pq.write_table(pa.table(columns), paths[-1])
    lists = study_lists(paths, 5, 2)
    assert lists == {
        "random_unit": [("random", str(i)) for i in (0, 4, 8, 12, 16)],
        "gaussian": [("two", "tokens")],
    }
    with pytest.raises(SvdlensError, match="Add random_unit"):
        study_lists(paths[:1], 5, 1)


def answer(body: dict[str, Any]) -> str:
    """To the label prompt: of every list of even number the first label among the examples, or ships; none of the
    others, but of number 7 nothing that is an answer. To the verify prompt: yes for multiples of 4."""
    lines = prompt_of(body).split("\n")
    asked = next(line for line in reversed(lines) if line.startswith("Tokens: "))
    number = int(json.loads(asked.removeprefix("Tokens: "))[0].removeprefix("word"))
    if '"answer"' in prompt_of(body):
        return "no" if number % 4 else "yes"
    if number == 7:
        return "words"
    labels = [json.loads(line.removeprefix("Answer: "))["label"] for line in lines if line.startswith("Answer: {")]
    given = [label for label in labels if label != NONE]
    return json.dumps({"label": NONE if number % 2 else f"kinds of {given[0]}" if given else "Ships on land"})


def options_of(server: ChatServer, ledger: Path) -> dict[str, Any]:
    limits = {"in_flight": 4, "timeout": 10, "retries": 2, "price": {"input": 1.0, "output": 2.0}}
    return limits | {"base_url": server.url, "key_variable": "A_KEY", "ledger": str(ledger), "replay": False}


def asked_table(options: dict[str, Any], lexicon: Lexicon) -> pd.DataFrame:
    prompts = prompts_of_study(*FILES)
    every: Sequence[tuple[str, ...]] = [tokens for some in LISTS.values() for tokens in some]
    replies = {}
    for one in prompts.values():
        found, _ = request_replies(every, one, PARAMETERS, options, print)
        replies |= {reply.key: reply for reply in found}
    return study_table(LISTS, prompts, PARAMETERS, replies, lexicon)


def test_the_study_counts_what_a_model_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lexicon: Lexicon) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    with ChatServer(answer=answer) as server:
        options = options_of(server, tmp_path / "ledger.sqlite")
        prompts = prompts_of_study(*FILES)
        before = study_cost(LISTS, prompts, PARAMETERS, options)
        assert server.requests == 0
        # 12 lists under 5 conditions, and at most as many verdicts.
        counted = [line.split()[-5:-3] for line in before.splitlines() if line.startswith(("label prompt", "verify"))]
        assert counted == [["0", "60"], ["0", "60"]]
        table = asked_table(options, lexicon)
        after = study_cost(LISTS, prompts, PARAMETERS, options)
        assert [line.split()[3] for line in after.splitlines() if line.startswith("label prompt")] == ["0"]

    assert len(table) == len(CONDITIONS) * 3
    conditions = table[["n_examples", "ratio"]].drop_duplicates().fillna("").values.tolist()
    assert conditions == [[0, ""], [3, "1:1"], [3, "1:3"], [6, "1:1"], [6, "1:3"]]
    for control, n, n_unparsed, labelled, verified in ((None, 12, 1, 6, 3), ("random_unit", 8, 1, 4, 2)):
        rows = table[table["control"].isna() if control is None else table["control"] == control]
        assert len(rows) == len(CONDITIONS)
        expected = {
            "n": n,
            "n_failed": 0,
            "n_unparsed": n_unparsed,
            "n_labelled": n - n_unparsed,
            "k_labelled": labelled,
        }
        expected |= {"n_interpretable": n - n_unparsed, "k_interpretable": verified, "k_names_example": labelled}
        for name, value in expected.items():
            assert (rows[name] == value).all(), (control, name)
        low, high = proportion_confint(labelled, n - n_unparsed, method="wilson")
        assert rows["labelled"].tolist() == pytest.approx([labelled / (n - n_unparsed)] * len(rows))
        assert rows["labelled_low"].tolist() == pytest.approx([low] * len(rows))
        assert rows["labelled_high"].tolist() == pytest.approx([high] * len(rows))
    figure = draw_prompt_study(table)
    assert [axes.get_title() for axes in figure.axes] == ["false positives", "labels that name an example's topic"]


def test_what_was_not_asked_is_failed_and_no_share(tmp_path: Path, lexicon: Lexicon) -> None:
    table = study_table(LISTS, prompts_of_study(*FILES), PARAMETERS, {}, lexicon)
    assert (table["n_failed"] == table["n"]).all()
    assert table[["labelled", "labelled_low", "interpretable_high", "names_example"]].isna().all(axis=None)
    draw_prompt_study(table)
