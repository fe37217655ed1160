# How good labels are, without activations (docs/evaluation.md).
#
# needs   results/by_switches/{tokens,labels}/..., results/vocabulary/{model}/...
# makes   results/vocabulary/{model}/label_embeddings.parquet: embeddings of what the labels of the model's lists are made
#         of, where no token has that text
#         results/by_switches/scores/...: do labels fit the tokens that they were given to, and how often are random
#         directions labelled
#         results/by_switches/agreement/...: each labeller beside the frequency of tokens, and beside the later labellers


def scored_lists(wildcards):
    """The lists that the labels of a file are of."""
    return (LABELLERS[wildcards.labeller].lists or paths.SHARED_TOKENS).format(**wildcards)


def list_switches(wildcards):
    return {name: wildcards[name] for name in SWITCHES}


def labels_of_model(wildcards):
    return SWEEP.over_shared_labels(paths.SHARED_LABELS, wildcards.model)


def later_labellers(wildcards):
    """The labellers that this one is compared with: each two are compared once."""
    return SWEEP.later_labellers(wildcards.model, wildcards.matrix, wildcards.labeller, list_switches(wildcards))


def later_labels(wildcards):
    named = {key: value for key, value in wildcards.items() if key != "labeller"}
    return [paths.SHARED_LABELS.format(labeller=name, **named) for name in later_labellers(wildcards)]


rule embed_labels:
    """A sentence embedding of what the labels of a model's lists are made of, where no token has that text."""
    input:
        labels=labels_of_model,
        tokens="results/vocabulary/{model}/tokens.parquet",
        provenance=paths.PROVENANCE,
    output:
        embeddings="results/vocabulary/{model}/label_embeddings.parquet",
    log:
        "results/logs/embed_labels/{model}.log",
    benchmark:
        "results/benchmarks/embed_labels/{model}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000, times_input=5),
        runtime=minutes(60, per_gb=600),
    params:
        code=code_hash("embed_labels"),
    script:
        "../scripts/embed_labels.py"


rule score_labels:
    """Whether the labels of one table fit the tokens that they were given to."""
    input:
        labels=paths.SHARED_LABELS,
        lists=scored_lists,
        tokens="results/vocabulary/{model}/tokens.parquet",
        features="results/vocabulary/{model}/features.parquet",
        classes="results/vocabulary/{model}/classes.parquet",
        embeddings="results/vocabulary/{model}/embeddings.safetensors",
        label_embeddings="results/vocabulary/{model}/label_embeddings.parquet",
    output:
        scores=paths.SHARED_SCORES,
    log:
        "results/logs/score_labels/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.{labeller}.log",
    benchmark:
        "results/benchmarks/score_labels/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.{labeller}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(3000, times_input=5),
        runtime=minutes(60, per_gb=600),
    params:
        seed=config["seed"],
        code=code_hash("score_labels"),
    script:
        "../scripts/score_labels.py"


rule compare_labellers:
    """How far a labeller agrees with later ones about the same lists, and goes by the frequency of tokens."""
    input:
        labels=paths.SHARED_LABELS,
        others=later_labels,
    output:
        agreement=paths.SHARED_AGREEMENT,
    log:
        "results/logs/compare_labellers/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.{labeller}.log",
    benchmark:
        "results/benchmarks/compare_labellers/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.{labeller}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=10),
        runtime=minutes(30),
    params:
        others=later_labellers,
        seed=config["seed"],
        code=code_hash("compare_labellers"),
    script:
        "../scripts/compare_labellers.py"
