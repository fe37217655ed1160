"""The planted lists hold what they say they hold, and nothing but the group tells its words from the others."""

import functools
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from planted import (
    FORMS,
    GROUPS,
    N_NEAREST,
    Group,
    accepts,
    background_lists,
    inflections,
    inside,
    is_special,
    key,
    members,
    nearest,
    planted_lists,
)
from shared_data import shared
from svdlens.models.token_texts import read_vocabulary

BUNDLED = Path(__file__).parents[3] / "resources/models/wordnet-2layer"
WORDNET = Path("/usr/share/wordnet")
FAMILIES = ["semantic", "grammatical", "orthographic"]
by_name = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


@pytest.fixture(scope="module")
def gpt2() -> list[str]:
    return read_vocabulary(shared("gpt2-tokenizer"))


@pytest.fixture(scope="module")
def bundled() -> list[str]:
    return read_vocabulary(BUNDLED)


@pytest.fixture(scope="module", params=["bundled", "gpt2"])
def texts(request) -> list[str]:
    return request.getfixturevalue(request.param)


def any_rank(texts: list[str]) -> np.ndarray:
    """Ids say nothing about this order, so that what is matched is matched to the rank given."""
    return np.random.default_rng(9).permutation(len(texts))


# --- the groups


def test_groups_are_many_and_half_of_them_not_of_meaning():
    families = Counter(group.family for group in GROUPS)
    assert set(families) == set(FAMILIES)
    assert families["semantic"] >= 24
    assert families["grammatical"] + families["orthographic"] >= max(24, len(GROUPS) / 2)
    assert len({group.name for group in GROUPS}) == len(GROUPS)


def test_forms_are_those_of_the_words():
    assert set(FORMS) <= {group.name for group in GROUPS}
    for group in GROUPS:
        if group.family == "orthographic":
            assert [word for word in group.words if not re.fullmatch(group.form, word)] == [], group.name


@by_name
def test_words_are_tokens_of_gpt2_and_differ(group, gpt2):
    assert set(group.words) <= set(gpt2)
    keys = [key(word) for word in group.words]
    same = [(a, b) for a in keys for b in keys if a != b and b in inflections(a)]
    assert len(set(keys)) == len(keys) >= 14
    # An irregular plural or tense is no longer the same word to a reader of tokens; a regular one is.
    assert not same
    assert len(members(group, gpt2)) == len(group.words)


def test_most_groups_are_in_the_bundled_vocabulary_too(bundled):
    assert sum(len(members(group, bundled)) >= 8 for group in GROUPS) >= 0.75 * len(GROUPS)


@by_name
def test_accepted_names_are_informative(group):
    broad = ["thing", "things", "word", "words", "token", "entity", "object", "group", "noun", "verbs", "concept"]
    assert accepts(group, group.name)
    assert all(term == term.lower().strip() and term not in broad for term in group.accepted)
    assert not any(accepts(group, name) for name in [*broad, "", "miscellaneous", "no shared meaning", "common words"])


def test_accepted_names_are_not_those_of_other_groups():
    """A few pairs are near to each other, such as conjunctions and linking words."""
    others = [(a.name, b.name) for a in GROUPS for b in GROUPS if a is not b and accepts(a, b.name)]
    assert len(others) <= 0.01 * len(GROUPS) ** 2, others


def test_accepted_begins_a_word():
    group = Group("", "", (), ("ing", "burn", "combust", "-s", "given name"))
    for name in ["words in -ing", "'ing'", "Burns", "combustion", "plural in -s", "Given names"]:
        assert accepts(group, name), name
    for name in ["things", "singing", "burner", "sunburn", "noncombustible", "s", "plural-st"]:
        assert not accepts(group, name), name


