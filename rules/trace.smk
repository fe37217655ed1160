# Where a concept is: the directions that words lie along, in every layer, head and matrix. On request, `snakemake trace`.
#
# needs   results/svd/... or results/varimax/..., results/tokens/..., results/labels/..., results/vocabulary/{model}/features.parquet,
#         results/weights/{model}/{unembed,gains}.safetensors
# makes   results/trace/directions/model=/setting=/directions.parquet: for each query the directions nearest to it, with their tokens
#         and labels; results/trace/matrices/model=/setting=/matrices.parquet: the nearest of each matrix; and pictures of both
QUERY_TOKENS = "results/trace/queries/{model}.json"


def trace_directions(wildcards):
    """The files with the vectors of the sweep's directions, by kind of matrix."""
    places = [Place(wildcards.model, wildcards.setting, matrix) for matrix in trace_matrices(wildcards)]
    if SWEEP.basis == "svd":
        return [SWEEP.svd_path(paths.SVD, place) for place in places]
    return [SWEEP.shared_path(paths.VARIMAX, place) for place in places]


def trace_lists(wildcards):
    return expand(paths.TOKENS, matrix=trace_matrices(wildcards), allow_missing=True)


def trace_labels(wildcards):
    """What the labeller that figures draw says of them."""
    of_layers = SWEEP.labels_of_layers(wildcards.model, wildcards.setting)
    return [paths.LABELS.format(**place._asdict()) for place in of_layers]


def trace_vectors(wildcards):
    """What stands for a token: the first of the choice that the model has."""
    return SWEEP.token_vectors(wildcards.model)


def trace_matrices(wildcards):
    return SWEEP.matrices_of_layers(wildcards.model)


def trace_files(wildcards):
    """The tables of all models and settings that are searched, and their pictures; an error where nothing is asked for."""
    if not SWEEP.query_names:
        stop(
            "trace needs words to look for: --config 'query=[fire, flame, burning]', or trace.queries in config.yaml, such as "
            "{fire: [fire, flame, burning], ice: [ice, frozen]}."
        )
    return [*SWEEP.over_traced(paths.TRACE), *figure_paths(SWEEP, ["trace_table", "trace_heads"])]


def traced_words(wildcards):
    """The words of the queries as tokens, where there are any."""
    return QUERY_TOKENS if SWEEP.queries else []


rule tokenize_queries:
    """The words of the queries as tokens of a model."""
    input:
        tokens="results/vocabulary/{model}/tokens.parquet",
        features="results/vocabulary/{model}/features.parquet",
        provenance=paths.PROVENANCE,
    output:
        queries=QUERY_TOKENS,
    log:
        "results/logs/tokenize_queries/{model}.log",
    benchmark:
        "results/benchmarks/tokenize_queries/{model}.tsv"
    # A word that is refused is said before the matrices are decomposed.
    priority: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        queries=SWEEP.queries,
        source=model_source,
        code=code_hash("tokenize_queries"),
    script:
        "../scripts/tokenize_queries.py"


rule trace_queries:
    """The directions of a model, in one setting, that the queries lie along."""
    input:
        directions=trace_directions,
        gains="results/weights/{model}/gains.safetensors",
        unembed="results/weights/{model}/unembed.safetensors",
        features="results/vocabulary/{model}/features.parquet",
        queries=traced_words,
        lists=trace_lists,
        labels=trace_labels,
        provenance=paths.PROVENANCE,
    output:
        directions=paths.TRACE,
        matrices=paths.TRACE_MATRICES,
    log:
        "results/logs/trace_queries/{model}/{setting}.log",
    benchmark:
        "results/benchmarks/trace_queries/{model}/{setting}.tsv"
    conda:
        "../environment.yml"
    threads: 2
    resources:
        mem_mb=memory(2000, times_input=4),
        runtime=minutes(60),
    params:
        best_list=SWEEP.best_list,
        vectors=trace_vectors,
        matrices=trace_matrices,
        readout=first_readout,
        switches=setting_switches,
        options=SWEEP.trace_options,
        code=code_hash("trace_queries"),
    script:
        "../scripts/trace_queries.py"


rule trace:
    """Where the words of each query are in the models of the sweep."""
    input:
        trace_files,
