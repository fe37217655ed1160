"""One edit measured in every way: effect beside controls, doses, perplexity, spectrum, continuations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from torch import nn

from svdlens.edit.effect import DOSES, TargetSet, measure_doses, measure_effect, prepare
from svdlens.edit.fit import fitted_eps, halves
from svdlens.edit.passes import Text, continuations
from svdlens.edit.prompts import Cue, list_targets, matched_tokens, read_prompts, text_cues, written_cues
from svdlens.edit.spectrum import before_and_after
from svdlens.edit.updates import Update
from svdlens.edit.vectors import edited_matrices, other_directions, random_updates, updates_of
from svdlens.errors import SvdlensError
from svdlens.models.token_windows import positions_of, token_ids, token_windows
from svdlens.spec.edits import CONCEPT, DIRECTION, FITTED, OPPOSITE, OTHER, RANDOM
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.weights.weight_files import WeightFile

TEXT_TOKENS, WINDOW = 1024, 128
"""Tokens of the text for the perplexity, and of each window of it."""
CONTINUED, CONTINUATION = 4, 20
"""Prompts of each set of targets that are continued, and tokens of a continuation."""


@dataclass(frozen=True)
class Experiment:
    """What an edit is measured with.

    model, directory: from load_model. directions: from edit/choice.py. svd, weights: files by kind of matrix, and by
    group of weights. eps: a number, or FITTED. prompts: those that a person wrote, or the file of them; None for places
    of the text. texts, log_ranks, is_word: of each token id (results/vocabulary).
    """

    model: nn.Module
    directory: Path
    setting: Setting
    directions: pd.DataFrame
    svd: Mapping[str, str]
    weights: Mapping[str, str]
    eps: float | str
    path: str
    prompts: str | Sequence[Mapping[str, Any]] | None
    text: str
    texts: Sequence[str]
    log_ranks: Float[np.ndarray, " d_vocab"]
    is_word: Bool[np.ndarray, " d_vocab"]
    seed: int


@dataclass(frozen=True)
class Measured:
    """eps: the number. fit: what was tried to find it (edit/fit.py), on prompts that are not in what follows; empty
    where it was given. effect: rows of EDIT_EFFECT. doses: by eps, see measure_doses. spectrum: rows of EDIT_SPECTRUM.
    continuations: targets, prompt, before and after of each."""

    eps: float
    fit: list[dict[str, Any]]
    effect: list[dict[str, Any]]
    doses: dict[float, dict[str, Any]]
    spectrum: list[dict[str, Any]]
    continuations: list[dict[str, str]]


def measure_edit(given: Experiment) -> Measured:
    """Measure one edit. Raises SvdlensError for prompts, target words and a text that cannot be used."""
    model, directory, path = given.model, given.directory, given.path
    matrices = edited_matrices(given.directions, given.svd)
    sets = target_sets(given)

    def updates_at(eps: float, indices: Sequence[np.ndarray] | None = None) -> list[Update]:
        return updates_of(model, given.setting, matrices, eps, indices)

    first = min(one.layer for one in matrices)
    fit: list[dict[str, Any]] = []
    if given.eps == FITTED:
        half, sets[0] = halves(sets[0])
        eps, fit = fitted_eps(prepare(model, [half], first)[0], updates_at, path)
    else:
        eps = float(given.eps)
    updates = updates_at(eps)
    edits: dict[str, list[list[Update]]] = {
        DIRECTION: [updates],
        OTHER: [updates_at(eps, indices) for indices in other_directions(matrices, given.seed)],
        RANDOM: random_updates(updates, given.seed),
    }
    prepared = prepare(model, sets, first)
    effect = measure_effect(prepared, edits, path, given.texts)
    windows = token_windows(given.text, model, directory, min(WINDOW, positions_of(model)), TEXT_TOKENS)
    text = Text(model, windows, first)
    doses = measure_doses(prepared, text, {eps: updates_at(eps) for eps in sorted({*DOSES, eps})}, path)
    spectrum = []
    for one, update in zip(matrices, updates, strict=True):
        file = WeightFile(Path(given.weights[MATRIX_KINDS[one.matrix].weight_group]))
        spectrum += before_and_after(one, [update], file, given.setting)
    return Measured(eps, fit, effect, doses, spectrum, continued(given, sets, updates))


def target_sets(given: Experiment) -> list[TargetSet]:
    """Cues and targets of the concept, which a person may have written, then those of the opposite sign."""
    lists = given.directions["token_ids"].tolist(), given.directions["antipode_token_ids"].tolist()
    own = list_targets(lists[0])
    opposite = list_targets(lists[1], without=own)
    ids = token_ids(given.text, given.directory)
    prompts = given.prompts
    if prompts is None:
        concept = text_cues(ids, own, given.texts, given.model)
    else:
        written = read_prompts(Path(prompts)) if isinstance(prompts, str) else prompts
        concept = written_cues(written, given.model, given.directory)
    cues: dict[str, list[Cue]] = {CONCEPT: concept, OPPOSITE: text_cues(ids, opposite, given.texts, given.model)}
    listed = {int(token) for several in lists for tokens in several for token in tokens}
    sets = []
    for name, found in cues.items():
        if not found:
            raise SvdlensError(f"the text has {len(ids)} tokens, too few for a cue prompt. Give a longer one (`text`).")
        targets = dict.fromkeys(token for cue in found for token in cue.targets)
        sets.append(TargetSet(name, found, matched_tokens(targets, given.log_ranks, given.is_word, listed, given.seed)))
    return sets


def continued(given: Experiment, sets: Sequence[TargetSet], updates: Sequence[Update]) -> list[dict[str, str]]:
    """The first prompts of each set, continued before and after."""
    cues = [(one.name, cue) for one in sets for cue in one.cues[:CONTINUED]]
    prompts = [cue.ids for _, cue in cues]
    before, after = (
        continuations(given.model, prompts, given.directory, CONTINUATION, changed, given.path)
        for changed in ([], updates)
    )
    return [
        {"targets": name, "prompt": cue.text, "before": was, "after": now}
        for (name, cue), was, now in zip(cues, before, after, strict=True)
    ]
