"""Classes of single tokens: facts for each class, and texts that nobody would expect."""

import unicodedata
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svdlens.vocabulary.word_forms import ALL_FUNCTION_WORDS, FUNCTION_WORDS, form_classes
from svdlens.vocabulary.wordnet import Lexicon, load_lexicon

KINDS = {"glitch", "grammatical", "orthographic"}


@cache
def lexicon() -> Lexicon:
    return load_lexicon()


def classes_of(token: str) -> list[tuple[str, str]]:
    word = token.strip().lower()
    return form_classes(token, lexicon().base_forms(word) if len(word) > 1 else [])


def names_of(token: str, kind: str | None = None) -> set[str]:
    return {name for class_kind, name in classes_of(token) if kind in (None, class_kind)}


# --- facts: tokens that are in a class, and tokens that are not

FACTS: dict[str, tuple[str, list[str], list[str]]] = {
    # grammatical
    "pronouns": ("grammatical", [" he", "She", " themselves"], [" dog", " of"]),
    "prepositions": ("grammatical", [" of", "beneath", " Toward"], [" he", " table"]),
    "conjunctions": ("grammatical", [" and", " Although"], [" he", " dog"]),
    "determiners and articles": ("grammatical", [" the", "An", " these"], [" dog", " went"]),
    "auxiliary verbs": ("grammatical", [" was", " have", "do"], [" go", " dog"]),
    "modal verbs": ("grammatical", [" could", " must"], [" have", " go"]),
    "question words": ("grammatical", [" why", "Who"], [" the", " dog"]),
    "negations": ("grammatical", [" not", " never", "n't"], [" yes", " dog"]),
    "function words": ("grammatical", [" the", " of", " he", " could"], [" dog", "?"]),
    "contractions": ("grammatical", ["'t", " don't", "'ll", " wanna", "doesn"], [" dog", "'", " do"]),
    "first names": ("grammatical", [" Mary", "John"], [" mary", " Table"]),
    "names": ("grammatical", [" Obama", " Xqzt"], [" obama", " Table", " OBAMA", " Ob"]),
    "words that can be nouns": ("grammatical", [" dog", " run", " geese"], [" quickly", " the", " xqzt"]),
    "nouns": ("grammatical", [" oxygen", " symphony"], [" dog", " quickly"]),
    "verbs": ("grammatical", [" went", " listen"], [" dog", " run"]),
    "adjectives": ("grammatical", [" happier", " enormous"], [" dog", " red"]),
    "adverbs": ("grammatical", [" quickly", " unfortunately"], [" dog", " red"]),
    "plural nouns": ("grammatical", [" dogs", " geese", " Cities", "wolves"], [" dog", " goose", " quickly"]),
    "past tense verbs": ("grammatical", [" went", " stopped", " walked"], [" go", " stopping", " walks"]),
    "verbs in the third person": ("grammatical", [" walks", " washes", " tries"], [" walk", " walked"]),
    "verbs in the -ing form": ("grammatical", [" walking", " running"], [" walk", " thing", " king"]),
    "comparatives": ("grammatical", [" bigger", " better", " nicer"], [" big", " biggest", " water"]),
    "superlatives": ("grammatical", [" biggest", " best", " happiest"], [" big", " bigger", " interest"]),
    # orthographic
    "Cyrillic script": ("orthographic", [" Россия", "и"], [" Russia", "é"]),
    "Hebrew script": ("orthographic", ["ש", " שלום"], ["s"]),
    "Cjk script": ("orthographic", ["火", "龍契士"], ["fire"]),
    "accented or other characters outside ASCII": ("orthographic", [" é", "—", "火", "😀"], [" e", "-"]),
    "punctuation and symbols": ("orthographic", [" ?!", "...", " $", "—", "##"], [" a", "1", " a.", ""]),
    "brackets": ("orthographic", [" (", "]", "}{", ");"], [" (a)", "."]),
    "quotation marks": ("orthographic", ['"', " “", "',"], [" a'", "."]),
    "repeated punctuation": ("orthographic", ["...", " ----", "!!"], [".", "?!"]),
    "tokens with digits": ("orthographic", [" 12", "7th", "a1"], [" twelve", " XII"]),
    "numbers": ("orthographic", [" 12", "1990"], ["7th", " 1,000", " twelve"]),
    "numbers of 1 digit": ("orthographic", [" 7"], [" 77"]),
    "numbers of 3 digits": ("orthographic", [" 777"], [" 77", " 7777"]),
    "years (numbers of 4 digits)": ("orthographic", [" 1984", "2020"], [" 9999", " 198", " 19845"]),
    "ordinal numbers": ("orthographic", [" 7th", "1ST", " 22nd"], [" th", " 7", "seventh"]),
    "web addresses": ("orthographic", ["https", "://www", " .com", "index.html"], [" come", " html"]),
    "Roman numerals": ("orthographic", [" XIV", "III", " MCM"], [" I", "IIII", " xiv", "CIVIL"]),
    "identifiers in mixed capitals (camel case)": ("orthographic", ["displayText", " YouTube"], [" Display", "TEXT"]),
    "single letters": ("orthographic", [" a", "Z", "é"], [" ab", "1", "'"]),
    "words in capitals (abbreviations)": ("orthographic", [" NASA", " ÉT"], [" Nasa", "N", "N1"]),
    "capitalised words": ("orthographic", [" Fire", "École"], [" fire", " FIRE", "F", "iPhone"]),
    "tokens of two letters": ("orthographic", [" ab", "AB"], [" a", " abc", "a1"]),
    "word fragments": ("orthographic", ["ellig", " uation", "##inton"], [" fire", "Fire", " the", "éa", "1"]),
    "words ending in -ing": ("orthographic", [" walking", " EATING", " thing"], [" walks", " ing", "king"]),
    "words ending in -tion": ("orthographic", [" nation", " SITUATION"], [" tion", " motions"]),
    "words beginning with un-": ("orthographic", [" undo", "Unfair"], [" un", " fun"]),
    "words beginning with inter-": ("orthographic", [" interact"], [" inters", " winter"]),
    # glitch
    "glitch tokens": (
        "glitch",
        [" SolidGoldMagikarp", "petertodd", "サーティワン"],
        [" Magikarp", " solidgoldmagikarp"],
    ),
    "bytes that are no characters": ("glitch", ["\\xff", " \\xe2\\x80", "\ufffd"], ["\\x", " xff", "\\n"]),
    "control characters": ("glitch", ["a\x00b", "\x7f", "a\nb"], [" ", "\n", "a b", "\u200b"]),
}


