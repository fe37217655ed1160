# The answers that Millidge & Black (2022) published. Nothing here needs a model; rules/labels.smk makes labels of them.
#
# needs   the network, or labellers.published.path
# makes   results/published/{model}/: six files, with provenance.json, which is written last and stands for the directory
#         results/lists/published_{model}_{matrix}.jsonl: the lists of 15 tokens, for other labellers to label

from svdlens.labels.published.local_files import local_files

PUBLISHED = SWEEP.labeller_config("published")


# Runs where snakemake was started: the nodes of many clusters have no network.
localrules:
    fetch_published,


def published_files(wildcards):
    """The published files of a model on this machine, so that a change of one fetches them again; none to download."""
    return local_files(PUBLISHED, wildcards.model)


def published_source(wildcards):
    """Where the published answers come from, without which of them are wanted."""
    return {key: value for key, value in PUBLISHED.items() if key not in ("models", "matrices")}


rule fetch_published:
    """The published answers about one model, from their repository or from a directory."""
    input:
        source=published_files,
    output:
        provenance="results/published/{model}/provenance.json",
    log:
        "results/logs/fetch_published/{model}.log",
    benchmark:
        "results/benchmarks/fetch_published/{model}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        source=published_source,
        code=code_hash("fetch_published"),
    script:
        "../scripts/fetch_published.py"


rule list_published:
    """The token lists that the published answers are about."""
    input:
        answers="results/published/{model}/provenance.json",
    output:
        lists="results/lists/published_{model}_{matrix}.jsonl",
    log:
        "results/logs/list_published/{model}_{matrix}.log",
    benchmark:
        "results/benchmarks/list_published/{model}_{matrix}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("list_published"),
    script:
        "../scripts/list_published.py"
