"""Classes of the tokens of a vocabulary: against a loop over tokens, and vocabularies of every size."""

from collections import defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svdlens.models.token_texts import read_vocabulary
from svdlens.vocabulary.token_classes import (
    ABOUT,
    FEWEST_WORDS,
    MOST_FREQUENT,
    RAREST,
    TokenClasses,
    classify_tokens,
    dictionary_form,
)
from svdlens.vocabulary.word_forms import ALL_FUNCTION_WORDS, form_classes
from svdlens.vocabulary.wordnet import Lexicon, load_lexicon

BUNDLED = Path(__file__).parents[2] / "resources/models/wordnet-2layer"
KINDS = {"semantic", "grammatical", "orthographic", "frequency", "glitch"}


@cache
def lexicon() -> Lexicon:
    return load_lexicon()


@cache
def bundled() -> tuple[list[str], np.ndarray, TokenClasses]:
    texts = read_vocabulary(BUNDLED)
    log_ranks = np.log(1 + np.random.default_rng(0).permutation(len(texts)))
    return texts, log_ranks, classify_tokens(texts, lexicon(), log_ranks)


def classify(texts: list[str]) -> TokenClasses:
    return classify_tokens(texts, lexicon(), np.log(1 + np.arange(len(texts))))


def members_of(classes: TokenClasses) -> list[tuple[int, ...]]:
    columns = classes.membership.tocsc()
    return [tuple(sorted(columns.indices[a:b].tolist())) for a, b in pairwise(columns.indptr)]


# --- groups


@pytest.mark.parametrize(
    "variants",
    [
        [" fire", "fire", "Fire", " FIRE", " fires", "Fires", " fired", " firing"],
        [" goose", " geese", "Geese"],
        [" run", " ran", " runs", "Running"],
        [" big", " bigger", "biggest"],
        [" city", " cities", "Cities"],
        [" the", "The", "THE"],
        ["ellig", " Ellig", "ELLIG"],
        ["\n", " ", "", "\t"],
    ],
    ids=lambda variants: ascii(variants[0]),
)
def test_case_spaces_and_inflections_make_one_group(variants):
    others = [" ice", " water", "?", "12", " of"]
    groups = classify([*variants, *others]).groups
    assert len(set(groups[: len(variants)].tolist())) == 1
    assert len(set(groups.tolist())) == 1 + len(others)


@pytest.mark.parametrize(
    "first,second",
    [
        (" fire", " fires station"),
        (" was", " be"),  # function words are themselves
        (" is", " his"),
        (" these", " this"),
        (" boss", " bos"),
        ("ing", "i"),
        ("és", "é"),
    ],
)
def test_different_words_are_different_groups(first, second):
    assert len(set(classify([first, second]).groups.tolist())) == 2


def test_groups_number_the_dictionary_forms_of_a_vocabulary():
    texts, _, classes = bundled()
    form_of: dict[int, str] = {}
    for text, group in zip(texts, classes.groups.tolist(), strict=True):
        word = text.strip().lower()
        form = dictionary_form(word, lexicon().base_forms(word) if len(word) > 1 else [])
        assert form_of.setdefault(group, form) == form
    assert len(set(form_of.values())) == len(form_of)
    assert set(form_of) == set(range(len(form_of)))


def test_words_are_what_the_lexicon_or_the_list_of_function_words_has():
    texts = [" fire", "Geese", " went", " the", "whom", " xqzt", "ellig", "?", "12", "", "a", "火", " of", "es", "el"]
    assert classify(texts).is_word.tolist() == [True] * 5 + [False] * 5 + [True, False, True, False, False]


# --- classes


def test_classes_of_a_vocabulary_are_those_of_a_loop_over_its_tokens():
    texts, log_ranks, classes = bundled()
    expected: dict[tuple[str, str], set[int]] = defaultdict(set)
    concepts: dict[int, set[int]] = defaultdict(set)
    for id, text in enumerate(texts):
        word = text.strip().lower()
        bases = lexicon().base_forms(word) if len(word) > 1 else []
        for kind, name in form_classes(text, bases):
            expected[kind, name].add(id)
        if word not in ALL_FUNCTION_WORDS:
            for base in bases:
                for concept in lexicon().concepts_of[base.word]:
                    concepts[concept].add(id)
    by_rank = sorted(range(len(texts)), key=lambda id: log_ranks[id])
    expected["frequency", "the most frequent tokens"] = set(by_rank[:MOST_FREQUENT])
    expected["frequency", "the rarest tokens"] = set(by_rank[-int(RAREST * len(texts)) :])

    def is_kept(ids: set[int]) -> bool:
        return len({classes.groups[id] for id in ids}) >= FEWEST_WORDS and len(ids) <= len(texts) // 2

    wanted = {frozenset(ids) for ids in [*expected.values(), *concepts.values()] if is_kept(ids)}
    class_members = list(map(frozenset, members_of(classes)))
    assert set(class_members) == wanted and len(class_members) == len(wanted)
    names_of_concept: dict[frozenset[int], set[str]] = defaultdict(set)
    for row, ids in concepts.items():
        concept = lexicon().concepts[row]
        names_of_concept[frozenset(ids)].add(concept.name if concept.kind == "hypernym" else ABOUT + concept.name)
    for kind, name, ids in zip(classes.kinds, classes.names, class_members, strict=True):
        if kind == "semantic":
            assert name in names_of_concept[ids]
        else:
            assert expected[kind, name] == ids


