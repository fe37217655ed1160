# From tokens to labels and to tables of the whole sweep.
#
# embed_vocabulary   a sentence embedding of every token text, and the classes it is in, once for each model
# label_directions   the labeller coherence: evidence that the tokens of a list belong together, against two nulls of its
#                    read-out; the controls are labelled the same way
# derive_labels      the same for a setting whose lists, and so their labels, another setting has
# collect_tables     results/tables: everything in one file of each kind, and the fractions interpretable


rule embed_vocabulary:
    input:
        provenance="results/models/{model}/provenance.json",
        token_counts=token_counts_of,
        words=LEXICON["words"],
        concepts=LEXICON["concepts"],
        irregular_forms=LEXICON["irregular_forms"],
    output:
        embeddings="results/embeddings/{model}.safetensors",
        classes="results/embeddings/{model}.classes.parquet",
    log:
        "results/logs/embed_vocabulary/{model}.log",
    benchmark:
        "results/benchmarks/embed_vocabulary/{model}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code_hash("embed_vocabulary"),
    script:
        "../scripts/embed_vocabulary.py"


rule label_directions:
    input:
        tokens="results/tokens/model={model}/setting={setting}/{matrix}.parquet",
        random_unit="results/controls/model={model}/setting={setting}/{matrix}.random_unit.parquet",
        rotated="results/controls/model={model}/setting={setting}/{matrix}.rotated.parquet",
        gaussian="results/controls/model={model}/setting={setting}/{matrix}.gaussian.parquet",
        embeddings="results/embeddings/{model}.safetensors",
        classes="results/embeddings/{model}.classes.parquet",
        provenance="results/models/{model}/provenance.json",
    output:
        labels="results/labels/model={model}/setting={setting}/{matrix}.coherence.parquet",
        random_unit="results/controls/model={model}/setting={setting}/{matrix}.random_unit.coherence.parquet",
        rotated="results/controls/model={model}/setting={setting}/{matrix}.rotated.coherence.parquet",
        gaussian="results/controls/model={model}/setting={setting}/{matrix}.gaussian.coherence.parquet",
    log:
        "results/logs/label_directions/{model}/{setting}/{matrix}.coherence.log",
    benchmark:
        "results/benchmarks/label_directions/{model}/{setting}/{matrix}.coherence.tsv"
    wildcard_constraints:
        model=where_twin_is_itself(True),
    conda:
        "../environment.yml"
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        level=config["labellers"]["coherence"]["level"],
        seed=config["seed"],
        choice=labelled_choice("coherence"),
        controls=CONTROLS,
        switches=switches_of,
        code=code_hash("label_directions"),
    script:
        "../scripts/label_directions.py"


rule derive_labels:
    input:
        labels=of_twin("results/labels/model={model}/setting={setting}/{matrix}.coherence.parquet"),
        random_unit=of_twin("results/controls/model={model}/setting={setting}/{matrix}.random_unit.coherence.parquet"),
        rotated=of_twin("results/controls/model={model}/setting={setting}/{matrix}.rotated.coherence.parquet"),
        gaussian=of_twin("results/controls/model={model}/setting={setting}/{matrix}.gaussian.coherence.parquet"),
    output:
        labels="results/labels/model={model}/setting={setting}/{matrix}.coherence.parquet",
        random_unit="results/controls/model={model}/setting={setting}/{matrix}.random_unit.coherence.parquet",
        rotated="results/controls/model={model}/setting={setting}/{matrix}.rotated.coherence.parquet",
        gaussian="results/controls/model={model}/setting={setting}/{matrix}.gaussian.coherence.parquet",
    log:
        "results/logs/derive_labels/{model}/{setting}/{matrix}.coherence.log",
    benchmark:
        "results/benchmarks/derive_labels/{model}/{setting}/{matrix}.coherence.tsv"
    wildcard_constraints:
        model=where_twin_is_itself(False),
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        switches=switches_of,
        code=code_hash("derive_labels"),
    script:
        "../scripts/derive_labels.py"


rule collect_tables:
    input:
        spectra=over_sweep("results/spectra/model={model}/setting={setting}/{matrix}.parquet"),
        tokens=over_sweep("results/tokens/model={model}/setting={setting}/{matrix}.parquet"),
        labels=over_labels("results/labels/model={model}/setting={setting}/{matrix}.{labeller}.parquet", LABELLERS),
        control_labels=over_labels(
            "results/controls/model={model}/setting={setting}/{matrix}.random_unit.{labeller}.parquet", WITH_CONTROLS
        ),
    output:
        spectra="results/tables/spectra.parquet",
        tokens="results/tables/tokens.parquet",
        labels="results/tables/labels.parquet",
        fractions="results/tables/fractions.parquet",
    log:
        "results/logs/collect_tables/collect_tables.log",
    benchmark:
        "results/benchmarks/collect_tables/collect_tables.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        sweep=models_and_settings,
        labelled=models_settings_labellers,
        labelling_rules=LABELLING_RULES,
        with_controls=WITH_CONTROLS,
        code=code_hash("collect_tables"),
    script:
        "../scripts/collect_tables.py"
