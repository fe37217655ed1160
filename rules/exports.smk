# Directions for other tools, on request: `snakemake results/exports/{model}/{setting}/{matrix}_L{layer}[_H{head}]_{side}.json`.
#
# export_directions   the leading directions of one matrix on one side, both signs: a VectorSet of SAEDashboard (.json), and a
#                     table for spreadsheets (.csv)


rule export_directions:
    input:
        svd=svd_of,
        tokens="results/tokens/model={model}/setting={setting}/{matrix}.parquet",
        labels="results/labels/model={model}/setting={setting}/{matrix}.coherence.parquet",
    output:
        json="results/exports/{model}/{setting}/{matrix}_{place}_{side}.json",
        csv="results/exports/{model}/{setting}/{matrix}_{place}_{side}.csv",
    log:
        "results/logs/export_directions/{model}/{setting}/{matrix}_{place}_{side}.log",
    benchmark:
        "results/benchmarks/export_directions/{model}/{setting}/{matrix}_{place}_{side}.tsv"
    wildcard_constraints:
        place=r"L\d+(_H\d+)?",
        side="read|write|query|key",
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        layer=layer_of,
        head=head_of,
        directions=config["exports"]["directions"],
        code=code_hash("export_directions"),
    script:
        "../scripts/export_directions.py"
