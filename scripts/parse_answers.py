"""Rule parse_answers: what the replies of a language model say of each list."""

from pathlib import Path

from svdlens.artefacts.table_schemas import ANSWERS, write_table
from svdlens.labels.label_table import Choice
from svdlens.labels.llm.answers import FAILED, answer_columns, facts_of, questions_of
from svdlens.labels.llm.attempts import ask_again
from svdlens.labels.llm.lists import lists_of_file
from svdlens.labels.llm.prompts import read_prompts
from svdlens.labels.llm.reply_files import read_replies
from svdlens.runtime.script import run


def main(smk):
    params = smk.params
    choice = Choice(**params.choice) if params.choice else None
    lists = lists_of_file(Path(smk.input.lists), choice, params.parameters["tokens"])
    prompts = read_prompts(*(Path(smk.input[name]) for name in ("label_prompt", "verify_prompt", "examples")))
    questions = questions_of(prompts, params.parameters)
    columns = answer_columns(lists, questions, read_replies(Path(smk.input.replies)))
    facts = facts_of(prompts, params.parameters) | {"code": params.code}
    write_table(Path(smk.output.answers), columns, ANSWERS, facts)
    # Other labels than those that were verified, because parsing has changed since.
    if FAILED in columns["status"]:
        ask_again(Path(params.attempt_file))


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
