"""Token lists from elsewhere: how they are read, found in a vocabulary, and labelled."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import label_lists as script
from svdlens.artefacts.atomic_files import sha256_of
from svdlens.artefacts.table_schemas import LABELLED_LISTS, read_metadata, write_table
from svdlens.errors import SvdlensError
from svdlens.labels.coherence.external_lists import DRAWN, FEWEST_TO_SHUFFLE, SHUFFLED, label_lists
from svdlens.labels.external_lists import ExternalList, find_tokens, read_lists
from svdlens.vocabulary.token_classes import TokenClasses
from svdlens.vocabulary.token_features import KnownVocabulary
from tiny_vocabulary import write_vocabulary
from workflow import Files

TOPICS, WORDS = 20, 20
FACTS = {"minilm_sha256": "00ff", "token_frequency": "made up"}


def vocabulary() -> KnownVocabulary:
    """Twenty topics of twenty words each: alike within a topic, a class for each, rarer from word to word."""
    rng = np.random.default_rng(0)
    n = TOPICS * WORDS
    centres = np.repeat(rng.standard_normal((TOPICS, 32)), WORDS, axis=0)
    vectors = centres + rng.standard_normal((n, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    membership = scipy.sparse.csr_matrix(np.repeat(np.eye(TOPICS, dtype=np.float32), WORDS, axis=0))
    names = [f"topic {topic}" for topic in range(TOPICS)]
    classes = TokenClasses(names, ["semantic"] * TOPICS, membership, np.arange(n), np.ones(n, bool))
    order = np.log(1 + rng.permutation(n))
    texts = [f" word{id}" for id in range(n)]
    return KnownVocabulary(texts, vectors, classes, vectors[::WORDS], order, FACTS)


def topical(topic: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    own = topic * WORDS + rng.permutation(WORDS)[:11]
    return [f" word{id}" for id in (*own, *rng.integers(0, TOPICS * WORDS, 4))]


def mixed(seed: int) -> list[str]:
    return [f" word{id}" for id in np.random.default_rng(seed).permutation(TOPICS * WORDS)[:15]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_are_read_with_the_byte_order_mark_and_the_line_ends_of_windows(encoding, end, tmp_path):
    lines = ['{"id": "a", "tokens": [" fire", " été"]}', '{"id": 2, "tokens": []}']
    (tmp_path / "lists.jsonl").write_bytes(end.join(lines).encode(encoding))
    assert read_lists(tmp_path / "lists.jsonl") == [ExternalList("a", [" fire", " été"]), ExternalList("2", [])]


def write_lines(path, lists):
    path.write_text("".join(json.dumps({"id": id, "tokens": tokens}) + "\n" for id, tokens in lists), encoding="utf-8")
    return path


HOSTILE = ["", " ", ",", '"', "a\nb", "\x00", "\u202e", "</script><script>", "🤷🏽‍♀️", "=1+1", "\\x80", "ا"]


@given(st.lists(st.lists(st.text() | st.sampled_from(HOSTILE))))
def test_lists_come_back_as_they_were_written(tmp_path_factory, token_lists):
    lists = [(str(number), tokens) for number, tokens in enumerate(token_lists)]
    path = write_lines(tmp_path_factory.mktemp("lists") / "lists.jsonl", lists)
    assert [(one.id, one.tokens) for one in read_lists(path)] == lists


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"id": "b", "tokens": ["a"', "no JSON"),
        ("[" * 100000, "no JSON"),
        ('["a"]', "has no `id` and `tokens`"),
        ('{"id": "b"}', "has no `id` and `tokens`"),
        ('{"id": null, "tokens": []}', "the id None"),
        ('{"id": true, "tokens": []}', "the id True"),
        ('{"id": "\\ud800", "tokens": []}', "surrogate"),
        ('{"id": "b", "tokens": "fire"}', "`tokens` is no list of texts"),
        ('{"id": "b", "tokens": ["fire", 3]}', "`tokens` is no list of texts"),
        ('{"id": "a", "tokens": []}', "was there before"),
    ],
)
def test_what_is_no_list_is_named_with_its_line(tmp_path, line, what):
    path = tmp_path / "lists.jsonl"
    path.write_text('{"id": "a", "tokens": []}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(SvdlensError, match=r"lists\.jsonl, line 3") as error:
        read_lists(path)
    assert what in str(error.value)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "lists.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SvdlensError, match="UTF-8"):
        read_lists(tmp_path / "lists.jsonl")


def test_tokens_are_found_as_they_are_else_with_a_space_else_in_any_case():
    texts = ["fire", " fire", " ice", "Ice", " Law"]
    lists = [ExternalList("a", ["fire", " fire", "ice", "ICE", "law", "nowhere", ""])]
    assert find_tokens(lists, texts) == [[0, 1, 2, 2, 4]]


def label(lists):
    columns, facts = label_lists([ExternalList(id, tokens) for id, tokens in lists], vocabulary(), 0.05, 0)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], facts


def test_few_lists_have_lists_of_the_vocabulary_as_their_null():
    rows, facts = label([("topical", topical(3, 1)), ("mixed", mixed(2))])
    assert facts["null"] == DRAWN
    assert [row["interpretable"] for row in rows] == [True, False]
    assert rows[0]["label"] == "topic 3"
    assert all(np.isnan(row["p_direction"]) for row in rows)


def test_many_lists_are_shuffled():
    lists = [(f"mixed{seed}", mixed(seed)) for seed in range(FEWEST_TO_SHUFFLE)]
    lists += [(f"topical{topic}", topical(topic, topic)) for topic in range(TOPICS)]
    rows, facts = label(lists)
    assert facts["null"] == SHUFFLED
    interpretable = np.array([row["interpretable"] for row in rows])
    assert interpretable[FEWEST_TO_SHUFFLE:].mean() > 0.9
    assert interpretable[:FEWEST_TO_SHUFFLE].mean() < 0.05
    assert [row["id"] for row in rows] == [id for id, _ in lists]


def test_lists_without_enough_known_tokens_are_abstained_from():
    lists = [
        ("empty", []),
        ("unknown", HOSTILE),
        ("duplicates", [" word1", "word1", "WORD1"] * 10),
        ("four", [f"word{id}" for id in range(4)]),
        ("five", [f"word{id}" for id in range(5)]),
    ]
    rows, facts = label(lists)
    assert [row["status"] for row in rows] == ["abstained"] * 4 + ["ok"]
    assert all(row["label"] is None and row["interpretable"] is None for row in rows[:4])
    assert facts["n_unknown_tokens"] == len(HOSTILE)
    assert facts["n_tokens"] == len(HOSTILE) + 30 + 4 + 5


@pytest.mark.parametrize("lists", [[], [("empty", [])], [("unknown", HOSTILE)]])
def test_nothing_to_label_makes_a_table_all_the_same(tmp_path, lists):
    columns, facts = label_lists([ExternalList(id, tokens) for id, tokens in lists], vocabulary(), 0.05, 0)
    write_table(tmp_path / "labels.parquet", columns, LABELLED_LISTS, facts)


def test_tokens_given_again_do_not_change_a_label():
    rows, _ = label([("once", topical(5, 1)), ("twice", topical(5, 1) * 2)])
    assert rows[0]["interpretable"]
    # As text, in which NaN equals NaN.
    assert str({**rows[0], "id": ""}) == str({**rows[1], "id": ""})


def test_the_script_writes_what_the_labeller_says(tmp_path):
    known = vocabulary()
    files = write_vocabulary(tmp_path / "vocabulary", known, known.vectors + np.float32(0.3), known.name_vectors)
    lists = [("topical", topical(3, 1)), ("mixed", mixed(2)), ("empty", []), ("=1+1", HOSTILE)]
    write_lines(tmp_path / "lists.jsonl", lists)
    contents = []
    for run in ("first", "second"):
        job = SimpleNamespace(
            input=Files({"lists": str(tmp_path / "lists.jsonl"), **{name: str(path) for name, path in files.items()}}),
            output=SimpleNamespace(labels=str(tmp_path / run / "labels.parquet")),
            params=SimpleNamespace(
                labeller="coherence", tokenizer="tokenizer_a", parameters={"level": 0.05}, seed=0, code="0f"
            ),
        )
        script.main(job)
        contents.append((tmp_path / run / "labels.parquet").read_bytes())
    assert contents[0] == contents[1]
    table = pq.ParquetFile(tmp_path / "first/labels.parquet").read()
    assert table.schema.equals(LABELLED_LISTS)
    assert table["id"].to_pylist() == [id for id, _ in lists]
    assert table["labeller"].to_pylist() == ["coherence"] * len(lists)
    assert table["interpretable"].to_pylist() == [True, False, None, None]
    facts = read_metadata(tmp_path / "first/labels.parquet")
    assert facts["lists_sha256"] == sha256_of(tmp_path / "lists.jsonl")
    assert (facts["code"], facts["null"], facts["tokenizer"]) == ("0f", DRAWN, "tokenizer_a")
    assert {name: facts[name] for name in FACTS} == FACTS