@pytest.mark.parametrize("name", FACTS)
def test_tokens_are_in_the_classes_that_they_should_be_in(name):
    kind, inside, outside = FACTS[name]
    for token in inside:
        assert (kind, name) in classes_of(token), token
    for token in outside:
        assert name not in names_of(token), token


def test_every_function_word_is_one_in_any_case():
    for name, text in FUNCTION_WORDS.items():
        for word in text.split():
            for token in (word, f" {word}", word.upper(), word.capitalize()):
                assert {name, "function words"} <= names_of(token, "grammatical"), token
    # What is a function word has no other part of speech: "may" is no month, and "will" no name.
    for word in ALL_FUNCTION_WORDS:
        assert names_of(f" {word}", "grammatical") <= {*FUNCTION_WORDS, "function words"}


# --- hostile texts

HOSTILE = [
    "",
    " ",
    "\n",
    "\t\r\n",
    "\x00",
    "\x1b[31m",
    "<script>alert(1)</script>",
    "</td>",
    "&amp;",
    "\"',',\"\n",
    "a,b",
    'say "no"',
    "'; DROP TABLE labels; --",
    "{}[]()",
    "%s %d {0}",
    "\\xff\\xfe",
    "\\",
    "\ufeff",
    "\u202eevil",
    "שלום",
    "مرحبا",
    "नमस्ते",
    "火",
    "ไฟ",
    "불",
    "Ω",
    "ǅ",
    "ﬁre",
    "😀",
    "👩‍👩‍👧",
    "e\u0301",
    "\u0301",
    "½",
    "²",
    "٣",
    "Ⅳ",
    "##",
    "####",
    "[UNK]",
    "<|endoftext|>",
    "a" * 10_000,
    "\U0010ffff",
    "\ue000",
    "\ud800",
]


def check(token: str) -> None:
    classes = classes_of(token)
    assert len(set(classes)) == len(classes), "in a class once"
    for kind, name in classes:
        assert kind in KINDS
        assert name and name == name.strip()
        # No control character gets from a token into a name, nor anything that a page would take for markup.
        assert not any(unicodedata.category(character) in ("Cc", "Cf") or character in "<>&\"'" for character in name)
    assert classes == classes_of(f"  {token}\n") or token != token.strip(), "surrounding spaces say nothing"


@pytest.mark.parametrize("token", HOSTILE, ids=ascii)
def test_hostile_texts_have_classes_like_any_other(token):
    check(token)


@given(st.text())
def test_any_text_has_classes(token):
    check(token)


@given(st.text(st.characters(categories=["L"]), min_size=1, max_size=12))
def test_letters_of_any_script_have_classes(token):
    check(token)
    if not token.isascii():
        assert "accented or other characters outside ASCII" in names_of(token)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_what_has_neither_letter_nor_digit_is_punctuation_and_nothing_else_is(token):
    is_punctuation = not any(character.isalnum() for character in token)
    assert ("punctuation and symbols" in names_of(token)) == is_punctuation
    if is_punctuation:
        assert not names_of(token) & {"single letters", "numbers", "capitalised words", "word fragments"}
