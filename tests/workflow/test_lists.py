"""`snakemake label_lists`: lists from elsewhere, with no model."""

import json
from typing import Any

import pyarrow.parquet as pq
import pytest

from svdlens.artefacts.table_schemas import LABELLED_LISTS, read_metadata
from svdlens.models.token_texts import read_vocabulary
from workflow import Workflow, messages

pytest_plugins = ["workflow_fixtures"]

MISSING: dict[str, tuple[dict[str, Any], str]] = {
    "no lists": ({}, "label_lists needs lists: --config lists=FILE.jsonl tokenizer=DIRECTORY labeller=coherence"),
    "no tokenizer": ({"lists": "mine.jsonl"}, "label_lists needs the tokenizer that the lists come from"),
    "another place": (
        {"lists": "mine.jsonl", "tokenizer": "nowhere"},
        "tokenizer=nowhere: no directory with tokenizer",
    ),
    "another file": ({"lists": "your.jsonl", "tokenizer": "source"}, "lists=your.jsonl: there is no such file"),
    "another labeller": ({"labeller": "coherense"}, "Did you mean 'coherence'?"),
}


def write_lists(workflow: Workflow, lines: list[str]) -> None:
    (workflow.directory / "mine.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_is_said(case: str, tiny: Workflow) -> None:
    write_lists(tiny, ['{"id": "a", "tokens": []}'])
    config, message = MISSING[case]
    run = tiny.run("--dry-run", "label_lists", config=config)
    assert run.status != 0
    assert message in run.printed


def test_lists_are_labelled_without_a_model(tiny: Workflow) -> None:
    texts = read_vocabulary(tiny.directory / "source")
    words = [text for text in texts if len(text.strip()) > 1][:15]
    lists = {"words": words, "hostile": ["</script>", "a,b", '"', "\x00", "\u202e", ""], "empty": []}
    config = {"lists": "mine.jsonl", "tokenizer": "source"}
    lines = [json.dumps({"id": id, "tokens": tokens}) for id, tokens in lists.items()]
    write_lists(tiny, [*lines, '{"id": "half", "tokens": ["a"'])
    run = tiny.run("label_lists", config=config)
    assert run.status != 0
    assert any("mine.jsonl, line 4: no JSON" in message for message in messages(run))
    assert not (tiny.results / "lists/mine.coherence.parquet").exists()

    write_lists(tiny, lines)
    run = tiny.finish("label_lists", config=config)
    # The tokenizer is known by now.
    assert run.rules == {"label_lists"}
    path = tiny.results / "lists/mine.coherence.parquet"
    table = pq.read_table(path)
    assert table.schema.equals(LABELLED_LISTS)
    assert table["id"].to_pylist() == list(lists)
    assert table["status"].to_pylist()[1:] == ["abstained", "abstained"]
    assert "drawn from the vocabulary" in str(read_metadata(path)["null"])
    assert str(tiny.directory) not in path.read_bytes().decode("latin-1")
