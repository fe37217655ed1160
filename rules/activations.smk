# What directions do on text, on request: `snakemake examples`, and `snakemake on_prompt --config 'prompt="The fire was burning"'`.
#
# needs   results/models/{model}, results/svd/..., results/weights/{model}/{unembed,gains}.safetensors,
#         results/vocabulary/{model}/tokens.parquet, a text
# makes   results/examples/model=/setting=/examples.parquet: the windows of the text in which each direction projects most;
#         results/prompts/{prompt}/model=/setting=/: what each direction does on a prompt, as tables and a picture

OF_ALL_TEXTS = project_path("resources/text/wordnet_definitions.txt")


def predicting_places():
    """The models and settings of the sweep whose models predict a next token; an error where there is none."""
    reasons = {name: SWEEP.no_forward_pass(name) for name in SWEEP.models}
    if all(reasons.values()):
        stop(
            "what directions do on text is computed of models that predict a next token, and the sweep has none: "
            f"{'; '.join(f'{name} {reason}' for name, reason in reasons.items())}. Name another model in sweep.models."
        )
    able = [name for name in SWEEP.models if not reasons[name] and SWEEP.matrices_of_layers(name)]
    if not able:
        stop(
            "what directions do on text is computed of what layers read and write, and the sweep has just unembed or embed. "
            "Add ov, mlp_in or mlp_out to sweep.matrices."
        )
    places = dict.fromkeys(place[:2] for place in SWEEP.places if place.model in able)
    return [{"model": model, "setting": setting} for model, setting in places]


def prompt_text(wildcards):
    if wildcards.prompt not in SWEEP.prompts:
        named = f"In the configuration: {', '.join(SWEEP.prompts)}." if SWEEP.prompts else "The configuration has none."
        stop(
            f"no such file: {wildcards.prompt!r} is the name of no prompt. {named} A prompt is an entry under prompts."
        )
    if not {"ov", "mlp_out"} & set(model_matrices(wildcards)):
        stop(
            f"on_prompt shows what OV and MLP-out write, and {wildcards.model} has neither in the sweep. Add one to matrices."
        )
    return SWEEP.prompts[wildcards.prompt]


def singular_vectors(wildcards):
    """The SVD files of a setting, one for each kind of matrix."""
    if SWEEP.basis != "svd":
        stop(f"{wildcards.model}: what directions do on text is computed of singular vectors. Write basis: svd.")
    if reason := SWEEP.no_forward_pass(wildcards.model):
        stop(f"{wildcards.model} {reason}; what directions do on text is computed of models that can be run.")
    places = [checked_place(wildcards.model, wildcards.setting, matrix) for matrix in model_matrices(wildcards)]
    return [SWEEP.svd_path(paths.SVD, place) for place in places]


def model_matrices(wildcards):
    return SWEEP.matrices_of_layers(wildcards.model)


def examples_text(wildcards):
    text = config["examples"].get("text", OF_ALL_TEXTS)
    if not Path(text).is_file():
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
        mem_mb=memory(4000, times_input=2, times_model=3),
        runtime=minutes(120, per_model_gb=60),
    params:
        matrices=model_matrices,
        readout=first_readout,
        switches=setting_switches,
        options={key: value for key, value in config["examples"].items() if key != "text"},
        content=examples_text_content,
        source=model_source,
        code=code_hash("find_examples"),
    script:
        "../scripts/find_examples.py"


def all_labels(wildcards):
    """What the labeller that figures draw says of the lists of a setting."""
    of_layers = SWEEP.labels_of_layers(wildcards.model, wildcards.setting)
    return [paths.LABELS.format(**place._asdict()) for place in of_layers]


def prompt_options(wildcards):
    """What is shown of a prompt, with the heads that are this model's."""
    heads = [head for head in config["on_prompt"]["heads"] if head.get("model", wildcards.model) == wildcards.model]
    return config["on_prompt"] | {"heads": heads}


rule read_prompt:
    """How strongly each direction fires on a prompt, and the prompt with only some directions of a head, or without them."""
    input:
        svd=singular_vectors,
        tokens="results/vocabulary/{model}/tokens.parquet",
        labels=all_labels,
        provenance=paths.PROVENANCE,
    output:
        directions=paths.PROMPTS.replace("{table}", "directions.parquet"),
        pairs=paths.PROMPTS.replace("{table}", "pairs.parquet"),
        ablations=paths.PROMPTS.replace("{table}", "ablations.parquet"),
        picture=expand(paths.PROMPTS, table=["directions.pdf", "directions.png", "directions.csv"], allow_missing=True),
    log:
        "results/logs/read_prompt/{prompt}/{model}/{setting}.log",
    benchmark:
        "results/benchmarks/read_prompt/{prompt}/{model}/{setting}.tsv"
    wildcard_constraints:
        prompt="[A-Za-z0-9][A-Za-z0-9._-]*",
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(4000, times_input=2, times_model=3),
        runtime=minutes(60, per_model_gb=20),
    params:
        matrices=model_matrices,
        readout=first_readout,
        switches=setting_switches,
        prompt=prompt_text,
        options=prompt_options,
        tolerance=config["cluster_tolerance"],
        labeller=SWEEP.figure_labeller,
        source=model_source,
        code=code_hash("read_prompt"),
    script:
        "../scripts/read_prompt.py"


def on_prompt_files(wildcards):
    """The tables of every prompt, for every model of the sweep that predicts a next token; an error where there is none."""
    if not SWEEP.prompts:
        stop(
            "on_prompt needs a prompt: --config 'prompt=\"The fire was burning\"', or prompts in config.yaml, such as "
            "{fire: The fire was burning}."
        )
    pattern = paths.PROMPTS.replace("{table}", "directions.parquet")
    return [pattern.format(prompt=name, **place) for name in SWEEP.prompts for place in predicting_places()]


rule on_prompt:
    """What the directions of the models of the sweep do on each prompt."""
    input:
        on_prompt_files,


def example_files(wildcards):
    return [paths.EXAMPLES.format(**place) for place in predicting_places()]


rule examples:
    """The windows of a text in which each direction projects most, for every model of the sweep that predicts a next token."""
    input:
        example_files,
