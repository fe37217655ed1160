"""What the prompt study would take, before anything is sent: as `make label-cost` says it of a sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svdlens.evaluation.prompt_study import Condition, Lists
from svdlens.labels.llm.answers import questions_of
from svdlens.labels.llm.ledger import Ledger
from svdlens.labels.llm.prompts import Prompts
from svdlens.labels.llm.questions import found_replies
from svdlens.sweep.label_cost import Requests, requests_of, told


def study_cost(
    lists: Lists, prompts: Mapping[Condition, Prompts], parameters: Mapping[str, Any], options: Mapping[str, Any]
) -> str:
    """All conditions together. The verify prompt knows nothing of conditions, so that it is often asked for less."""
    every = list(dict.fromkeys(tokens for some in lists.values() for tokens in some))
    label = verify = Requests(0, 0, 0)
    for asked in prompts.values():
        questions = questions_of(asked, parameters)
        found = [(None, None, False)] * len(every)
        if Path(options["ledger"]).exists():
            with Ledger(Path(options["ledger"]), read_only=True) as ledger:
                found = found_replies(every, questions, ledger)  # type: ignore[assignment]
        labels, verdicts = requests_of(every, questions, found)
        label, verify = added(label, labels), added(verify, verdicts)
    heading = f"Prompt study: {len(prompts)} conditions, each with the same lists."
    return f"{heading}\n{told(len(every), label, verify, {**parameters, **options})}"


def added(one: Requests, other: Requests) -> Requests:
    return Requests(*(a + b for a, b in zip(one, other, strict=True)))
