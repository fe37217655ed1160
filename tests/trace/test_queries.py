"""Words of a query as tokens."""

import numpy as np
import pytest

from svdlens.errors import SvdlensError
from svdlens.trace.queries import query_tokens, read_queries, save_queries
from svdlens.vocabulary.token_classes import MOST_FREQUENT

WORDS = ["fire", " fire", " flame", "Flame", " the", "\\xe7", "\\x81", "flam", "mable", "", "火"]
TEXTS = WORDS + [f" filler{number}" for number in range(200)]
# " the" is the most frequent token, and the fillers are the next.
LOG_RANKS = np.log(1.0 + np.array([500 + n for n in range(len(WORDS))] + list(range(1, 201))))
LOG_RANKS[TEXTS.index(" the")] = 0.0


def tokens(*words, pieces=()):
    return query_tokens("heat", words, TEXTS, LOG_RANKS, lambda word: list(pieces)).ids


def test_a_word_is_the_token_inside_a_sentence_or_else_the_one_without_a_space():
    assert tokens("fire", "flame", "Flame", "火") == [[1], [2], [3], [10]] and tokens(" flame") == [[2]]


def test_what_is_no_token_is_its_pieces():
    found = query_tokens("heat", ["fire", "flammable"], TEXTS, LOG_RANKS, lambda word: [7, 8])
    assert found.ids == [[1], [7, 8]] and found.split == {"flammable": [7, 8]}


@pytest.mark.parametrize(
    ("words", "pieces", "told"),
    [
        (["fire", "flame", " fire"], (), "' fire' and 'fire' are the same token"),
        (["zzz"], (), "'zzz' is not in the vocabulary"),
        (["zzz"], (9,), "'zzz' is not in the vocabulary"),
        (["zzz"], (999,), "'zzz' is not in the vocabulary"),
        (["灯"], (5, 6), "only as the pieces '\\\\xe7', '\\\\x81'"),
        (["the"], (), f"'the' is one of the {MOST_FREQUENT} most frequent tokens"),
        ([" filler3"], (), f"' filler3' is one of the {MOST_FREQUENT} most frequent tokens"),
    ],
)
def test_a_query_that_can_find_nothing_is_refused(words, pieces, told):
    with pytest.raises(SvdlensError, match=r"trace\.queries\.heat") as error:
        tokens(*words, pieces=pieces)
    assert told in str(error.value)


def test_queries_are_read_as_they_were_written(tmp_path):
    queries = {
        "heat": query_tokens("heat", ["fire", "flammable"], TEXTS, LOG_RANKS, lambda word: [7, 8]),
        "火": query_tokens("火", ["火"], TEXTS, LOG_RANKS, lambda word: []),
    }
    save_queries(tmp_path / "queries.json", queries)
    assert read_queries(tmp_path / "queries.json") == queries
    assert read_queries(tmp_path / "queries.json")["heat"].split == {"flammable": [7, 8]}