def test_membership_is_of_ones_and_every_class_is_distinct():
    texts, _, classes = bundled()
    assert classes.membership.shape == (len(texts), len(classes.names))
    assert len(classes.kinds) == len(classes.names) > 100
    assert set(classes.membership.data.tolist()) == {1.0}
    members = members_of(classes)
    assert len(set(members)) == len(members)
    assert set(classes.kinds) <= KINDS
    assert all(len(set(ids)) == len(ids) for ids in members)


def test_the_order_of_ids_changes_no_class():
    texts, log_ranks, classes = bundled()
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = classify_tokens([texts[id] for id in order], lexicon(), log_ranks[order])
    before = {tuple(sorted(texts[id] for id in ids)) for ids in members_of(classes)}
    after = {tuple(sorted(texts[order[id]] for id in ids)) for ids in members_of(shuffled)}
    assert before == after


def test_function_words_are_in_no_concept():
    texts, _, classes = bundled()
    semantic = np.flatnonzero(np.array(classes.kinds) == "semantic")
    n_concepts = np.asarray(classes.membership[:, semantic].sum(axis=1)).ravel()
    for id, text in enumerate(texts):
        if text.strip().lower() in ALL_FUNCTION_WORDS:
            assert n_concepts[id] == 0, text
    assert (n_concepts > 0).mean() > 0.5


def test_the_most_frequent_and_the_rarest_tokens_go_by_their_ranks():
    texts = [f"{'abcdefghij'[n % 10]}{n}" for n in range(1000)]
    log_ranks = np.log(1 + np.random.default_rng(0).permutation(1000))
    classes = classify_tokens(texts, lexicon(), log_ranks)
    members = dict(zip(classes.names, members_of(classes), strict=True))
    by_rank = np.argsort(log_ranks)
    assert set(members["the most frequent tokens"]) == set(by_rank[:MOST_FREQUENT].tolist())
    assert set(members["the rarest tokens"]) == set(by_rank[-int(RAREST * 1000) :].tolist())
    kinds = dict(zip(classes.names, classes.kinds, strict=True))
    assert kinds["the most frequent tokens"] == kinds["the rarest tokens"] == "frequency"


def test_too_few_words_make_no_class():
    # Three animals, in many variants, and a fourth one.
    animals = [" dog", " Dog", "DOG", " dogs", " horse", " horses", " Horse", " goose", " geese"]
    others = [f"{n}" for n in range(40)]
    assert "semantic" not in classify([*animals, *others]).kinds
    classes = classify([*animals, " cow", *others])
    assert "semantic" in classes.kinds
    assert all(
        len(ids) == 10 for kind, ids in zip(classes.kinds, members_of(classes), strict=True) if kind == "semantic"
    )


# --- vocabularies of any size and content


@pytest.mark.parametrize("texts", [["a"], [" fire"], ["", ""], [" fire", "Fire"], ["?", "!", "."], [" fire"] * 300])
def test_tiny_vocabularies_have_groups_and_perhaps_no_class(texts):
    classes = classify(texts)
    assert len(classes.groups) == len(classes.is_word) == len(texts)
    assert classes.membership.shape == (len(texts), len(classes.names))
    assert classes.names == classes.kinds == []


@settings(max_examples=50)
@given(st.lists(st.one_of(st.text(max_size=8), st.sampled_from([" dog", " cat", "dogs", "12", "?"])), max_size=40))
def test_any_texts_make_a_vocabulary(texts):
    texts = texts or [""]
    classes = classify(texts)
    for ids in members_of(classes):
        assert len({classes.groups[id] for id in ids}) >= FEWEST_WORDS
        assert len(ids) <= len(texts) // 2
    for one, text in enumerate(texts):
        for other in range(one):
            if text.strip().lower() == texts[other].strip().lower():
                assert classes.groups[one] == classes.groups[other]
