# What a language model says of token lists, for labellers that ask a server (`asks` in labels/registry.py).
#
# needs   results/by_switches/tokens/..., or the lists of `label_lists`; templates and examples of prompts; the network and a
#         key in the environment, for request_answers and nothing else
# makes   results/{by_switches,lists}/replies/...: the replies about the lists, from the ledger or the server
#         results/{by_switches,lists}/answers/...: what they say of each distinct list
#         and writes the ledger, which is nobody's output: Snakemake deletes outputs

import time

from svdlens.labels.llm.attempts import attempt

ASKING = [name for name, entry in LABELLERS.items() if entry.asks]

# Limits are for one call of snakemake. Jobs inherit this.
if workflow.is_main_process:
    os.environ.update(SVDLENS_STARTED=repr(time.time()))


# Runs where snakemake was started: the nodes of many clusters have no network.
localrules:
    request_answers,


def prompt_path(labeller, key):
    """A template or the examples, of the configuration or of this project. Their content is a parameter."""
    own = SWEEP.labeller_config(labeller)
    if key in own and not Path(own[key]).is_file():
        stop(f"labellers.{labeller}.{key}: there is no file {own[key]}. Correct the path, or leave the key out.")
    return local(ancient(own.get(key) or project_path(paths.PROMPT_FILES[key])))


def prompt_file(key):
    """An input function: prompt_path of the labeller that is asked."""

    def path(wildcards):
        return prompt_path(wildcards.labeller, key)

    return path


def prompts_content(wildcards):
    return {key: content_digest(Path(prompt_path(wildcards.labeller, key))) for key in paths.PROMPT_FILES}


def asked_lists(wildcards):
    """The file of lists that are asked about: a table of tokens, or one of JSON lines."""
    if wildcards.of == "by_switches":
        return f"results/by_switches/tokens/{wildcards.lists}.parquet"
    if "lists" not in config or (wildcards.lists, wildcards.labeller) != (LISTS, LIST_LABELLER):
        stop(f"no such file: label_lists asks about {LISTS} with the labeller {LIST_LABELLER}. Ask for that.")
    return config["lists"] if are_made() else local(config["lists"])


def asked_content(wildcards):
    """The content of lists from elsewhere; tables of tokens are known by their date."""
    return list_content(wildcards) if wildcards.of == "lists" else None


def asked_rows(wildcards):
    """Which rows of a table of tokens; of lists from elsewhere all."""
    return SWEEP.labelled_rows(wildcards.labeller) if wildcards.of == "by_switches" else None


def past_attempts(wildcards):
    return attempt(Path(paths.ATTEMPT.format(**wildcards)))


def whom_to_ask(labeller):
    """Whom to ask, and how: the keys of its configuration that replies do not depend on."""
    own = SWEEP.labeller_config(labeller)
    return {key: own[key] for key in LABELLERS[labeller].not_results if key in own}


def asking_options(wildcards, output):
    """Made of `output`, so that Snakemake does not hold it against the last run: replies are the same however they came."""
    return whom_to_ask(wildcards.labeller)


def attempt_file(wildcards):
    return paths.ATTEMPT.format(**wildcards)


rule request_answers:
    """The replies of a language model about lists: what the ledger has of them, and what the server says of the others."""
    input:
        lists=asked_lists,
        label_prompt=prompt_file("label_prompt"),
        verify_prompt=prompt_file("verify_prompt"),
        examples=prompt_file("examples"),
    output:
        replies=paths.REPLIES,
    log:
        "results/logs/request_answers/{of}/{lists}.{labeller}.log",
    benchmark:
        "results/benchmarks/request_answers/{of}/{lists}.{labeller}.tsv"
    wildcard_constraints:
        of="by_switches|lists",
        lists=".+",
        labeller="|".join(ASKING),
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        parameters=labeller_parameters,
        choice=asked_rows,
        content=asked_content,
        prompts=prompts_content,
        attempt=past_attempts,
        attempt_file=attempt_file,
        options=asking_options,
        code=code_hash("request_answers"),
    script:
        "../scripts/request_answers.py"


rule parse_answers:
    """What the replies of a language model say of each list."""
    input:
        lists=asked_lists,
        label_prompt=prompt_file("label_prompt"),
        verify_prompt=prompt_file("verify_prompt"),
        examples=prompt_file("examples"),
        replies=paths.REPLIES,
    output:
        answers=paths.ANSWERS,
    log:
        "results/logs/parse_answers/{of}/{lists}.{labeller}.log",
    benchmark:
        "results/benchmarks/parse_answers/{of}/{lists}.{labeller}.tsv"
    wildcard_constraints:
        of="by_switches|lists",
        lists=".+",
        labeller="|".join(ASKING),
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(20),
    params:
        parameters=labeller_parameters,
        choice=asked_rows,
        prompts=prompts_content,
        attempt_file=attempt_file,
        code=code_hash("parse_answers"),
    script:
        "../scripts/parse_answers.py"
