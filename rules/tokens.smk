# From singular vectors to tokens.
#
# project_directions   the highest scoring tokens of each direction in the residual stream, both signs, through each
#                      read-out of the model; and of random unit directions through the same, the control of every
#                      fraction


rule project_directions:
    input:
        svd=svd_of,
        unembed="results/weights/{model}/unembed.safetensors",
        provenance="results/models/{model}/provenance.json",
    output:
        tokens="results/tokens/model={model}/setting={setting}/{matrix}.parquet",
        random_unit="results/controls/model={model}/setting={setting}/{matrix}.random_unit.parquet",
    log:
        "results/logs/project_directions/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/project_directions/{model}/{setting}/{matrix}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=120,
    params:
        switches=switches_of,
        readouts=readouts_of,
        tokens=config["tokens"],
        n_random=config["random_directions"],
        seed=config["seed"],
        code=code_hash("project_directions"),
    script:
        "../scripts/project_directions.py"
