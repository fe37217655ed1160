# A page to look around in, over the tables of the sweep; it opens from disk, without a server or a network.
#
# needs   results/{spectra,tokens,controls,labels}/..., results/by_switches/labels/..., results/tables/fractions.parquet,
#         and where some lists have several labellers, results/tables/agreement.parquet
#         results/{effects,examples}/... where they are there
# makes   results/explorer: index.html, static/ (the page) and data/ (shards that it loads as they are needed)


# Effects and examples are shown where someone has made them, by their content, and are no inputs: `all` makes none, and does
# not make again what was made of another text or metric.
def made_places(places, pattern):
    """Of these places those of which there is a file, each with its path and what it says."""
    files = [(place, pattern.format(**place._asdict())) for place in places]
    return [(place, path, content_digest(Path(path))) for place, path in files if Path(path).exists()]


SEVERAL_LABELLERS = len(LABELLED) > len({place[:3] for place in LABELLED})


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
        agreement=["results/tables/agreement.parquet"] if SEVERAL_LABELLERS else [],
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
        mem_mb=memory(3000, times_input=5),
        runtime=minutes(30, per_gb=60),
    params:
        places=SWEEP.places,
        labelled=LABELLED,
        random_labelled=LABELLED_WITH_CONTROLS,
        effects=made_places(SWEEP.effect_places, paths.EFFECTS),
        examples=made_places(SWEEP.places, paths.EXAMPLES),
        code=code_hash("build_explorer"),
    script:
        "../scripts/build_explorer.py"
