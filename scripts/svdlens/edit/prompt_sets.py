"""Sets of cue prompts that are made, not taken from a text: repeated sequences, and indirect objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from svdlens.edit.passes import Passes, padded
from svdlens.edit.prompts import Cue, target_token
from svdlens.edit.updates import Update
from svdlens.errors import SvdlensError
from svdlens.models.token_windows import first_token, positions_of, prompt_tokens

SEQUENCE = 12
"""Tokens of a sequence before it is repeated, or as many as fit twice into what the model can take, if it is less."""
REPEATS = 4
"""Sequences for each token of a concept."""
NAMES = (
    "Mary", "John", "Anna", "Paul", "Sarah", "James", "Emma", "David", "Laura", "Mark", "Alice", "Peter", "Julia",
    "Thomas", "Helen", "Robert", "Susan", "Michael", "Rachel", "Simon", "Martha", "George", "Ruth", "Henry",
)  # fmt: skip
PLACES = ("station", "garden", "school", "market", "office", "museum", "beach", "library")
THINGS = ("book", "key", "letter", "ticket", "cup", "ball", "map", "ring")
SENTENCES = (
    "When {first} and {second} went to the {place}, {subject} gave a {thing} to",
    "After {first} and {second} had met at the {place}, {subject} handed a {thing} to",
    "While {first} and {second} were waiting at the {place}, {subject} decided to give a {thing} to",
)


def induction_cues(
    targets: Sequence[int],
    matched: Mapping[int, int],
    fillers: Sequence[int],
    texts: Sequence[str],
    model: nn.Module,
    seed: int,
) -> tuple[list[Cue], list[Cue]]:
    """Sequences of different random tokens, repeated up to one token, which is the target: a model that copies predicts
    it (Olsson et al. 2022, "In-context Learning and Induction Heads"). REPEATS for each of the `targets`, which stands
    at a random place but the first; and as many that are the same but for the token matched with the target in its
    place, which is then the target: the repeated token inside and outside a concept.

    fillers: the ids that the rest is drawn from, without those of targets and matched tokens. texts: of each token id.
    Raises SvdlensError for fewer fillers than a sequence has.
    """
    random, start = np.random.default_rng(seed), first_token(model)
    length = min(SEQUENCE, (positions_of(model) - len(start)) // 2)
    able = np.setdiff1d(fillers, [*targets, *matched.values()])
    if len(able) < length:
        raise SvdlensError(f"{len(able)} tokens are too few for a sequence of {length} different ones. Give more.")
    cues: tuple[list[Cue], list[Cue]] = ([], [])
    for target in targets:
        for _ in range(REPEATS):
            sequence, place = random.choice(able, length, replace=False).tolist(), int(random.integers(1, length))
            for found, token in zip(cues, (target, matched[target]), strict=True):
                once = [*sequence[:place], token, *sequence[place + 1 :]]
                ids = [*once, *once[:place]]
                found.append(Cue([*start, *ids], [token], "".join(texts[id] for id in ids), [texts[token]]))
    return cues


def indirect_object_cues(
    model: nn.Module, directory: Path, n: int, seed: int, names: Sequence[str] = NAMES
) -> list[Cue]:
    """`n` sentences with two names, after which that comes which is not repeated (Wang et al. 2022, "Interpretability
    in the Wild", the indirect object identification): targets are the indirect object, then the subject. Either name is
    the first by turns. directory: the model's, with its tokenizer.

    Raises SvdlensError where fewer than two of the names are a single token with a space before it.
    """
    tokens = {name: target_token(f" {name}", directory) for name in names}
    able = {name: token for name, token in tokens.items() if isinstance(token, int)}
    if len(able) < 2:
        raise SvdlensError(
            f"of the names {', '.join(names)} this tokenizer has {len(able)} as a single token, and prompts with an "
            "indirect object need two. Take a model of English."
        )
    random, cues = np.random.default_rng(seed), []
    for number in range(n):
        indirect, subject = (str(name) for name in random.choice(list(able), 2, replace=False))
        first, second = (indirect, subject) if number % 2 == 0 else (subject, indirect)
        prompt = str(random.choice(SENTENCES)).format(
            first=first, second=second, subject=subject, place=random.choice(PLACES), thing=random.choice(THINGS)
        )
        ids = prompt_tokens(prompt, model, directory)[0].tolist()
        cues.append(Cue(ids, [able[name] for name in (indirect, subject)], prompt, [indirect, subject]))
    return cues


class CueSet:
    """Cue prompts of one target, or of two of which one is right, under many edits of the layers from `first` on."""

    def __init__(self, model: nn.Module, cues: Sequence[Cue], first: int) -> None:
        ids, self.lengths = padded([cue.ids for cue in cues])
        self.cues, self.passes = cues, Passes(model, ids, first)

    def measure(self, updates: Sequence[Update] = (), path: str = "total") -> Float[Tensor, " n_prompts"]:
        """The log-probability of the first target of each prompt; where there are two, less that of the second, which
        is the difference of their logits."""
        after, rows = self.passes.next_tokens(self.lengths, updates, path), torch.arange(len(self.cues))
        found = after[rows, [cue.targets[0] for cue in self.cues]]
        if all(len(cue.targets) == 1 for cue in self.cues):
            return found
        return found - after[rows, [cue.targets[1] for cue in self.cues]]
