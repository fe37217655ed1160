# From a name in the catalogue to raw weights.
#
# fetch_model       the only rule but fetch_published that may use the network: results/models/{model}/ with provenance.json, which is
#                   written last and stands for the whole directory
# extract_weights   one file each for attention, MLP and unembedding, float32, TransformerLens' shapes; no setting yet
# process_weights   all weights as one setting wants them, for use outside svdlens (`snakemake weights`)


# Runs where snakemake was started: the nodes of many clusters have no network.
localrules:
    fetch_model,


rule fetch_model:
    input:
        source=model_files,
    output:
        provenance="results/models/{model}/provenance.json",
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
    input:
        provenance="results/models/{model}/provenance.json",
    output:
        attention=temp("results/weights/{model}/attention.safetensors"),
        mlp=temp("results/weights/{model}/mlp.safetensors"),
        unembed=temp("results/weights/{model}/unembed.safetensors"),
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
        switches=switches_of,
        code=code_hash("process_weights"),
    script:
        "../scripts/process_weights.py"
