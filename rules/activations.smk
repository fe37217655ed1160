# What directions do on text, on request: `snakemake examples`, and `snakemake on_prompt --config 'prompt="The fire was burning"'`.
#
# needs   results/models/{model}, results/svd/..., results/weights/{model}/{unembed,gains}.safetensors,
#         results/vocabulary/{model}/tokens.parquet, a text
# makes   results/examples/model=/setting=/examples.parquet: the windows of the text in which each direction projects most

OF_ALL_TEXTS = project_path("resources/text/wordnet_definitions.txt")


def predicting_places():
    """The models and settings of the sweep whose models predict a next token."""
    able = dict.fromkeys(place[:2] for place in SWEEP.places if "W_U" in SWEEP.architecture(place.model).readouts)
    return [{"model": model, "setting": setting} for model, setting in able]


def singular_vectors(wildcards):
    """The SVD files of a setting, one for each kind of matrix."""
    if SWEEP.basis != "svd":
        stop(f"{wildcards.model}: what directions do on text is computed of singular vectors. Write basis: svd.")
    if "W_U" not in SWEEP.architecture(wildcards.model).readouts:
        stop(f"{wildcards.model} predicts no next token; what directions do on text is computed of models that do.")
    places = [checked_place(wildcards.model, wildcards.setting, matrix) for matrix in model_matrices(wildcards)]
    return [SWEEP.svd_path(paths.SVD, place) for place in places]


def model_matrices(wildcards):
    return SWEEP.choice(wildcards.model, "matrices")


def examples_text(wildcards):
    text = config["examples"].get("text", OF_ALL_TEXTS)
    if not Path(text).exists():
        stop(
            f"examples.text: there is no file {text}. Give a text in UTF-8, or leave the key out for WordNet's definitions."
        )
    return text


def examples_text_content(wildcards):
    return content_digest(Path(examples_text(wildcards)))


rule find_examples:
    """The windows of a text in which each direction projects most, both signs, and how the direction's list fits them."""
    input:
        svd=singular_vectors,
        gains="results/weights/{model}/gains.safetensors",
        unembed="results/weights/{model}/unembed.safetensors",
        tokens="results/vocabulary/{model}/tokens.parquet",
        provenance=paths.PROVENANCE,
        text=examples_text,
    output:
        examples=paths.EXAMPLES,
    log:
        "results/logs/find_examples/{model}/{setting}.log",
    benchmark:
        "results/benchmarks/find_examples/{model}/{setting}.tsv"
    conda:
        "../environment.yml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        matrices=model_matrices,
        readout=first_readout,
        switches=setting_switches,
        options={key: value for key, value in config["examples"].items() if key != "text"},
        content=examples_text_content,
        code=code_hash("find_examples"),
    script:
        "../scripts/find_examples.py"


rule examples:
    """The windows of a text in which each direction projects most, for every model of the sweep that predicts a next token."""
    input:
        [paths.EXAMPLES.format(**place) for place in predicting_places()],
