# From raw weights to singular values and vectors.
#
# decompose_matrices   left, values, right of all matrices of one kind; one file for all settings that share it: the
#                      path has just the switches that touch the matrix, the others are off
#                      with how stable each vector is under noise and in float32. On a GPU with
#                      `--set-resources decompose_matrices:gpu=1`
# tabulate_spectra     every singular value with energy, gap, block, sign margin and stability, one table for a setting


rule decompose_matrices:
    input:
        weights=weights_of,
    output:
        svd="results/svd/model={model}/read_gain={read_gain}/read_center={read_center}/write_center={write_center}/{matrix}.safetensors",
    log:
        "results/logs/decompose_matrices/{model}/{read_gain}_{read_center}_{write_center}_{matrix}.log",
    benchmark:
        "results/benchmarks/decompose_matrices/{model}/{read_gain}_{read_center}_{write_center}_{matrix}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=120,
        gpu=0,
    params:
        directions=config["directions"],
        weight_noise=config["weight_noise"],
        seed=config["seed"],
        code=code_hash("decompose_matrices"),
    script:
        "../scripts/decompose_matrices.py"


rule tabulate_spectra:
    input:
        svd=svd_of,
        provenance="results/models/{model}/provenance.json",
    output:
        spectra="results/spectra/model={model}/setting={setting}/{matrix}.parquet",
    log:
        "results/logs/tabulate_spectra/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/tabulate_spectra/{model}/{setting}/{matrix}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        block_tolerance=config["block_tolerance"],
        switches=switches_of,
        code=code_hash("tabulate_spectra"),
    script:
        "../scripts/tabulate_spectra.py"
