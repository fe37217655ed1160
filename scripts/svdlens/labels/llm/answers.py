"""From replies to answers: what a language model said of each list. Pure: what it was asked is known, nobody is asked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from svdlens.artefacts.atomic_files import write_text
from svdlens.errors import SvdlensError
from svdlens.labels.llm.ledger import Reply
from svdlens.labels.llm.lists import FEWEST_TOKENS, list_key
from svdlens.labels.llm.parsing import OK, parse_label, parse_verdict
from svdlens.labels.llm.prompts import LABEL_FORMAT, VERIFY_FORMAT, Prompts
from svdlens.labels.llm.questions import Questions

ABSTAINED = "abstained"
FAILED = "failed"
"""There is no reply yet; the next run asks again."""
SAMPLING = ("temperature", "max_tokens", "seed")
KEPT = ("key", "content", "finish_reason", "refusal", "prompt_tokens", "completion_tokens")
"""What a file of replies has of each. The ledger has the rest, with times and prices."""


class Answer(NamedTuple):
    """What was said of one list.

    status: `ok`; `unparsed`, where a reply says nothing that counts; `failed`, where one is missing; `abstained`.
    label: None where there is none. labelled: whether a label was given; verified: whether the verifier agrees, which
    is asked only of labels; None where that is not known. reason: in words, for every status but ok.
    """

    status: str
    label: str | None = None
    labelled: bool | None = None
    verified: bool | None = None
    reason: str | None = None


def questions_of(prompts: Prompts, parameters: Mapping[str, Any]) -> Questions:
    """Both prompts as requests; `parameters`: model, temperature, max_tokens, seed and json_schema."""
    formats = (LABEL_FORMAT, VERIFY_FORMAT) if parameters["json_schema"] else (None, None)
    sampling = {name: parameters[name] for name in SAMPLING}
    return Questions(prompts, parse_label, parameters["model"], sampling, *formats)


def answer_of(tokens: Sequence[str], questions: Questions, replies: Mapping[str, Reply]) -> Answer:
    """What the replies, by key, say of a list."""
    if len(tokens) < FEWEST_TOKENS:
        return Answer(ABSTAINED, reason=f"fewer than {FEWEST_TOKENS} tokens")
    reply = replies.get(questions.label_request(tokens).key)
    if reply is None:
        return Answer(FAILED, reason="no reply to the label prompt")
    said = parse_label(reply)
    if said.status != OK:
        return Answer(said.status, reason=f"label prompt: {said.reason}")
    if said.label is None:
        return Answer(OK, labelled=False)
    given = Answer(OK, said.label, labelled=True)
    reply = replies.get(questions.verify_request(tokens, said.label).key)
    if reply is None:
        return given._replace(status=FAILED, reason="no reply to the verify prompt")
    judged = parse_verdict(reply)
    if judged.status != OK:
        return given._replace(status=judged.status, reason=f"verify prompt: {judged.reason}")
    return given._replace(verified=judged.yes)


def answer_columns(
    lists: Sequence[Sequence[str]], questions: Questions, replies: Mapping[str, Reply]
) -> dict[str, list[Any]]:
    """Columns of the table of answers (artefacts.table_schemas.ANSWERS), a row for each of the lists."""
    answers = [answer_of(tokens, questions, replies) for tokens in lists]
    columns = {name: [getattr(answer, name) for answer in answers] for name in Answer._fields}
    return {"list_key": list(map(list_key, lists)), "tokens": [list(tokens) for tokens in lists], **columns}


def facts_of(prompts: Prompts, parameters: Mapping[str, Any]) -> dict[str, object]:
    """What the answers depend on, for the metadata of tables."""
    return {"language_model": {**parameters, **{f"{name}_sha256": sha256 for name, sha256 in prompts.sha256.items()}}}


def write_replies(path: Path, replies: Sequence[Reply]) -> None:
    """One JSON object a line, in the order of the keys, with nothing of when and where they came."""
    lines = [json.dumps({name: getattr(reply, name) for name in KEPT}) for reply in sorted(replies, key=lambda r: r.key)]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_replies(path: Path) -> dict[str, Reply]:
    """The replies of a file of write_replies, by key. Raises SvdlensError for one that is damaged."""
    replies = {}
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                kept = json.loads(line)
                replies[kept["key"]] = Reply(**{name: kept[name] for name in KEPT}, cost=0.0, raw="")
    except (ValueError, KeyError, TypeError) as error:
        raise SvdlensError(
            f"{path} is cut short or damaged ({error!r}). Delete it and run again: it is made again from the ledger."
        ) from error
    return replies
