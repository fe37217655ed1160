# What examples in the label prompt do: control lists under several conditions. On request, `snakemake prompt_study`.
#
# needs   results/by_switches/tokens/... of what the labeller llm labels; templates of prompts, examples of the study; the
#         network and a key in the environment, for ask_prompt_study and nothing else
# makes   results/studies/prompts.jsonl: the replies under each condition, from the ledger or the server
#         results/studies/prompts.{parquet,pdf,png,csv}: false positives, and labels that name an example's topic

STUDIED = "llm"
STUDY_ATTEMPT = "results/studies/prompts.attempt"


localrules:
    ask_prompt_study,


def studied_tables(wildcards):
    """The tables of tokens whose controls the labeller labels."""
    places = [place for place in SWEEP.labelled_places if place.labeller == STUDIED]
    if not places:
        stop(
            f"the prompt study asks the labeller {STUDIED}, which labels nothing in this sweep. Write sweep: {{labellers: "
            f"[coherence, {STUDIED}]}}, and matrices that it labels."
        )
    return list(dict.fromkeys(SWEEP.shared_path(paths.SHARED_TOKENS, place) for place in places))


def studied_prompt(key):
    """An input function: a template of the labeller."""

    def path(wildcards):
        return prompt_path(STUDIED, key)

    return path


def study_parameters(wildcards):
    return SWEEP.labeller_parameters(STUDIED)


def study_prompts(wildcards):
    """The content of the templates and examples. Not made of `input`, which Snakemake would not hold against the last run."""
    templates = {key: prompt_path(STUDIED, key) for key in ("label_prompt", "verify_prompt")}
    files = templates | {"examples": project_path(paths.STUDY_EXAMPLES)}
    return {name: content_digest(Path(path)) for name, path in files.items()}


def study_attempts(wildcards):
    return attempt(Path(STUDY_ATTEMPT))


def study_options(wildcards, output):
    return whom_to_ask(STUDIED)


STUDY_INPUTS = {
    "tables": studied_tables,
    "label_prompt": studied_prompt("label_prompt"),
    "verify_prompt": studied_prompt("verify_prompt"),
    "examples": local(ancient(project_path(paths.STUDY_EXAMPLES))),
}


rule ask_prompt_study:
    """The replies of a language model about control lists under each condition of the prompt study. Says its cost first."""
    input:
        **STUDY_INPUTS,
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
        attempt=study_attempts,
        attempt_file=STUDY_ATTEMPT,
        options=study_options,
        code=code_hash("ask_prompt_study"),
    script:
        "../scripts/ask_prompt_study.py"


rule tabulate_prompt_study:
    """What the replies of the prompt study say, as a table and a picture."""
    input:
        **STUDY_INPUTS,
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
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(20),
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
