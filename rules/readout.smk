# From singular vectors to tokens.
#
# needs   results/svd/..., results/weights/{model}/{unembed,gains}.safetensors, results/vocabulary/{model}/tokens.parquet
# makes   results/varimax/...: the same subspaces in the basis in which scores of tokens are sparse, where it is asked for
#         results/by_switches/tokens/...: the highest scoring tokens of each direction in the residual stream, both signs,
#         through each read-out of the model, and of the controls; one file for all settings that share it
#         results/tokens/model=/setting=/{matrix}.parquet and results/controls/...: the same for one setting


def setting_lists(wildcards):
    return SWEEP.shared_path(paths.SHARED_TOKENS, setting_place(wildcards))


def first_readout(wildcards):
    return model_readouts(wildcards)[0]


rule rotate_directions:
    """The basis of each matrix's leading subspace that makes the scores of tokens sparse (varimax)."""
    input:
        svd=lists_svd,
        gains="results/weights/{model}/gains.safetensors",
        unembed="results/weights/{model}/unembed.safetensors",
        provenance=paths.PROVENANCE,
    output:
        varimax=paths.VARIMAX,
    log:
        "results/logs/rotate_directions/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.log",
    benchmark:
        "results/benchmarks/rotate_directions/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.tsv"
    conda:
        "../environment.yml"
    threads: 2
    resources:
        mem_mb=memory(2000, times_input=3),
        runtime=minutes(480),
    params:
        readout=first_readout,
        n_random=config["random_directions"],
        seed=config["seed"],
        code=code_hash("rotate_directions"),
    script:
        "../scripts/rotate_directions.py"


rule project_directions:
    """The directions of a sweep, and its controls, read as tokens. On a GPU: --set-resources project_directions:gpu=1"""
    input:
        svd=lists_svd,
        varimax=[paths.VARIMAX] if SWEEP.needs_varimax else [],
        gains="results/weights/{model}/gains.safetensors",
        unembed="results/weights/{model}/unembed.safetensors",
        tokens="results/vocabulary/{model}/tokens.parquet",
        parts=parts(paths.TOKENS_PART, "readout_parts"),
        provenance=paths.PROVENANCE,
    output:
        lists=paths.SHARED_TOKENS,
    log:
        "results/logs/project_directions/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.log",
    benchmark:
        "results/benchmarks/project_directions/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000, times_input=3),
        runtime=minutes(60, per_gb=120),
        gpu=0,
    params:
        readouts=model_readouts,
        basis=SWEEP.basis,
        controls=SWEEP.control_sizes,
        tokens=config["tokens"],
        seed=config["seed"],
        code=code_hash("project_directions"),
    script:
        "../scripts/project_directions.py"


rule view_tokens:
    """The token lists of one setting, and those of its controls."""
    input:
        lists=setting_lists,
    output:
        tokens=paths.TOKENS,
        controls=expand(paths.CONTROLS, control=SWEEP.controls, allow_missing=True),
    log:
        "results/logs/view_tokens/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/view_tokens/{model}/{setting}/{matrix}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=10),
        runtime=minutes(20),
    params:
        switches=setting_switches,
        controls=SWEEP.controls,
        code=code_hash("view_tokens"),
    script:
        "../scripts/view_tokens.py"
