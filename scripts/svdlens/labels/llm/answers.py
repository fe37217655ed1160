"""From replies to answers: what a language model said of each list. Pure: nobody is asked."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from svdlens.labels.llm.ledger import Reply
from svdlens.labels.llm.lists import FEWEST_TOKENS, list_key
from svdlens.labels.llm.parsing import OK, parse_label, parse_verdict
from svdlens.labels.llm.prompts import LABEL_FORMAT, VERIFY_FORMAT, Prompts
from svdlens.labels.llm.questions import Questions

ABSTAINED = "abstained"
FAILED = "failed"
"""There is no reply yet; the next run asks again."""
SAMPLING = ("temperature", "max_tokens", "seed")


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
