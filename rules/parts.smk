# Decompositions and read-outs cut into several jobs by layer, where the configuration asks for it (svd_parts, readout_parts):
# for models of which one job would take longer than a queue allows. decompose_matrices, measure_stability and
# project_directions join them to the same bytes.
#
# needs   results/weights/{model}/*.safetensors; of read-outs results/svd/..., results/vocabulary/{model}/tokens.parquet
# makes   results/svd_parts/...: singular values and vectors of some of the layers
#         results/stability_parts/...: the stability of theirs
#         results/token_parts/...: their directions as tokens


wildcard_constraints:
    part=r"\d+",
    parts=r"\d+",


rule decompose_part:
    """Singular values and vectors of some of the layers. On a GPU: --set-resources decompose_part:gpu=1"""
    input:
        weights=matrix_weights,
    output:
        svd=temp(paths.SVD_PART),
    log:
        "results/logs/decompose_part/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}_{part}_of_{parts}.log",
    benchmark:
        "results/benchmarks/decompose_part/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}_{part}_of_{parts}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000, times_input=1.5),
        runtime=minutes(60, per_gb=60),
        gpu=0,
    params:
        directions=config["directions"],
        numbers=matrix_numbers,
        code=code_hash("decompose_part"),
    script:
        "../scripts/decompose_part.py"


rule measure_part:
    """What noise on the weights, and float32 arithmetic, do to the singular vectors of some of the layers."""
    input:
        weights=matrix_weights,
        steps="results/weights/{model}/steps.safetensors",
    output:
        stability=temp(paths.STABILITY_PART),
    log:
        "results/logs/measure_part/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}_{part}_of_{parts}.log",
    benchmark:
        "results/benchmarks/measure_part/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}_{part}_of_{parts}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000, times_input=1.5),
        runtime=minutes(60, per_gb=60),
        gpu=0,
    params:
        directions=config["directions"],
        numbers=matrix_numbers,
        weight_noise=config["weight_noise"],
        code=code_hash("measure_part"),
    script:
        "../scripts/measure_part.py"


rule project_part:
    """The directions of some of the layers, read as tokens. On a GPU: --set-resources project_part:gpu=1"""
    input:
        svd=lists_svd,
        varimax=[paths.VARIMAX] if SWEEP.needs_varimax else [],
        gains="results/weights/{model}/gains.safetensors",
        unembed="results/weights/{model}/unembed.safetensors",
        tokens="results/vocabulary/{model}/tokens.parquet",
    output:
        lists=temp(paths.TOKENS_PART),
    log:
        "results/logs/project_part/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}_{part}_of_{parts}.log",
    benchmark:
        "results/benchmarks/project_part/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}_{part}_of_{parts}.tsv"
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
        code=code_hash("project_part"),
    script:
        "../scripts/project_part.py"
