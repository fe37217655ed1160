"""Which tokens of a vocabulary are in which class: concepts of the lexicon, and forms of words.

Made once for each vocabulary, and kept beside its embeddings.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int

from svdlens.vocabulary.word_forms import ALL_FUNCTION_WORDS, form_classes
from svdlens.vocabulary.wordnet import Base, Lexicon

FEWEST_WORDS = 4
"""Different words that a class needs in the vocabulary: three of them explain nothing that the tokens do not."""
MOST_FREQUENT = 100
RAREST = 0.02  # of the vocabulary
SHORTEST_BASE = 3  # letters
SHORTEST_WORD = 3
"""Letters; two of them are in WordNet as symbols and abbreviations (es, en, el), and in a vocabulary as fragments."""
ABOUT = "about "  # before the name of a topic, or of a word that definitions have in common


class TokenClasses(NamedTuple):
    """names and kinds (semantic grammatical orthographic frequency glitch) of classes, and who is in them.

    names and kinds [n_classes]. membership [d_vocab, n_classes] is a sparse matrix of ones. groups [d_vocab]: tokens of
    one number are case variants and inflections of one word. is_word [d_vocab]: whether the token is a function word,
    or a word of the lexicon that is not shorter than SHORTEST_WORD.
    """

    names: list[str]
    kinds: list[str]
    membership: scipy.sparse.csr_matrix
    groups: Int[np.ndarray, " d_vocab"]
    is_word: Bool[np.ndarray, " d_vocab"]


def classify_tokens(texts: list[str], lexicon: Lexicon, log_ranks: Float[np.ndarray, " d_vocab"]) -> TokenClasses:
    """The classes of the tokens with these texts (by id); `log_ranks` as token_frequency.log_ranks has them."""
    group_of_form: dict[str, int] = {}
    groups, is_word = np.empty(len(texts), np.int64), np.empty(len(texts), bool)
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for id, text in enumerate(texts):
        word = text.strip().lower()
        bases = lexicon.base_forms(word) if len(word) > 1 else []
        groups[id] = group_of_form.setdefault(dictionary_form(word, bases), len(group_of_form))
        is_word[id] = word in ALL_FUNCTION_WORDS or (bool(bases) and len(word) >= SHORTEST_WORD)
        for kind, name in form_classes(text, bases):
            members[kind, name].append(id)
        if word not in ALL_FUNCTION_WORDS:
            for concept in {concept for base in bases for concept in lexicon.concepts_of[base.word]}:
                members["concept", str(concept)].append(id)
    order = np.argsort(log_ranks, kind="stable")
    members["frequency", "the most frequent tokens"] = sorted(order[:MOST_FREQUENT].tolist())
    members["frequency", "the rarest tokens"] = sorted(order[len(order) - int(RAREST * len(order)) :].tolist())
    return keep_distinct(members, lexicon, groups, is_word)


def dictionary_form(word: str, bases: list[Base]) -> str:
    """The word that the lower-case `word` is an inflection of, or itself; `bases` are those of Lexicon.base_forms."""
    if word in ALL_FUNCTION_WORDS:
        return word
    return next((base.word for base in bases if base.ending and len(base.word) >= SHORTEST_BASE), word)


def keep_distinct(
    members: dict[tuple[str, str], list[int]],
    lexicon: Lexicon,
    groups: Int[np.ndarray, " d_vocab"],
    is_word: Bool[np.ndarray, " d_vocab"],
) -> TokenClasses:
    """Classes with enough words; of those with the same tokens just one, by preference one of a short name.

    `members` are the ids of tokens by kind and name of the class; of the kind "concept" the name is a number.
    """
    chosen: dict[tuple[int, ...], tuple[str, str]] = {}
    for (kind, name), ids in members.items():
        if len(set(groups[ids].tolist())) < FEWEST_WORDS or len(ids) > len(groups) // 2:
            continue
        if kind == "concept":
            concept = lexicon.concepts[int(name)]
            name, kind = (f"{ABOUT}{concept.name}" if concept.kind != "hypernym" else concept.name), "semantic"
        key = tuple(ids)
        if key not in chosen or len(name) < len(chosen[key][1]):
            chosen[key] = kind, name
    kinds, names = [kind for kind, _ in chosen.values()], [name for _, name in chosen.values()]
    columns = np.repeat(np.arange(len(chosen)), np.array([len(ids) for ids in chosen], np.int64))
    rows = np.array([id for ids in chosen for id in ids], np.int64)
    ones = np.ones(len(rows), np.float32)
    membership = scipy.sparse.csr_matrix((ones, (rows, columns)), shape=(len(groups), len(chosen)))
    return TokenClasses(names, kinds, membership, groups, is_word)
