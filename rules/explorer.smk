# A page to look around in, over the tables of the sweep; it opens from disk, without a server or a network.
#
# needs   results/{spectra,tokens,controls,labels}/..., results/by_switches/labels/..., results/tables/fractions.parquet
# makes   results/explorer: index.html, static/ (the page) and data/ (shards that it loads as they are needed)

#
# Examples (rules/activations.smk) are made on request, and are on the page where they are.

WITH_EXAMPLES = [place for place in predicting_places() if Path(paths.EXAMPLES.format(**place)).exists()]


rule build_explorer:
    """The explorer: results/explorer/index.html."""
    input:
        static=[local(project_path(path)) for path in sorted((PROJECT / "resources/explorer").glob("*"))],
        spectra=SWEEP.over_places(paths.SPECTRA),
        tokens=SWEEP.over_places(paths.TOKENS),
        random=SWEEP.over_places(paths.CONTROLS.replace("{control}", "random_unit")),
        labels=SWEEP.over_labels(paths.LABELS),
        random_labels=shared_files(paths.SHARED_LABELS, LABELLED_WITH_CONTROLS),
        fractions="results/tables/fractions.parquet",
        examples=[paths.EXAMPLES.format(**place) for place in WITH_EXAMPLES],
    output:
        index="results/explorer/index.html",
        static=directory("results/explorer/static"),
        data=directory("results/explorer/data"),
    log:
        "results/logs/build_explorer/build_explorer.log",
    benchmark:
        "results/benchmarks/build_explorer/build_explorer.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        places=SWEEP.places,
        with_examples=[(place["model"], place["setting"]) for place in WITH_EXAMPLES],
        labelled=LABELLED,
        random_labelled=LABELLED_WITH_CONTROLS,
        code=code_hash("build_explorer"),
    script:
        "../scripts/build_explorer.py"
