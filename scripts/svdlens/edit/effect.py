"""What an edit does to a model: log-probabilities of target tokens, beside controls and by eps, and its perplexity."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svdlens.edit.passes import Passes, Text, padded
from svdlens.edit.prompts import Cue
from svdlens.edit.updates import Update

DOSES = (-1.0, -0.5, 0.0, 0.5, 1.0, 2.0)


class TargetSet(NamedTuple):
    """Cues whose targets are of one name, CONCEPT or OPPOSITE, and the token that each target is matched with."""

    name: str
    cues: list[Cue]
    matched: dict[int, int]


class Prepared(NamedTuple):
    """A set of targets with the passes over its prompts, their lengths, and log-probabilities before any edit."""

    targets: TargetSet
    passes: Passes
    lengths: Int[Tensor, " n_prompts"]
    before: Float[Tensor, "n_prompts d_vocab"]


def prepare(model: nn.Module, sets: Sequence[TargetSet], first: int) -> list[Prepared]:
    """What edits of the layers from `first` on are measured with."""
    prepared = []
    for one in sets:
        ids, lengths = padded([cue.ids for cue in one.cues])
        passes = Passes(model, ids, first)
        prepared.append(Prepared(one, passes, lengths, passes.next_tokens(lengths)))
    return prepared


def measure_effect(
    prepared: Sequence[Prepared],
    edits: Mapping[str, Sequence[Sequence[Update]]],
    path: str,
    texts: Sequence[str],
) -> list[dict[str, Any]]:
    """A row for each target, its matched token, prompt and edit (EDIT_EFFECT in artefacts/table_schemas.py).

    edits: by what is edited, DIRECTION with one entry, OTHER, RANDOM, a list of updates for each of its edits. texts:
    of each token id.
    """
    rows: list[dict[str, Any]] = []
    for (name, cues, matched), passes, lengths, before in prepared:
        for what, several in edits.items():
            for number, updates in enumerate(several):
                after = passes.next_tokens(lengths, updates, path)
                for prompt, cue in enumerate(cues):
                    for target, word in zip(cue.targets, cue.words, strict=True):
                        for token in (target, matched[target]):
                            was, now = float(before[prompt, token]), float(after[prompt, token])
                            rows.append(
                                {"targets": name, "prompt": prompt, "text": cue.text, "edited": what, "number": number}
                                | {"matched": token != target, "token_id": token, "token": texts[token], "target": word}
                                | {"log_probability": now, "change": now - was}
                            )
    return rows


def measure_doses(
    prepared: Sequence[Prepared], text: Text, updates_by_eps: Mapping[float, Sequence[Update]], path: str
) -> dict[float, dict[str, Any]]:
    """By eps the perplexity of the text, and for each set of targets the mean change of log-probability of the targets
    and of the tokens matched with them on each prompt, two tensors [n_prompts]."""
    found: dict[float, dict[str, Any]] = {}
    for eps, updates in updates_by_eps.items():
        found[eps] = {"perplexity": text.perplexity(updates, path)}
        for (name, cues, matched), passes, lengths, before in prepared:
            change = passes.next_tokens(lengths, updates, path) - before
            found[eps][name] = prompt_means(change, cues, matched)
    return found


def prompt_means(
    change: Float[Tensor, "n_prompts d_vocab"], cues: Sequence[Cue], matched: Mapping[int, int]
) -> tuple[Float[Tensor, " n_prompts"], Float[Tensor, " n_prompts"]]:
    """The mean over the targets of each prompt, and over the tokens matched with them."""
    own = [row[cue.targets].mean() for row, cue in zip(change, cues, strict=True)]
    others = [row[[matched[token] for token in cue.targets]].mean() for row, cue in zip(change, cues, strict=True)]
    return torch.stack(own), torch.stack(others)
