"""English documents made from the WordNet 3.0 database files.

Input is the directory that Debian's package `wordnet-base` installs
(/usr/share/wordnet: data.noun, data.verb, data.adj, data.adv; format: wndb(5WN)).

One document stays on one topic: a synset, then up to 12 of the synsets that belong to it (kinds, parts,
members of its subject area, similar adjectives, derived adverbs), each with synonyms, gloss and examples.
Documents that mix topics teach a small model much less about meaning.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Pointers from a synset to those that belong to it. Subject areas, regions and usages are "-c", "-r" and "-u".
MEMBER_POINTERS = {"~", "~i", "%m", "%s", "%p", "-c", "-r", "-u", "&"}
# Pointers from an adverb to the adjective that it derives from, turned round when the documents are made.
OWNER_POINTERS = {"\\"}
HYPERNYM_POINTERS = {"@", "@i"}
MEMBERS_PER_DOCUMENT = 12


@dataclass
class Synset:
    words: list[str]
    gloss: str
    hypernyms: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)


def read_synsets(directory: Path) -> dict[str, Synset]:
    """All synsets by "<part of speech><offset>"; satellite adjectives count as adjectives."""
    synsets: dict[str, Synset] = {}
    owners: list[tuple[str, str]] = []
    for part_of_speech, name in (("n", "noun"), ("v", "verb"), ("a", "adj"), ("r", "adv")):
        for line in (directory / f"data.{name}").read_text(encoding="latin-1").splitlines():
            if line.startswith("  "):
                continue  # the licence at the head of each file
            fields, gloss = line.split(" | ", 1)
            parts = fields.split()
            n_words = int(parts[3], 16)
            words = [re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in parts[4 : 4 + 2 * n_words : 2]]
            key = part_of_speech + parts[0]
            synset = Synset(words, gloss.strip())
            pointers = parts[5 + 2 * n_words :]
            for i in range(int(parts[4 + 2 * n_words])):
                symbol, offset, target_pos, _ = pointers[4 * i : 4 * i + 4]
                target = target_pos.replace("s", "a") + offset
                if symbol in HYPERNYM_POINTERS:
                    synset.hypernyms.append(target)
                elif symbol in MEMBER_POINTERS:
                    synset.members.append(target)
                elif symbol in OWNER_POINTERS:
                    owners.append((target, key))
            synsets[key] = synset
    for owner, key in owners:
        synsets[owner].members.append(key)
    return synsets


def hold_out(synsets: dict[str, Synset], share: float, seed: int) -> set[str]:
    """Whole families (a synset and its members) up to `share` of all synsets, for validation."""
    rng = random.Random(seed)
    heads = sorted(key for key, synset in synsets.items() if 4 <= len(synset.members) <= 30)
    rng.shuffle(heads)
    held: set[str] = set()
    for head in heads:
        if len(held) >= share * len(synsets):
            break
        held.update([head, *synsets[head].members])
    return held


def entry(synsets: dict[str, Synset], key: str, with_hypernym: bool) -> str:
    synset = synsets[key]
    text = ", ".join(synset.words)
    if with_hypernym and synset.hypernyms:
        text += f" (a kind of {synsets[synset.hypernyms[0]].words[0]})"
    return f"{text}: {synset.gloss}"


def documents(synsets: dict[str, Synset], keep: set[str], seed: int) -> Iterator[str]:
    """One pass over the synsets in `keep`, in random order; members are drawn and ordered anew for each seed."""
    rng = random.Random(seed)
    batches: list[tuple[str, list[str]]] = []
    in_some_family: set[str] = set()
    for head in sorted(keep):
        members = sorted({key for key in synsets[head].members if key in keep})
        rng.shuffle(members)
        in_some_family.update(members)
        for start in range(0, len(members), MEMBERS_PER_DOCUMENT):
            batches.append((head, members[start : start + MEMBERS_PER_DOCUMENT]))
    with_members = {head for head, _ in batches}
    # A synset that nothing owns and that owns nothing still deserves to be read once.
    batches += [(key, []) for key in sorted(keep - in_some_family - with_members)]
    rng.shuffle(batches)
    for head, members in batches:
        lines = [entry(synsets, head, with_hypernym=True)]
        lines += [entry(synsets, key, with_hypernym=False) for key in members]
        yield "\n".join(lines) + "\n"
