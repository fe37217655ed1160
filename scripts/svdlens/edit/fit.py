"""The eps with the largest effect on some cue prompts, to be measured on the others."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from svdlens.edit.effect import Prepared, TargetSet, prompt_means
from svdlens.edit.updates import Update
from svdlens.errors import SvdlensError
from svdlens.spec.edits import ONE_PROMPT

GRID = tuple(eps for eps in sorted(np.arange(-1.0, 2.01, 0.25).tolist(), key=abs) if eps)
"""Values of eps that are tried, the weakest first: from removal to three times as much, in steps of 1/4, without 0."""


def halves(targets: TargetSet) -> tuple[TargetSet, TargetSet]:
    """The cues by turns, those to fit with and those to measure with. Prompts of a text are in its order, so that both
    halves are from all of it.

    Raises SvdlensError for a single prompt.
    """
    if len(targets.cues) < 2:
        raise SvdlensError(f"eps: {ONE_PROMPT}")
    first, second = (targets._replace(cues=targets.cues[start::2]) for start in (0, 1))
    return first, second


def fitted_eps(
    prepared: Prepared, updates_at: Callable[[float], Sequence[Update]], path: str
) -> tuple[float, list[dict[str, Any]]]:
    """The eps of GRID at which the mean change of log-probability of the targets differs most, either way, from that of
    the tokens matched with them in frequency; of equal ones the weakest. With eps, change and matched_change of each
    that was tried, means over targets, then over prompts."""
    (_, cues, matched), passes, lengths, before = prepared
    tried = []
    for eps in GRID:
        change = passes.next_tokens(lengths, updates_at(eps), path) - before
        own, others = (float(means.mean()) for means in prompt_means(change, cues, matched))
        tried.append({"eps": eps, "change": own, "matched_change": others})
    best = max(tried, key=lambda one: abs(one["change"] - one["matched_change"]))
    return float(best["eps"]), tried
