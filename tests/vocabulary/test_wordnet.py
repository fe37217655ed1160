"""The lexicon: facts of English, WordNet's own files read once more, and the same tables again from its script."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svdlens.vocabulary.wordnet import DIRECTORY, ENDINGS, FILES, Base, Lexicon, load_lexicon

WORDNET = Path("/usr/share/wordnet")
needs_wordnet = pytest.mark.skipif(not WORDNET.exists(), reason="WordNet itself is not here (Debian: wordnet-base)")


@cache
def loaded() -> Lexicon:
    return load_lexicon()


@pytest.fixture
def lexicon() -> Lexicon:
    return loaded()


# --- forms of words


@pytest.mark.parametrize(
    "form,word,letter",
    [
        ("geese", "goose", "n"),
        ("children", "child", "n"),
        ("cities", "city", "n"),
        ("wolves", "wolf", "n"),
        ("boxes", "box", "n"),
        ("women", "woman", "n"),
        ("went", "go", "v"),
        ("running", "run", "v"),
        ("stopped", "stop", "v"),
        ("making", "make", "v"),
        ("tried", "try", "v"),
        ("washes", "wash", "v"),
        ("was", "be", "v"),
        ("bigger", "big", "a"),
        ("happiest", "happy", "a"),
        ("nicer", "nice", "a"),
        ("better", "good", "a"),
    ],
)
def test_forms_lead_back_to_their_word(form, word, letter, lexicon):
    found = [(base.word, base.part_of_speech) for base in lexicon.base_forms(form) if base.ending]
    assert (word, letter) in found


@pytest.mark.parametrize(
    "word,letters", [("dog", "nv"), ("quickly", "r"), ("fire", "nv"), ("red", "an"), ("the", ""), ("xqzt", "")]
)
def test_words_have_their_own_parts_of_speech_first(word, letters, lexicon):
    found = lexicon.base_forms(word)
    assert "".join(sorted(base.part_of_speech for base in found if not base.ending)) == letters
    assert found[: len(letters)] == [Base(word, base.part_of_speech, "") for base in found[: len(letters)]]


@pytest.mark.parametrize(
    "text", ["", "s", "ed", "ing", "'s", "1990s", "ings", "<script>", "Fires", "火", "fi\0res", "-", "boss", "discuss"]
)
def test_what_is_no_form_of_a_word_has_no_dictionary_form(text, lexicon):
    assert [base for base in lexicon.base_forms(text) if base.ending] == []


endings = st.sampled_from(sorted({ending for _, ending, _ in ENDINGS}))
pieces = st.sampled_from(["fire", "stop", "stopp", "cit", "wol", "dog", "runn", "gees", "big", "bigg", "", "xq", "é"])
texts = st.one_of(st.text(max_size=12), st.builds(str.__add__, pieces, endings))


@given(texts)
def test_every_dictionary_form_is_in_the_dictionary(text):
    lexicon = loaded()
    for base in lexicon.base_forms(text):
        assert base.part_of_speech in lexicon.parts_of_speech[base.word]
        if base.ending == "":
            assert base.word == text
        elif base.ending == "irregular":
            assert (base.word, base.part_of_speech) in lexicon.irregular[text]
        else:
            # One of the rules takes the ending off, and what it puts in its place leads to the word.
            assert text.endswith(base.ending) and not (base.ending == "s" and text.endswith("ss"))
            assert len(text) >= len(base.ending) + 2
            stem = text[: -len(base.ending)]
            before = [b for letter, end, b in ENDINGS if (letter, end) == (base.part_of_speech, base.ending)]
            doubled = len(stem) > 2 and stem[-1] == stem[-2] and base.word == stem[:-1]
            assert doubled or base.word in [stem + b for b in before]
    found = lexicon.base_forms(text)
    assert len(set(found)) == len(found)


# --- the tables


def test_tables_fit_together(lexicon):
    n = len(lexicon.concepts)
    assert {concept.kind for concept in lexicon.concepts} == {"hypernym", "topic", "definition"}
    assert all(concept.name for concept in lexicon.concepts)
    assert lexicon.concepts_of.keys() == lexicon.parts_of_speech.keys()
    size = Counter(row for rows in lexicon.concepts_of.values() for row in rows)
    assert set(size) == set(range(n))
    for rows in lexicon.concepts_of.values():
        assert len(set(rows)) == len(rows)
    assert all(set(letters) <= set("nvar") and letters for letters in lexicon.parts_of_speech.values())
    for form, bases in lexicon.irregular.items():
        for word, letter in bases:
            assert word != form and word in lexicon.parts_of_speech and letter in "nvar"


def test_no_two_concepts_have_the_same_words(lexicon):
    members: dict[int, set[str]] = {}
    for word, rows in lexicon.concepts_of.items():
        for row in rows:
            members.setdefault(row, set()).add(word)
    assert len({frozenset(words) for words in members.values()}) == len(lexicon.concepts)


@pytest.mark.parametrize(
    "word,name,kind",
    [
        ("dog", "animal", "hypernym"),
        ("oak", "tree", "hypernym"),
        ("run", "travel rapidly", "hypernym"),
        ("plaintiff", "law", "topic"),
        ("arsonist", "fire", "definition"),
        ("fire", "fire", "definition"),
    ],
)
def test_words_are_in_the_concepts_that_they_should_be_in(word, name, kind, lexicon):
    found = {(lexicon.concepts[row].name, lexicon.concepts[row].kind) for row in lexicon.concepts_of[word]}
    assert (name, kind) in found


@needs_wordnet
@pytest.mark.slow
def test_the_script_makes_the_same_tables_again(tmp_path):
    script = shutil.copy(DIRECTORY / "build_lexicon.py", tmp_path)
    subprocess.run([sys.executable, str(script), str(WORDNET)], check=True, capture_output=True)
    for name in FILES:
        assert pq.read_table(tmp_path / f"{name}.parquet").equals(pq.read_table(DIRECTORY / f"{name}.parquet")), name


def test_the_licence_of_wordnet_is_there():
    text = (DIRECTORY / "WORDNET-LICENSE").read_text("utf-8")
    assert "Princeton University" in text and "WordNet" in text
    assert "WORDNET-LICENSE" in (DIRECTORY / "README.md").read_text("utf-8")


# --- WordNet's data files, walked here by hand

LETTERS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}


@cache
def lines_of(kind: str, letter: str) -> dict[str, str]:
    """Lines of an index or data file by their first field."""
    text = (WORDNET / f"{kind}.{LETTERS[letter]}").read_text("utf-8")
    return {line.split(" ", 1)[0]: line for line in text.splitlines() if not line.startswith(" ")}


def first_senses(word: str) -> list[tuple[str, str]]:
    """(letter, offset) of the three most frequent senses of a word in each part of speech."""
    found = []
    for letter in LETTERS:
        line = lines_of("index", letter).get(word)
        if line:
            # Offsets are the only numbers of eight digits.
            found += [(letter, offset) for offset in re.findall(r"\b\d{8}\b", line)[:3]]
    return found


def pointers(synset: tuple[str, str], symbols: tuple[str, ...]) -> list[tuple[str, str]]:
    pattern = r" (\S{1,2}) (\d{8}) ([nvar]) [0-9a-f]{4}(?= )"
    fields = lines_of("data", synset[0])[synset[1]].split(" | ")[0] + " "
    return [(letter, offset) for symbol, offset, letter in re.findall(pattern, fields) if symbol in symbols]


def with_all_above(synset: tuple[str, str]) -> set[tuple[str, str]]:
    found, queue = set(), [synset]
    while queue:
        one = queue.pop()
        if one not in found:
            found.add(one)
            queue += pointers(one, ("@", "@i"))
    return found


@needs_wordnet
@pytest.mark.parametrize("word", ["dog", "fire", "run", "paris", "red", "quickly", "plaintiff", "oxygen", "symphony"])
def test_concepts_of_a_word_are_those_of_wordnets_files(word, lexicon):
    closure = set().union(*(with_all_above(synset) for synset in first_senses(word)))
    topics = {topic for synset in closure for topic in pointers(synset, (";c",))} | closure
    defining = {word}
    for letter, offset in first_senses(word):
        gloss = lines_of("data", letter)[offset].split(" | ", 1)[1]
        definition = gloss.split('; "')[0].lower()
        defining |= set(re.findall(r"[a-z][a-z'-]*[a-z]|[a-z]", definition))
    expected = {
        "hypernym": {letter + offset for letter, offset in closure if letter in "nv"},
        "topic": {letter + offset for letter, offset in topics},
        "definition": defining,
    }
    table = pq.read_table(DIRECTORY / "concepts.parquet").to_pydict()
    rows = list(zip(table["kind"], table["identifier"], strict=True))
    found = {kind: {rows[row][1] for row in lexicon.concepts_of[word] if rows[row][0] == kind} for kind in expected}
    for kind, identifiers in expected.items():
        kept = {identifier for row_kind, identifier in rows if row_kind == kind}
        assert found[kind] == identifiers & kept, kind
    assert found["definition"] or found["hypernym"]
