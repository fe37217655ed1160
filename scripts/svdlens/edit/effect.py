"""What an edit does to a model: log-probabilities of target tokens, beside controls and by eps, and its perplexity."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
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


def measure_effect(
    model: nn.Module,
    sets: Sequence[TargetSet],
    edits: Mapping[str, Sequence[Sequence[Update]]],
    path: str,
    texts: Sequence[str],
) -> list[dict[str, Any]]:
    """A row for each target, its matched token, prompt and edit (EDIT_EFFECT in artefacts/table_schemas.py).

    edits: by what is edited, DIRECTION with one entry, OTHER, RANDOM, a list of updates for each of its edits. texts:
    of each token id.
    """
    first = first_layer(one for several in edits.values() for one in several)
    rows: list[dict[str, Any]] = []
    for name, cues, matched in sets:
        ids, lengths = padded([cue.ids for cue in cues])
        passes = Passes(model, ids, first)
        before = passes.next_tokens(lengths)
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
    model: nn.Module, sets: Sequence[TargetSet], text: Text, updates_by_eps: Mapping[float, Sequence[Update]], path: str
) -> dict[float, dict[str, Any]]:
    """By eps the perplexity of the text, and for each set of targets the mean change of log-probability of the targets
    and of the tokens matched with them on each prompt, two tensors [n_prompts]."""
    first = first_layer(updates_by_eps.values())
    passes = {}
    for name, cues, _ in sets:
        ids, lengths = padded([cue.ids for cue in cues])
        one = Passes(model, ids, first)
        passes[name] = (one, lengths, one.next_tokens(lengths))
    found: dict[float, dict[str, Any]] = {}
    for eps, updates in updates_by_eps.items():
        found[eps] = {"perplexity": text.perplexity(updates, path)}
        for name, cues, matched in sets:
            one, lengths, before = passes[name]
            change = one.next_tokens(lengths, updates, path) - before
            found[eps][name] = prompt_means(change, cues, matched)
    return found


def prompt_means(
    change: Float[Tensor, "n_prompts d_vocab"], cues: Sequence[Cue], matched: Mapping[int, int]
) -> tuple[Float[Tensor, " n_prompts"], Float[Tensor, " n_prompts"]]:
    """The mean over the targets of each prompt, and over the tokens matched with them."""
    own = [row[cue.targets].mean() for row, cue in zip(change, cues, strict=True)]
    others = [row[[matched[token] for token in cue.targets]].mean() for row, cue in zip(change, cues, strict=True)]
    return torch.stack(own), torch.stack(others)


def first_layer(edits: Any) -> int:
    """The first layer that one of several lists of updates changes."""
    return min(update.layer for updates in edits for update in updates)
