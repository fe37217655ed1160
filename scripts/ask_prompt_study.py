"""Rule ask_prompt_study: the replies of a language model under every condition of the prompt study; its cost first."""

from itertools import chain
from pathlib import Path

from svdlens.evaluation.prompt_study import prompts_of_study, study_lists
from svdlens.evaluation.prompt_study_cost import study_cost
from svdlens.labels.llm.attempts import ask_again
from svdlens.labels.llm.reply_files import write_replies
from svdlens.labels.llm.requesting import request_replies, say_to_person, summary
from svdlens.runtime.script import run


def main(smk):
    params = smk.params
    lists = study_lists(list(map(Path, smk.input.tables)), params.n_lists, params.parameters["tokens"])
    prompts = prompts_of_study(*(Path(smk.input[name]) for name in ("label_prompt", "verify_prompt", "examples")))
    say = say_to_person("llm", "prompt study")
    say(study_cost(lists, prompts, params.parameters, params.options))
    replies, failed = {}, False
    for condition, asked_with in prompts.items():
        every = list(dict.fromkeys(chain.from_iterable(lists.values())))
        found, asked = request_replies(every, asked_with, params.parameters, params.options, say)
        replies |= {reply.key: reply for reply in found}
        failed = failed or bool(asked.failed)
        if line := summary(asked):
            say(f"{condition.n_examples} examples, {condition.ratio or 'none'}: {line}")
    write_replies(Path(smk.output.replies), list(replies.values()))
    if failed:
        ask_again(Path(params.attempt_file))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
