# From singular vectors to tokens.
#
# project_directions   the highest scoring tokens of each direction in the residual stream, both signs, through each
#                      read-out of the model; and of controls through the same: random directions, rotations of the
#                      matrix's own singular vectors, Gaussian matrices
# derive_tokens        the same for a setting whose lists another setting has: vocab_center shifts scores at most


rule project_directions:
    input:
        svd=svd_of,
        weights=weights_of,
        unembed="results/weights/{model}/unembed.safetensors",
        provenance="results/models/{model}/provenance.json",
    output:
        tokens="results/tokens/model={model}/setting={setting}/{matrix}.parquet",
        random_unit="results/controls/model={model}/setting={setting}/{matrix}.random_unit.parquet",
        rotated="results/controls/model={model}/setting={setting}/{matrix}.rotated.parquet",
        gaussian="results/controls/model={model}/setting={setting}/{matrix}.gaussian.parquet",
    log:
        "results/logs/project_directions/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/project_directions/{model}/{setting}/{matrix}.tsv"
    wildcard_constraints:
        model=where_twin_is_itself(True),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=120,
        gpu=0,
    params:
        switches=switches_of,
        readouts=readouts_of,
        controls=CONTROLS,
        tokens=config["tokens"],
        n_random=config["random_directions"],
        seed=config["seed"],
        code=code_hash("project_directions"),
    script:
        "../scripts/project_directions.py"


rule derive_tokens:
    input:
        tokens=of_twin("results/tokens/model={model}/setting={setting}/{matrix}.parquet"),
        random_unit=of_twin("results/controls/model={model}/setting={setting}/{matrix}.random_unit.parquet"),
        rotated=of_twin("results/controls/model={model}/setting={setting}/{matrix}.rotated.parquet"),
        gaussian=of_twin("results/controls/model={model}/setting={setting}/{matrix}.gaussian.parquet"),
        provenance="results/models/{model}/provenance.json",
    output:
        tokens="results/tokens/model={model}/setting={setting}/{matrix}.parquet",
        random_unit="results/controls/model={model}/setting={setting}/{matrix}.random_unit.parquet",
        rotated="results/controls/model={model}/setting={setting}/{matrix}.rotated.parquet",
        gaussian="results/controls/model={model}/setting={setting}/{matrix}.gaussian.parquet",
    log:
        "results/logs/derive_tokens/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/derive_tokens/{model}/{setting}/{matrix}.tsv"
    wildcard_constraints:
        model=where_twin_is_itself(False),
    conda:
        "../environment.yml"
    resources:
        mem_mb=6000,
        runtime=20,
    params:
        switches=switches_of,
        shift=shifted_from_twin,
        code=code_hash("derive_tokens"),
    script:
        "../scripts/derive_tokens.py"
