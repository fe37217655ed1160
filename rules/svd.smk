# From raw weights to singular values and vectors.
#
# needs   results/weights/{model}/{attention,mlp,steps}.safetensors
# makes   results/svd/model=/read_gain=/read_center=/write_center=/{matrix}.safetensors: left, values, right of all
#         matrices of one kind; one file for all settings that share it, since switches that the matrix ignores are off
#         results/stability/...: what noise and float32 do to each vector, where the configuration asks for it
#         results/spectra/model=/setting=/{matrix}.parquet: every singular value


def matrix_weights(wildcards):
    group = MATRIX_KINDS[wildcards.matrix].weight_group
    return paths.WEIGHTS.format(model=wildcards.model, group=group)


def matrix_numbers(wildcards):
    """The layers, and of attention matrices the heads, that are decomposed, where not all are."""
    return SWEEP.numbers(wildcards.model, wildcards.matrix)


def setting_svd(wildcards):
    return SWEEP.svd_path(paths.SVD, setting_place(wildcards))


def setting_stability(wildcards):
    """The stability of a setting's vectors; nothing where it is not measured, as of differences and adapters: the noise
    is that of a weight, of which they are a small part."""
    if not config["stability"] or SWEEP.is_change(wildcards.model):
        return []
    return [SWEEP.svd_path(paths.STABILITY, setting_place(wildcards))]


def parts(pattern, key="svd_parts"):
    """The files of all parts, of which the configuration says under `key` how many; none where one job does the whole."""
    n = config[key]
    return expand(pattern, part=range(1, n + 1), parts=n, allow_missing=True) if n > 1 else []


rule decompose_matrices:
    """Singular values and vectors of all matrices of one kind. On a GPU: --set-resources decompose_matrices:gpu=1"""
    input:
        weights=matrix_weights,
        parts=parts(paths.SVD_PART),
        provenance=paths.PROVENANCE,
    output:
        svd=paths.SVD,
    log:
        "results/logs/decompose_matrices/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.log",
    benchmark:
        "results/benchmarks/decompose_matrices/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.tsv"
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
        code=code_hash("decompose_matrices"),
    script:
        "../scripts/decompose_matrices.py"


rule measure_stability:
    """What noise on the weights, and float32 arithmetic, do to each singular vector."""
    input:
        weights=matrix_weights,
        steps="results/weights/{model}/steps.safetensors",
        parts=parts(paths.STABILITY_PART),
        provenance=paths.PROVENANCE,
    output:
        stability=paths.STABILITY,
    log:
        "results/logs/measure_stability/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.log",
    benchmark:
        "results/benchmarks/measure_stability/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.tsv"
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
        code=code_hash("measure_stability"),
    script:
        "../scripts/measure_stability.py"


rule tabulate_spectra:
    """Every singular value of a setting with energy, gap, cluster, sign margin and stability."""
    input:
        svd=setting_svd,
        stability=setting_stability,
        provenance=paths.PROVENANCE,
    output:
        spectra=paths.SPECTRA,
    log:
        "results/logs/tabulate_spectra/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/tabulate_spectra/{model}/{setting}/{matrix}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=1.5),
        runtime=minutes(20),
    params:
        cluster_tolerance=config["cluster_tolerance"],
        switches=setting_switches,
        code=code_hash("tabulate_spectra"),
    script:
        "../scripts/tabulate_spectra.py"
