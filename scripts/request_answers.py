"""Rule request_answers: the replies of a language model about lists, from the ledger or asked for now."""

from pathlib import Path

from svdlens.labels.label_table import Choice
from svdlens.labels.llm.attempts import ask_again
from svdlens.labels.llm.lists import lists_of_file
from svdlens.labels.llm.prompts import read_prompts
from svdlens.labels.llm.reply_files import write_replies
from svdlens.labels.llm.requesting import request_replies, say_to_person, summary
from svdlens.runtime.script import run


def main(smk):
    params = smk.params
    choice = Choice(**params.choice) if params.choice else None
    lists = lists_of_file(Path(smk.input.lists), choice, params.parameters["tokens"])
    prompts = read_prompts(*(Path(smk.input[name]) for name in ("label_prompt", "verify_prompt", "examples")))
    say = say_to_person(smk.wildcards.labeller, smk.wildcards.lists)
    replies, asked = request_replies(lists, prompts, params.parameters, params.options, say)
    write_replies(Path(smk.output.replies), replies)
    if line := summary(asked):
        say(line)
    if asked.failed:
        ask_again(Path(params.attempt_file))


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
