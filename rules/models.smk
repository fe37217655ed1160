# From a name in the catalogue to raw weights.
#
# needs   the network, a local directory or GGUF file, or an installed package
# makes   results/models/{model}/, with provenance.json, which is written last and stands for the whole directory; of a
#         difference or an adapter, once those of the models that it is of are there
#         results/weights/{model}/{attention,mlp,unembed,gains}.safetensors: float32, TransformerLens' shapes, no setting yet
#         results/weights/{model}/steps.safetensors: what quantised weights were rounded to, in the same shapes
#         results/weights/{model}/{setting}.safetensors: all weights as one setting wants them (`snakemake weights`)

from svdlens.sweep.change_checks import change_of, models_of
from svdlens.sweep.named_files import model_digests, model_place

# Keys of a model in the catalogue that say nothing about where its weights come from.
ABOUT_RESULTS = ("settings", "matrices", "readouts", "layers", "heads", "token_tables", "token_counts", "topic")


# Runs where snakemake was started: the nodes of many clusters have no network.
localrules:
    fetch_model,


BUNDLED = Path(project_path("resources/models"))
ADAPTERS = Path(project_path("resources/adapters"))
CHANGES = [name for name, entry in config["models"].items() if change_of(entry)]


def names_as_regex(names):
    """A wildcard that is one of these names; of none, a regular expression that matches nothing."""
    return "|".join(re.escape(name) for name in names) or r"(?!)"


def models_of_change(wildcards):
    """What a difference or an adapter is made of; nothing for a model with weights of its own."""
    return [paths.PROVENANCE.format(model=name) for name in models_of(config["models"][wildcards.model])]


def catalogue_source(model):
    """The model's source as the catalogue has it."""
    entry = config["models"][model]
    source = {key: value for key, value in entry.items() if key not in ABOUT_RESULTS}
    source.setdefault("architecture", "gpt2")
    if "bundled" in source:
        source["bundled"] = str(BUNDLED / source["bundled"])
    if "adapter" in source and "bundled" in source["adapter"]:
        adapter = source["adapter"]
        source["adapter"] = {"of": adapter["of"], "path": str(ADAPTERS / adapter["bundled"])}
    return source


def model_source(wildcards, output):
    """Made of `output`, so that Snakemake does not hold it against the last run: the same files elsewhere are the same
    model."""
    return catalogue_source(wildcards.model)


def model_content(wildcards):
    """What the model is: its source but for where on this machine it is, and its files there by their content."""
    source = catalogue_source(wildcards.model)
    place = model_place(config["models"][wildcards.model], BUNDLED)
    named = {key: value for key, value in source.items() if key not in ("path", "bundled")}
    if "adapter" in source:
        place, named["adapter"] = Path(source["adapter"]["path"]), source["adapter"]["of"]
    return {**named, "files": model_digests(place) if place else {}}


rule fetch_model:
    """The files of a model, checked, with provenance.json."""
    input:
        models_of_change,
    output:
        provenance=paths.PROVENANCE,
    log:
        "results/logs/fetch_model/{model}.log",
    benchmark:
        "results/benchmarks/fetch_model/{model}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        source=model_source,
        content=model_content,
        code=code_hash("fetch_model"),
    script:
        "../scripts/fetch_model.py"


rule extract_weights:
    """The raw weights of a model in TransformerLens' shapes, once for all settings."""
    input:
        provenance=paths.PROVENANCE,
    output:
        attention=temp("results/weights/{model}/attention.safetensors"),
        mlp=temp("results/weights/{model}/mlp.safetensors"),
        unembed=temp("results/weights/{model}/unembed.safetensors"),
        gains=temp("results/weights/{model}/gains.safetensors"),
        steps=temp("results/weights/{model}/steps.safetensors"),
    log:
        "results/logs/extract_weights/{model}.log",
    benchmark:
        "results/benchmarks/extract_weights/{model}.tsv"
    wildcard_constraints:
        model=names_as_regex(name for name in config["models"] if name not in CHANGES),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000, times_model=2.5),
        runtime=minutes(30, per_model_gb=20),
    params:
        source=model_source,
        code=code_hash("extract_weights"),
    script:
        "../scripts/extract_weights.py"


def sources_of_change(wildcards, output):
    """By name, the sources of a difference or an adapter and of the models that it is made of."""
    names = [wildcards.model, *models_of(config["models"][wildcards.model])]
    return {name: catalogue_source(name) for name in names}


# Made of `output`, so that another list extracts nothing anew: the files have all that the adapter changes.
def matrices_of_change(wildcards, output):
    return SWEEP.choice(wildcards.model, "matrices")


def memory_of_change(wildcards, input, attempt):
    """Of a difference, as much as each model would take; of an adapter less: single tensors of its base are read."""
    times_model = 2.5 if "diff" in config["models"][wildcards.model] else 0.4
    return memory(2000, times_model=times_model)(wildcards, input, attempt)


rule extract_change:
    """The weights of a difference or an adapter, once for all settings, in the files of extract_weights."""
    input:
        provenance=paths.PROVENANCE,
        models=models_of_change,
    output:
        attention=temp("results/weights/{model}/attention.safetensors"),
        mlp=temp("results/weights/{model}/mlp.safetensors"),
        unembed=temp("results/weights/{model}/unembed.safetensors"),
        gains=temp("results/weights/{model}/gains.safetensors"),
        steps=temp("results/weights/{model}/steps.safetensors"),
    log:
        "results/logs/extract_change/{model}.log",
    benchmark:
        "results/benchmarks/extract_change/{model}.tsv"
    wildcard_constraints:
        model=names_as_regex(CHANGES),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of_change,
        runtime=minutes(30, per_model_gb=20),
    params:
        sources=sources_of_change,
        matrices=matrices_of_change,
        code=code_hash("extract_change"),
    script:
        "../scripts/extract_change.py"


def weight_files(wildcards):
    """The weights of every model and setting of the sweep, for use elsewhere; of differences and adapters there are none."""
    places = [place for place in SWEEP.places if not SWEEP.is_change(place.model)]
    if not places:
        stop(
            "weights are those of models, and the sweep has just differences or adapters. Name a model in sweep.models."
        )
    return [paths.WEIGHTS.format(model=place.model, group=place.setting) for place in places]


rule process_weights:
    """All weights of a model as one setting wants them, for use outside svdlens."""
    input:
        attention="results/weights/{model}/attention.safetensors",
        mlp="results/weights/{model}/mlp.safetensors",
        unembed="results/weights/{model}/unembed.safetensors",
        provenance=paths.PROVENANCE,
    output:
        weights="results/weights/{model}/{setting}.safetensors",
    log:
        "results/logs/process_weights/{model}/{setting}.log",
    benchmark:
        "results/benchmarks/process_weights/{model}/{setting}.tsv"
    wildcard_constraints:
        model=names_as_regex(name for name in config["models"] if name not in CHANGES),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000, times_input=3),
        runtime=minutes(30, per_gb=10),
    params:
        switches=setting_switches,
        code=code_hash("process_weights"),
    script:
        "../scripts/process_weights.py"
