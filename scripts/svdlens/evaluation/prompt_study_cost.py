"""What the prompt study would take, before anything is sent: as `make label-cost` says it of a sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svdlens.evaluation.prompt_study import Condition, Lists
from svdlens.labels.llm.answers import questions_of
from svdlens.labels.llm.cost import Requests, replies_so_far, requests_of, told
from svdlens.labels.llm.prompts import Prompts


def study_cost(
    lists: Lists, prompts: Mapping[Condition, Prompts], parameters: Mapping[str, Any], options: Mapping[str, Any]
) -> str:
    """All conditions together. The verify prompt knows nothing of conditions, so that it is often asked for less."""
    every = list(dict.fromkeys(tokens for some in lists.values() for tokens in some))
    label = verify = Requests(0, 0, 0)
    for asked in prompts.values():
        questions = questions_of(asked, parameters)
        found = replies_so_far(every, questions, Path(options["ledger"]))
        labels, verdicts = requests_of(every, questions, found)
        label, verify = added(label, labels), added(verify, verdicts)
    heading = f"Prompt study: {len(prompts)} conditions, each with the same lists."
    return f"{heading}\n{told(len(every), label, verify, {**parameters, **options})}"


def added(one: Requests, other: Requests) -> Requests:
    return Requests(*(a + b for a, b in zip(one, other, strict=True)))
