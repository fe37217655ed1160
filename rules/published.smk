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


def published_source(wildcards, output):
    """Where the published answers come from, without which of them are wanted. Made of `output`, so that Snakemake does not
    hold it against the last run: the same files elsewhere are the same."""
    return {key: value for key, value in PUBLISHED.items() if key not in ("models", "matrices")}


def published_content(wildcards):
    """The same but for where on this machine they are, and the files there by their content."""
    named = {key: value for key, value in published_source(wildcards, None).items() if key != "path"}
    files = [Path(path) for path in local_files(PUBLISHED, wildcards.model)]
    return {**named, "files": [(path.name, content_digest(path)) for path in files]}


rule fetch_published:
    """The published answers about one model, from their repository or from a directory."""
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
        content=published_content,
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
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        source=published_source,
        code=code_hash("list_published"),
    script:
        "../scripts/list_published.py"