class Nouns:
    """WordNet's nouns: format in wndb(5WN)."""

    def __init__(self, path: Path) -> None:
        self.above: dict[str, list[str]] = {}
        self.senses: dict[str, set[str]] = defaultdict(set)
        below: dict[str, list[str]] = defaultdict(list)
        lemmas: dict[str, set[str]] = {}
        for line in path.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("  "):  # the licence
                continue
            synset, _, _, n_words, *rest = line.partition(" | ")[0].split()
            words, pointers = rest[: 2 * int(n_words, 16) : 2], rest[2 * int(n_words, 16) + 1 :]
            kinds = zip(pointers[0::4], pointers[1::4], strict=False)
            self.above[synset] = [target for kind, target in kinds if kind in ("@", "@i")]
            lemmas[synset] = {word.lower() for word in words}
            for word in lemmas[synset]:
                self.senses[word].add(synset)
            for hypernym in self.above[synset]:
                below[hypernym].append(synset)
        self.below, self.lemmas = below, lemmas

    @functools.cache  # noqa: B019 (one instance, for the module)
    def hypernyms(self, synset: str) -> frozenset[str]:
        return frozenset({synset}).union(*(self.hypernyms(one) for one in self.above[synset]))

    def kinds_of(self, word: str) -> set[str]:
        """All synsets with a hyponym that `word`, or what it is the plural of, is a lemma of, in any sense."""
        bases = {word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ies$", "y", word)}
        return {kind for base in bases for sense in self.senses.get(base, ()) for kind in self.hypernyms(sense)}

    @functools.cache  # noqa: B019
    def size(self, synset: str) -> int:
        """Single-word lemmas of the hyponym closure."""
        found, todo = {synset}, [synset]
        while todo:
            new = set(self.below[todo.pop()]) - found
            found |= new
            todo += new
        return len({word for one in found for word in self.lemmas[one] if "_" not in word})


@pytest.fixture(scope="module")
def nouns() -> Nouns:
    if not WORDNET.exists():
        pytest.skip("Debian's package wordnet-base is not installed")
    return Nouns(WORDNET / "data.noun")


def closest_kind(nouns: Nouns, words: list[str]) -> float:
    """The largest share of `words` that are hyponyms of one synset, leaving out those of more than 2,000 words."""
    counts = Counter(kind for word in words for kind in nouns.kinds_of(word))
    return next((n / len(words) for kind, n in counts.most_common() if nouns.size(kind) <= 2000), 0.0)


@by_name
def test_no_group_is_a_branch_of_wordnet(group, nouns):
    """Nor nearly one: the largest shares are those of the number words and of the cities and countries, 0.88."""
    assert closest_kind(nouns, [key(word) for word in group.words]) < 0.9


def test_a_branch_of_wordnet_would_be_found(nouns):
    assert closest_kind(nouns, ["cow", "sheep", "pigs", "horse", "goats", "mice"][:5]) == 1
    assert closest_kind(nouns, ["tuesday", "january", "quickly", "sept"]) == 0.75


# --- planted lists


@pytest.mark.parametrize("m", [0, 8])
def test_lists_have_m_words_of_their_group_and_nothing_else_of_it(texts, m):
    lists, index = planted_lists(GROUPS, texts, any_rank(texts), m, n_lists=100, seed=1)
    assert lists.dtype == index.dtype == np.int64 and lists.shape == (100, 15) and index.shape == (100,)
    for ids, g in zip(lists, index, strict=True):
        group, own = GROUPS[g], inside(GROUPS[g])
        others = [texts[id] for id in ids if texts[id] not in group.words]
        assert len(others) == 15 - m
        assert not any(is_special(text) or key(text) in own for text in others)
        assert len({key(texts[id]) for id in ids}) == 15


def test_others_do_not_look_like_a_group_of_spelling(gpt2):
    endings = {"words ending in -ing": "ing", "words ending in -ness": "ness", "words ending in -ly": "ly"}
    groups = [group for group in GROUPS if group.name in endings]
    lists, index = planted_lists(groups, gpt2, np.arange(len(gpt2)), 5, 120)
    for ids, g in zip(lists, index, strict=True):
        assert sum(key(gpt2[id]).endswith(endings[groups[g].name]) for id in ids) == 5


def test_groups_take_turns_and_small_ones_are_left_out(texts):
    m = 12
    large = [g for g, group in enumerate(GROUPS) if len(members(group, texts)) >= m]
    _, index = planted_lists(GROUPS, texts, any_rank(texts), m, 2 * len(large) + 1)
    np.testing.assert_array_equal(index, [*large, *large, large[0]])


def test_places_of_the_words_say_nothing(bundled):
    lists, index = planted_lists(GROUPS, bundled, any_rank(bundled), 5, 900)
    words = [members(group, bundled) for group in GROUPS]
    planted = np.array([np.isin(ids, words[g]) for ids, g in zip(lists, index, strict=True)])
    # Each place has a word in a third of the lists; five standard errors.
    assert np.abs(planted.mean(axis=0) - 1 / 3).max() < 5 * np.sqrt(2 / 9 / 900)


def test_same_seed_same_lists(bundled):
    rank = any_rank(bundled)
    first, again, other = (planted_lists(GROUPS, bundled, rank, 6, 80, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    backgrounds = [background_lists(bundled, rank, 40, seed=seed) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(backgrounds[0], backgrounds[1])
    assert (backgrounds[0] != backgrounds[2]).any()


@pytest.mark.parametrize("m", [6, 15])
def test_others_are_among_the_nearest_to_a_word_of_the_group(bundled, m):
    """By counting: fewer than N_NEAREST tokens that could have been drawn lie strictly nearer to the word."""
    rank = any_rank(bundled)
    groups = [group for group in GROUPS if not group.form]
    lists, index = planted_lists(groups, bundled, rank, m, 25, length=20)
    for ids, g in zip(lists, index, strict=True):
        words, own = members(groups[g], bundled), inside(groups[g])
        could = np.array([not is_special(text) and key(text) not in own for text in bundled])
        drawn = np.intersect1d(words, ids)
        left = np.setdiff1d(words, drawn) if len(words) > m else drawn
        for other in np.setdiff1d(ids, drawn):
            nearer = [
                (np.abs(rank[could] - rank[word]) < abs(int(rank[other]) - int(rank[word]))).sum() for word in left
            ]
            assert min(nearer) < N_NEAREST


def distances(lists: np.ndarray, index: np.ndarray, texts: list[str], rank: np.ndarray) -> np.ndarray:
    """Of each token that is not the group's, the difference in rank to the nearest word of the group."""
    found = []
    for g in np.unique(index):
        words = members(GROUPS[g], texts)
        others = np.setdiff1d(lists[index == g], words)
        found.append(np.abs(rank[others][:, None] - rank[words]).min(axis=1))
    return np.concatenate(found)


def test_others_are_as_frequent_as_the_group(texts):
    rank = np.random.default_rng(2).permutation(len(texts))
    lists, index = planted_lists(GROUPS, texts, rank, 8, 300)
    anywhere = np.stack([np.random.default_rng(i).choice(len(texts), 15) for i in range(300)])
    matched = np.median(distances(lists, index, texts, rank))
    assert matched < N_NEAREST
    assert matched < 0.5 * np.median(distances(anywhere, index, texts, rank))
    # In the mean over a group's lists, too: the rank of its words predicts that of the others.
    groups = np.unique(index)
    words = [members(GROUPS[g], texts) for g in groups]
    of_words = [rank[ids].mean() for ids in words]
    of_others = [rank[np.setdiff1d(lists[index == g], ids)].mean() for g, ids in zip(groups, words, strict=True)]
    assert np.corrcoef(of_words, of_others)[0, 1] > 0.4


def test_nearest_is_a_sort_by_distance():
    rng = np.random.default_rng(5)
    rank = rng.integers(0, 400, 2000)  # with ties
    unsigned = rank.astype(np.uint16)
    candidates = np.sort(rng.choice(2000, 900, replace=False))
    words = rng.choice(2000, 30, replace=False)
    for word, found in nearest(unsigned, candidates, words).items():
        expected = np.sort(np.abs(rank[candidates] - rank[word]))[:N_NEAREST]
        np.testing.assert_array_equal(np.sort(np.abs(rank[found] - rank[word])), expected)
        assert set(found.tolist()) <= set(candidates.tolist()) and len(set(found.tolist())) == N_NEAREST
    few = nearest(rank, np.array([3, 1, 2]), words[:1])
    assert sorted(few[words[0]].tolist()) == [1, 2, 3]


def test_what_cannot_be_is_refused(bundled):
    rank = np.arange(len(bundled))
    with pytest.raises(ValueError, match="m is 16"):
        planted_lists(GROUPS, bundled, rank, 16, 3)
    with pytest.raises(ValueError, match="has 60 words"):
        planted_lists(GROUPS, bundled, rank, 60, 3, length=60)
    with pytest.raises(ValueError, match="too small"):
        planted_lists(GROUPS[:1], [*GROUPS[0].words, "a", "A"], np.arange(len(GROUPS[0].words) + 2), 5, 3)
    with pytest.raises(ValueError, match="None of the groups' words"):
        background_lists(["qqq", "zzz"], np.arange(2), 3)


# --- background lists


def test_background_lists_have_no_group(texts):
    rank = any_rank(texts)
    lists = background_lists(texts, rank, 200)
    assert lists.dtype == np.int64 and lists.shape == (200, 15)
    keys = [{key(texts[id]) for id in ids} for ids in lists]
    assert all(len(of_list) == 15 for of_list in keys)
    assert all(len(of_list & inside(group)) <= 2 for group in GROUPS for of_list in keys)
    assert not any(is_special(texts[id]) for id in lists.ravel())


def test_background_is_as_frequent_as_the_words_of_all_groups(gpt2):
    """Against the ids of GPT-2, the order of its merges: the quartiles agree, and those of the vocabulary do not."""
    rank = np.arange(len(gpt2))
    words = np.unique(np.concatenate([members(group, gpt2) for group in GROUPS]))
    quartiles = np.quantile(words, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(np.quantile(background_lists(gpt2, rank, 300), [0.25, 0.5, 0.75]), quartiles, rtol=0.15)
    assert (np.quantile(rank, [0.25, 0.5, 0.75]) > 1.5 * quartiles).all()
