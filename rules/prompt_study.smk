# What examples in the label prompt do: control lists under several conditions. On request, `snakemake prompt_study`.
#
# needs   results/by_switches/tokens/... of what the labeller llm labels; templates of prompts, examples of the study; the
#         network and a key in the environment, for ask_prompt_study and nothing else
# makes   results/studies/prompts.jsonl: the replies under each condition, from the ledger or the server
#         results/studies/prompts.{parquet,pdf,png,csv}: false positives, and labels that name an example's topic


class STUDIED:
    """The labeller whose prompts are studied, as the functions of llm.smk want it."""

    labeller = "llm"


localrules:
    ask_prompt_study,


def studied_tables(wildcards):
    """The tables of tokens whose controls it labels."""
    places = [place for place in SWEEP.labelled_places if place.labeller == STUDIED.labeller]
    if not places:
        stop(
            f"the prompt study asks the labeller {STUDIED.labeller}, which labels nothing in this sweep. Write sweep: {{labellers: "
            f"[coherence, {STUDIED.labeller}]}}, and matrices that it labels."
        )
    return list(dict.fromkeys(SWEEP.shared_path(paths.SHARED_TOKENS, place) for place in places))


def study_parameters(wildcards):
    return SWEEP.labeller_parameters(STUDIED.labeller)


def study_prompts(wildcards):
    return {name: content_digest(Path(path)) for name, path in study_prompt_files().items()}


def study_prompt_files():
    files = {name: prompt_file(name)(STUDIED) for name in ("label_prompt", "verify_prompt")}
    return files | {"examples": local(ancient(project_path(paths.STUDY_EXAMPLES)))}


STUDY_ATTEMPT = "results/studies/prompts.attempt"
STUDY_RUNS = {
    "tables": studied_tables,
    "label_prompt": lambda wildcards: study_prompt_files()["label_prompt"],
    "verify_prompt": lambda wildcards: study_prompt_files()["verify_prompt"],
    "examples": lambda wildcards: study_prompt_files()["examples"],
}


# Made of `output` where there is one, so that Snakemake does not hold it against the last run.
def study_options(wildcards, output):
    return asking_options(STUDIED, output)


rule ask_prompt_study:
    """The replies of a language model about control lists under each condition of the prompt study. Says its cost first."""
    input:
        **STUDY_RUNS,
    output:
        replies="results/studies/prompts.jsonl",
    log:
        "results/logs/ask_prompt_study/ask_prompt_study.log",
    benchmark:
        "results/benchmarks/ask_prompt_study/ask_prompt_study.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        parameters=study_parameters,
        n_lists=config["prompt_study"]["lists"],
        prompts=study_prompts,
        attempt=lambda wildcards: attempt(Path(STUDY_ATTEMPT)),
        attempt_file=STUDY_ATTEMPT,
        options=study_options,
        code=code_hash("ask_prompt_study"),
    script:
        "../scripts/ask_prompt_study.py"


rule tabulate_prompt_study:
    """What the replies of the prompt study say, as a table and a picture."""
    input:
        **STUDY_RUNS,
        replies="results/studies/prompts.jsonl",
    output:
        table="results/studies/prompts.parquet",
        pdf="results/studies/prompts.pdf",
        png="results/studies/prompts.png",
        csv="results/studies/prompts.csv",
    log:
        "results/logs/tabulate_prompt_study/tabulate_prompt_study.log",
    benchmark:
        "results/benchmarks/tabulate_prompt_study/tabulate_prompt_study.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        parameters=study_parameters,
        n_lists=config["prompt_study"]["lists"],
        prompts=study_prompts,
        code=code_hash("tabulate_prompt_study"),
    script:
        "../scripts/tabulate_prompt_study.py"


rule prompt_study:
    """False positives of a language model, and how often it repeats topics of examples, under each condition."""
    input:
        rules.tabulate_prompt_study.output,
