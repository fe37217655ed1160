"""Rule prompt_study_cost: what the prompt study would take. Nothing is sent."""

from pathlib import Path

from svdlens.evaluation.prompt_study import prompts_of_study, study_lists
from svdlens.evaluation.prompt_study_cost import study_cost
from svdlens.runtime.script import run


def main(smk):
    params = smk.params
    lists = study_lists(list(map(Path, smk.input.tables)), params.n_lists, params.parameters["tokens"])
    prompts = prompts_of_study(*(Path(smk.input[name]) for name in ("label_prompt", "verify_prompt", "examples")))
    print(study_cost(lists, prompts, params.parameters, params.options), flush=True)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
