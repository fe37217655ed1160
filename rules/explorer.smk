# A page to look around in, over the tables of the sweep; it opens from disk, without a server or a network.
#
# build_explorer   results/explorer: index.html, static/ (the page) and data/ (shards that it loads as they are needed)


rule build_explorer:
    input:
        static=sorted(os.path.relpath(path) for path in (PROJECT / "resources/explorer").glob("*")),
        spectra=over_sweep("results/spectra/model={model}/setting={setting}/{matrix}.parquet"),
        tokens=over_sweep("results/tokens/model={model}/setting={setting}/{matrix}.parquet"),
        controls=over_sweep("results/controls/model={model}/setting={setting}/{matrix}.random_unit.parquet"),
        labels=over_labels("results/labels/model={model}/setting={setting}/{matrix}.{labeller}.parquet", LABELLERS),
        control_labels=over_labels(
            "results/controls/model={model}/setting={setting}/{matrix}.random_unit.{labeller}.parquet", WITH_CONTROLS
        ),
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
        sweep=models_and_settings,
        labelled=models_settings_labellers,
        with_controls=WITH_CONTROLS,
        code=code_hash("build_explorer"),
    script:
        "../scripts/build_explorer.py"
