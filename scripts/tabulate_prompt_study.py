"""Rule tabulate_prompt_study: false positives and repeated topics under every condition, as a table and a figure."""

from pathlib import Path

from svdlens.artefacts.table_schemas import PROMPT_STUDY, write_table
from svdlens.evaluation.prompt_study import prompts_of_study, study_lists, study_table
from svdlens.figures.prompt_study import draw_prompt_study
from svdlens.figures.style import save_figure
from svdlens.labels.llm.reply_files import read_replies
from svdlens.runtime.script import run
from svdlens.vocabulary.wordnet import load_lexicon


def main(smk):
    params = smk.params
    lists = study_lists(list(map(Path, smk.input.tables)), params.n_lists, params.parameters["tokens"])
    prompts = prompts_of_study(*(Path(smk.input[name]) for name in ("label_prompt", "verify_prompt", "examples")))
    replies = read_replies(Path(smk.input.replies))
    table = study_table(lists, prompts, params.parameters, replies, load_lexicon())
    facts = {"language_model": dict(params.parameters), "prompts": dict(params.prompts), "code": params.code}
    write_table(Path(smk.output.table), dict(table.items()), PROMPT_STUDY, facts)
    files = (Path(smk.output[name]) for name in ("pdf", "png", "csv"))
    save_figure(draw_prompt_study(table), table, *files)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
