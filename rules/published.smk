# The answers that Millidge & Black (2022) published, as labels. Nothing here needs a model.
#
# fetch_published   results/published/{model}/, six files from the authors' repository or from a directory, with
#                   provenance.json, which is written last and stands for the whole directory
# label_published   labels of mlp_in or mlp_out, and the lists of 15 tokens, for other labellers to label


# Runs where snakemake was started: the nodes of many clusters have no network.
localrules:
    fetch_published,


rule fetch_published:
    input:
        source=published_files,
    output:
        provenance="results/published/{model}/provenance.json",
    log:
        "results/logs/fetch_published/{model}.log",
    benchmark:
        "results/benchmarks/fetch_published/{model}.tsv"
    wildcard_constraints:
        model=PUBLISHED_MODELS,
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


rule label_published:
    input:
        provenance="results/published/{model}/provenance.json",
    output:
        labels="results/labels/model={model}/setting=post2022/{matrix}.published.parquet",
        lists="results/lists/published_{model}_{matrix}.jsonl",
    log:
        "results/logs/label_published/{model}/post2022/{matrix}.published.log",
    benchmark:
        "results/benchmarks/label_published/{model}/post2022/{matrix}.published.tsv"
    wildcard_constraints:
        model=PUBLISHED_MODELS,
        matrix="mlp_in|mlp_out",
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("label_published"),
    script:
        "../scripts/label_published.py"
