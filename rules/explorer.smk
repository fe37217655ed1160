# A page to look around in, over the tables of the sweep; it opens from disk, without a server or a network.
#
# needs   results/{spectra,tokens,controls,labels}/..., results/by_switches/labels/..., results/tables/fractions.parquet
#         results/effects/... where they are there
# makes   results/explorer: index.html, static/ (the page) and data/ (shards that it loads as they are needed)

# Effects are shown where someone has measured them, by their content, and are no inputs: `all` measures none, and does not
# measure again what was measured with another text or metric.
EFFECT_PATHS = [(place, paths.EFFECTS.format(**place._asdict())) for place in SWEEP.effect_places]
MEASURED = [(place, path, content_digest(Path(path))) for place, path in EFFECT_PATHS if Path(path).exists()]


rule build_explorer:
    """The explorer: results/explorer/index.html."""
    input:
        static=sorted(project_path(path) for path in (PROJECT / "resources/explorer").glob("*")),
        spectra=SWEEP.over_places(paths.SPECTRA),
        tokens=SWEEP.over_places(paths.TOKENS),
        random=SWEEP.over_places(paths.CONTROLS.replace("{control}", "random_unit")),
        labels=SWEEP.over_labels(paths.LABELS),
        random_labels=shared_files(paths.SHARED_LABELS, LABELLED_WITH_CONTROLS),
        fractions="results/tables/fractions.parquet",
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
        labelled=LABELLED,
        random_labelled=LABELLED_WITH_CONTROLS,
        effects=MEASURED,
        code=code_hash("build_explorer"),
    script:
        "../scripts/build_explorer.py"
