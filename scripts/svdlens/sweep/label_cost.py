"""`make label-cost`: what it would take to ask a language model about the lists of a sweep, before anything is sent."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from svdlens.errors import SvdlensError
from svdlens.labels.registry import LABELLERS
from svdlens.sweep import paths
from svdlens.sweep.config_checks import check_configuration, load_schema, take_copies
from svdlens.sweep.config_files import configuration
from svdlens.sweep.named_files import expand_home
from svdlens.sweep.plan import Sweep

if TYPE_CHECKING:
    from svdlens.labels.llm.ledger import Reply
    from svdlens.labels.llm.questions import Questions

Found = tuple["Reply | None", "Reply | None", bool]
"""The replies about a list, to the label prompt and to the verify prompt, and whether it needs no other."""
PROJECT = Path(__file__).parents[3]
BYTES_OF_A_TOKEN = 3
"""Of the prompts of this project, in UTF-8: 3.15 with the tokenizer of GPT-2."""
REPLY_TOKENS = 12
"""Of a reply of a few words as JSON, from a model that does not reason before it answers."""
SOME_LABEL = "a label of a few words"


class Requests(NamedTuple):
    """How many requests of one prompt are in the ledger, how many are to be asked, and the tokens of these prompts."""

    found: int
    asked: int
    tokens: int


def requests_of(
    lists: Sequence[tuple[str, ...]],
    questions: "Questions",
    found: Sequence[Found],
) -> tuple[Requests, Requests]:
    """The requests of the label prompt, and those of the verify prompt at most: as if every list got a label."""
    new = [tokens for tokens, (label, _, _) in zip(lists, found, strict=True) if label is None]
    unjudged = [
        tokens for tokens, (_, verdict, complete) in zip(lists, found, strict=True) if not (verdict or complete)
    ]
    labels = [questions.label_request(tokens) for tokens in new]
    verdicts = [questions.verify_request(tokens, SOME_LABEL) for tokens in unjudged]
    return (
        Requests(len(lists) - len(new), len(labels), sum(map(prompt_tokens, labels))),
        Requests(sum(verdict is not None for _, verdict, _ in found), len(verdicts), sum(map(prompt_tokens, verdicts))),
    )


def prompt_tokens(request: Any) -> int:
    """An estimate: a token for each BYTES_OF_A_TOKEN bytes."""
    return sum(-(-len(message["content"].encode()) // BYTES_OF_A_TOKEN) for message in request.messages)


def cost(requests: Requests, reply_tokens: int, price: Mapping[str, float]) -> float:
    """Of the requests that are to be asked."""
    return (requests.tokens * price["input"] + requests.asked * reply_tokens * price["output"]) / 1e6


def told(n_lists: int, label: Requests, verify: Requests, own: Mapping[str, Any]) -> str:
    """All of it, for a person."""
    price, longest = own["price"], own["max_tokens"]
    lines = [
        f"{n_lists:,} distinct lists for {own['model']}",
        "",
        f"{'':16}{'in the ledger':>14}{'to ask':>10}{'prompt tokens':>15}{'reply tokens':>14}{'cost':>10}",
    ]
    for name, requests in (("label prompt", label), ("verify, at most", verify)):
        replies = requests.asked * REPLY_TOKENS
        lines.append(
            f"{name:16}{requests.found:>14,}{requests.asked:>10,}{requests.tokens:>15,}{replies:>14,}"
            f"{cost(requests, REPLY_TOKENS, price):>10.4g}"
        )
    both = cost(label, REPLY_TOKENS, price) + cost(verify, REPLY_TOKENS, price)
    most = cost(label, longest, price) + cost(verify, longest, price)
    lines += [
        "",
        f"In all about {both:.4g}; {most:.4g} if every reply had max_tokens ({longest}), as of models that reason.",
        f"Estimated: a token for every {BYTES_OF_A_TOKEN} bytes of a prompt, {REPLY_TOKENS} tokens for a reply, and a "
        "label for every list, which the verify prompt judges; lists without one need no second request.",
        "Trying again after an error is not counted. Nothing was sent.",
    ]
    if not any(price.values()):
        lines.append("Costs are 0 because no price is given: labellers.llm.price: {input: ..., output: ...}.")
    return "\n".join(lines)


def main(config_files: list[str]) -> None:
    """For the sweep of config.yaml of the project with `config_files` over it, and its lists under results/."""
    # These take their time.
    from svdlens.labels.label_table import Choice
    from svdlens.labels.llm.answers import questions_of
    from svdlens.labels.llm.ledger import Ledger
    from svdlens.labels.llm.lists import lists_of_table
    from svdlens.labels.llm.prompts import read_prompts
    from svdlens.labels.llm.questions import found_replies

    config = configuration(map(Path, config_files), PROJECT)
    check_configuration(config, load_schema(PROJECT / "rules/config.schema.yaml"))
    expand_home(config)
    take_copies(config)
    sweep = Sweep(config)
    asking = [name for name in sweep.labellers if LABELLERS[name].asks]
    if not asking:
        raise SvdlensError(
            "no labeller of this sweep asks a language model. Add one, sweep: {labellers: [coherence, llm]}, in a file "
            "that you name: make label-cost SWEEP=mine.yaml."
        )
    for labeller in asking:
        own = sweep.labeller_config(labeller)
        places = [place for place in sweep.labelled_places if place.labeller == labeller]
        tables = dict.fromkeys(sweep.shared_path(paths.SHARED_TOKENS, place) for place in places)
        choice, n_tokens = Choice(**sweep.labelled_rows(labeller)), own["tokens"]
        lists = [one for table in tables for one in lists_of_table(Path(table), choice, n_tokens)]
        lists = list(dict.fromkeys(lists))
        prompts = read_prompts(*(Path(own.get(key, PROJECT / path)) for key, path in paths.PROMPT_FILES.items()))
        questions = questions_of(prompts, sweep.labeller_parameters(labeller))
        found: list[Found] = [(None, None, False)] * len(lists)
        if Path(own["ledger"]).exists():
            with Ledger(Path(own["ledger"]), read_only=True) as ledger:
                found = found_replies(lists, questions, ledger)
        print(told(len(lists), *requests_of(lists, questions, found), own))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (SvdlensError, OSError) as error:
        sys.exit(str(error))
