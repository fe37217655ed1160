# Directions for other tools, on request: `snakemake results/exports/{model}/{setting}/{matrix}_L{layer}[_H{head}]_{side}.json`.
#
# needs   results/svd/... or results/varimax/..., results/tokens/..., results/labels/..., results/models/{model}
# makes   a VectorSet of SAEDashboard (.json), and a table for spreadsheets (.csv), of the leading directions of one matrix on
#         one side, both signs

from svdlens.sweep.asked_files import check_shape, check_swept, exported_matrix


def exported(wildcards):
    """The side of a matrix that a file is of."""
    try:
        return exported_matrix(wildcards.export)
    except SvdlensError as error:
        stop(f"no such file: {error}")


def export_place(wildcards):
    matrix = exported(wildcards)
    place = checked_place(wildcards.model, wildcards.setting, matrix.matrix)
    try:
        check_swept(SWEEP, place.model, matrix)
        fetched = Path(paths.PROVENANCE.format(model=place.model)).parent
        check_shape(place.model, config["models"][place.model], BUNDLED, fetched, matrix)
    except SvdlensError as error:
        stop(f"no such file: {error}")
    return place


def export_tokens(wildcards):
    return paths.TOKENS.format(**export_place(wildcards)._asdict())


def export_labels(wildcards):
    """The labels by the labeller that figures draw; where that has lists of its own, by the first that has none."""
    own = [name for name in [SWEEP.figure_labeller, *SWEEP.labellers] if not LABELLERS[name].lists]
    return [paths.LABELS.format(labeller=name, **export_place(wildcards)._asdict()) for name in own[:1]]


def export_vectors(wildcards):
    """The file with the vectors of the sweep's directions."""
    place = export_place(wildcards)
    return SWEEP.svd_path(paths.SVD, place) if SWEEP.basis == "svd" else SWEEP.shared_path(paths.VARIMAX, place)


def shared_norm(wildcards):
    """Whether attention and MLPs of the model read what one norm gives."""
    return SWEEP.architecture(wildcards.model).shared_norm


rule export_directions:
    """The leading directions of one matrix on one side, for other tools."""
    input:
        vectors=export_vectors,
        tokens=export_tokens,
        labels=export_labels,
        provenance=paths.PROVENANCE,
    output:
        json="results/exports/{model}/{setting}/{export}.json",
        csv="results/exports/{model}/{setting}/{export}.csv",
    log:
        "results/logs/export_directions/{model}/{setting}/{export}.log",
    benchmark:
        "results/benchmarks/export_directions/{model}/{setting}/{export}.tsv"
    wildcard_constraints:
        # Any name: the input functions say what is missing in it.
        export="[^/]+",
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=5),
        runtime=minutes(10),
    params:
        exported=exported,
        directions=config["exports"]["directions"],
        switches=setting_switches,
        basis=SWEEP.basis,
        shared_norm=shared_norm,
        code=code_hash("export_directions"),
    script:
        "../scripts/export_directions.py"
