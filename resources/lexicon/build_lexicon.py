"""Make the lexicon of the coherence labeller from WordNet 3.0 (Fellbaum 1998), as Debian's wordnet-base has it.

    python resources/lexicon/build_lexicon.py [/usr/share/wordnet]

Writes beside itself, the same bytes each time:
    concepts.parquet          name, kind (how words came to it) and identifier of each concept
    words.parquet             each word, its parts of speech, and the concepts (rows of the first table) that it is in
    irregular_forms.parquet   inflected forms that no rule leads back to their word
"""

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

PARTS_OF_SPEECH = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
SENSES = 3
"""Senses of a word that count, the most frequent first; beyond, words are in many concepts that nobody thinks of."""
FEWEST_WORDS, MOST_WORDS = 6, 12000
"""Of a concept. With fewer it cannot explain a list; with more it says nothing."""
FEWEST_DEFINED, MOST_DEFINED = 8, 800
"""Of the words that are defined by one word."""
SAY_NOTHING = {"entity", "physical entity", "abstraction", "object", "whole", "thing"}
"""Names of concepts, whatever their size."""
WORD = re.compile(r"[a-z][a-z'-]*[a-z]|[a-z]")
HYPERNYMS = ("@", "@i")
TOPIC = ";c"


class Synset(NamedTuple):
    """One entry of a data file: its words, pointers (symbol, target) and definition."""

    words: list[str]
    pointers: list[tuple[str, str]]
    definition: str


def read_synsets(directory: Path) -> dict[str, Synset]:
    """Synsets by part of speech and offset, such as n00001740 (format: wndb(5WN))."""
    synsets = {}
    for name, letter in PARTS_OF_SPEECH.items():
        for line in (directory / f"data.{name}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue  # the licence
            fields, _, gloss = line.partition(" | ")
            parts = fields.split()
            n_words = int(parts[3], 16)
            words = [parts[4 + 2 * i].split("(")[0] for i in range(n_words)]
            at = 4 + 2 * n_words
            pointers = [parts[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(parts[at]))]
            targets = [(symbol, target_letter + offset) for symbol, offset, target_letter, _ in pointers]
            synsets[letter + parts[0]] = Synset(words, targets, gloss.split('; "')[0])
    return synsets


def read_senses(directory: Path) -> dict[str, dict[str, list[str]]]:
    """For each single word and part of speech its synsets, the most frequent first."""
    senses: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for name, letter in PARTS_OF_SPEECH.items():
        for line in (directory / f"index.{name}").read_text(encoding="utf-8").splitlines():
            parts = line.split()
            if line.startswith("  ") or not WORD.fullmatch(parts[0]):
                continue
            senses[parts[0]][letter] = [letter + offset for offset in parts[-int(parts[2]) :]]
    return senses


def ancestors(synset: str, synsets: dict[str, Synset], known: dict[str, frozenset[str]]) -> frozenset[str]:
    """The synset and all that is above it."""
    if synset not in known:
        known[synset] = frozenset()  # verbs have a few circles
        above = [target for symbol, target in synsets[synset].pointers if symbol in HYPERNYMS]
        known[synset] = frozenset({synset}).union(*(ancestors(target, synsets, known) for target in above))
    return known[synset]


def find_concepts(
    synsets: dict[str, Synset], senses: dict[str, dict[str, list[str]]]
) -> dict[tuple[str, str], set[str]]:
    """Words of each concept (kind, identifier).

    hypernym: the closure of a noun or verb synset. topic: synsets that point to a domain, and its closure. definition:
    words in the definition of which a word occurs, and that word.
    """
    members: dict[tuple[str, str], set[str]] = defaultdict(set)
    known: dict[str, frozenset[str]] = {}
    for word, by_letter in senses.items():
        for found in by_letter.values():
            for synset in found[:SENSES]:
                closure = ancestors(synset, synsets, known)
                for above in closure:
                    if above[0] in "nv":
                        members["hypernym", above].add(word)
                    for symbol, topic in synsets[above].pointers:
                        if symbol == TOPIC:
                            members["topic", topic].add(word)
                for defining in set(WORD.findall(synsets[synset].definition.lower())):
                    if defining in senses:
                        members["definition", defining].add(word)
    for (kind, identifier), words in members.items():
        if kind == "topic":
            words |= members.get(("hypernym", identifier), set())
        if kind == "definition":
            words.add(identifier)
    return members


def keep_distinct(members: dict[tuple[str, str], set[str]]) -> list[tuple[str, str]]:
    """Concepts of a useful size; of those with the same words only the first, which is the most general."""
    chosen, seen = [], set()
    order = {"hypernym": 0, "topic": 1, "definition": 2}
    for (kind, identifier), words in sorted(members.items(), key=lambda item: (order[item[0][0]], item[0][1])):
        limits = (FEWEST_DEFINED, MOST_DEFINED) if kind == "definition" else (FEWEST_WORDS, MOST_WORDS)
        if limits[0] <= len(words) <= limits[1] and (content := frozenset(words)) not in seen:
            seen.add(content)
            chosen.append((kind, identifier))
    return chosen


def name_of(concept: tuple[str, str], synsets: dict[str, Synset]) -> str:
    kind, identifier = concept
    return identifier if kind == "definition" else synsets[identifier].words[0].replace("_", " ")


def read_irregular_forms(directory: Path, senses: dict[str, dict[str, list[str]]]) -> list[tuple[str, str, str]]:
    forms = set()
    for name, letter in PARTS_OF_SPEECH.items():
        for line in (directory / f"{name}.exc").read_text(encoding="utf-8").splitlines():
            form, *bases = line.split()
            forms |= {
                (form, base, letter) for base in bases if WORD.fullmatch(form) and base in senses and base != form
            }
    return sorted(forms)


def main(directory: Path) -> None:
    synsets, senses = read_synsets(directory), read_senses(directory)
    members = find_concepts(synsets, senses)
    concepts = [concept for concept in keep_distinct(members) if name_of(concept, synsets) not in SAY_NOTHING]
    rows_of_word = defaultdict(list)
    for row, concept in enumerate(concepts):
        for word in members[concept]:
            rows_of_word[word].append(row)
    names = [name_of(concept, synsets) for concept in concepts]
    words = sorted(senses)
    tables = {
        "concepts": pa.table(
            {
                "name": pa.array(names),
                "kind": pa.array([kind for kind, _ in concepts]).dictionary_encode(),
                "identifier": pa.array([identifier for _, identifier in concepts]),
            }
        ),
        "words": pa.table(
            {
                "word": pa.array(words),
                "parts_of_speech": pa.array(["".join(sorted(senses[word])) for word in words]).dictionary_encode(),
                "concepts": pa.array([rows_of_word[word] for word in words], pa.list_(pa.int32())),
            }
        ),
        "irregular_forms": pa.table(
            [pa.array(column) for column in zip(*read_irregular_forms(directory, senses), strict=True)],
            names=["form", "word", "part_of_speech"],
        ),
    }
    here = Path(__file__).parent
    for name, table in tables.items():
        pq.write_table(table, here / f"{name}.parquet", compression="zstd", compression_level=19)
        print(f"{name}: {len(table)} rows, {(here / f'{name}.parquet').stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/wordnet"))
