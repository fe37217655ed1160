# How good labels are, without activations (docs/design.md, Scores and agreement).
#
# score_labels        do labels fit the tokens that they were given to, and how often are random directions labelled;
#                     one job, which embeds every label once and then takes one model at a time
# compare_labellers   each labeller beside the frequency of tokens, and each two of them beside each other


rule score_labels:
    input:
        labels=over_labels("results/labels/model={model}/setting={setting}/{matrix}.{labeller}.parquet", LABELLERS),
        lists=labelled_lists(),
        control_labels=over_labels(
            "results/controls/model={model}/setting={setting}/{matrix}.random_unit.{labeller}.parquet", WITH_CONTROLS
        ),
        provenance=over_sweep("results/models/{model}/provenance.json"),
        embeddings=over_sweep("results/embeddings/{model}.safetensors"),
        classes=over_sweep("results/embeddings/{model}.classes.parquet"),
    output:
        scores="results/tables/scores.parquet",
    log:
        "results/logs/score_labels/score_labels.log",
    benchmark:
        "results/benchmarks/score_labels/score_labels.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        models=SWEEP["models"],
        labelled=labelled_places,
        twins=twins_of_labelled,
        with_controls=WITH_CONTROLS,
        level=config["labellers"]["coherence"]["level"],
        seed=config["seed"],
        code=code_hash("score_labels"),
    script:
        "../scripts/score_labels.py"


rule compare_labellers:
    input:
        labels=over_labels("results/labels/model={model}/setting={setting}/{matrix}.{labeller}.parquet", LABELLERS),
    output:
        agreement="results/tables/agreement.parquet",
    log:
        "results/logs/compare_labellers/compare_labellers.log",
    benchmark:
        "results/benchmarks/compare_labellers/compare_labellers.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        labelled=labelled_places,
        seed=config["seed"],
        code=code_hash("compare_labellers"),
    script:
        "../scripts/compare_labellers.py"
