# Directions for other tools, on request: `snakemake results/exports/{model}/{setting}/{matrix}_L{layer}[_H{head}]_{side}.json`.
#
# needs   results/svd/... or results/varimax/..., results/tokens/..., results/labels/..., results/models/{model}
# makes   a VectorSet of SAEDashboard (.json), and a table for spreadsheets (.csv), of the leading directions of one matrix on
#         one side, both signs


def export_layer(wildcards):
    return int(wildcards.where.split("_")[0].removeprefix("L"))


def export_head(wildcards):
    return int(wildcards.where.split("_H")[1]) if "_H" in wildcards.where else None


def export_labels(wildcards):
    """The labels by the labeller that figures draw; where that has lists of its own, by the first that has none."""
    own = [name for name in [SWEEP.figure_labeller, *SWEEP.labellers] if not LABELLERS[name].lists]
    return [paths.LABELS.format(labeller=name, **setting_place(wildcards)._asdict()) for name in own[:1]]


def export_vectors(wildcards):
    """The file with the vectors of the sweep's directions."""
    place = setting_place(wildcards)
    return SWEEP.svd_path(paths.SVD, place) if SWEEP.basis == "svd" else SWEEP.shared_path(paths.VARIMAX, place)


rule export_directions:
    """The leading directions of one matrix on one side, for other tools."""
    input:
        vectors=export_vectors,
        tokens=paths.TOKENS,
        labels=export_labels,
        provenance=paths.PROVENANCE,
    output:
        json="results/exports/{model}/{setting}/{matrix}_{where}_{side}.json",
        csv="results/exports/{model}/{setting}/{matrix}_{where}_{side}.csv",
    log:
        "results/logs/export_directions/{model}/{setting}/{matrix}_{where}_{side}.log",
    benchmark:
        "results/benchmarks/export_directions/{model}/{setting}/{matrix}_{where}_{side}.tsv"
    wildcard_constraints:
        where=r"L\d+(_H\d+)?",
        side="|".join(SIDES),
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        layer=export_layer,
        head=export_head,
        directions=config["exports"]["directions"],
        switches=setting_switches,
        basis=SWEEP.basis,
        code=code_hash("export_directions"),
    script:
        "../scripts/export_directions.py"
