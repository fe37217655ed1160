"""Words, their parts of speech and the concepts they belong to, from WordNet (Fellbaum 1998; resources/lexicon)."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

INSTALLED = Path(__file__).resolve().parents[1] / "lexicon"
"""Where an installed package has the files of resources/lexicon (setup.py)."""
DIRECTORY = INSTALLED if INSTALLED.is_dir() else Path(__file__).resolve().parents[3] / "resources/lexicon"
FILES = ("concepts", "words", "irregular_forms")

# What an ending stands for, as WordNet's morphy(7WN) has it: part of speech, ending, and what was there before.
ENDINGS = [
    ("n", "s", ""),
    ("n", "es", ""),
    ("n", "ves", "f"),
    ("n", "ies", "y"),
    ("n", "men", "man"),
    ("v", "s", ""),
    ("v", "es", ""),
    ("v", "ies", "y"),
    ("v", "ed", ""),
    ("v", "ed", "e"),
    ("v", "ied", "y"),
    ("v", "ing", ""),
    ("v", "ing", "e"),
    ("a", "er", ""),
    ("a", "er", "e"),
    ("a", "ier", "y"),
    ("a", "est", ""),
    ("a", "est", "e"),
    ("a", "iest", "y"),
]
DOUBLED = ("ed", "ing", "er", "est")  # stopped, running, bigger


class Concept(NamedTuple):
    """`kind` is how words came to it: hypernym, topic, or definition."""

    name: str
    kind: str


class Base(NamedTuple):
    """A dictionary form of a word: the word, its part of speech (n v a r), and the ending that was taken off."""

    word: str
    part_of_speech: str
    ending: str


class Lexicon(NamedTuple):
    """concepts; concepts_of a word, as numbers into these; the letters of a word's parts_of_speech (n v a r, in one
    string); irregular forms, each with the words and parts of speech that it is a form of."""

    concepts: list[Concept]
    concepts_of: dict[str, list[int]]
    parts_of_speech: dict[str, str]
    irregular: dict[str, list[tuple[str, str]]]

    def base_forms(self, word: str) -> list[Base]:
        """Dictionary forms that a lower-case word may be a form of, its own entry first; none for what is no word.

        WordNet's morphy(7WN): irregular forms, and endings taken off where what is left has an entry.
        """
        bases = [Base(word, letter, "") for letter in self.parts_of_speech.get(word, "")]
        bases += [Base(base, letter, "irregular") for base, letter in self.irregular.get(word, [])]
        for letter, ending, before in ENDINGS:
            if not word.endswith(ending) or len(word) < len(ending) + 2 or (ending == "s" and word.endswith("ss")):
                continue
            stem = word[: len(word) - len(ending)]
            candidates = [stem + before]
            if ending in DOUBLED and not before and len(stem) > 2 and stem[-1] == stem[-2]:
                candidates.append(stem[:-1])
            bases += [Base(base, letter, ending) for base in candidates if letter in self.parts_of_speech.get(base, "")]
        return bases


def load_lexicon(directory: Path = DIRECTORY) -> Lexicon:
    """The lexicon as resources/lexicon/build_lexicon.py wrote it to `directory`."""
    concepts, words, forms = (pq.read_table(directory / f"{name}.parquet").to_pydict() for name in FILES)
    irregular = defaultdict(list)
    for form, word, letter in zip(forms["form"], forms["word"], forms["part_of_speech"], strict=True):
        irregular[form].append((word, letter))
    return Lexicon(
        [Concept(name, kind) for name, kind in zip(concepts["name"], concepts["kind"], strict=True)],
        dict(zip(words["word"], words["concepts"], strict=True)),
        dict(zip(words["word"], words["parts_of_speech"], strict=True)),
        dict(irregular),
    )
