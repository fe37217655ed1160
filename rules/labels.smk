# From tokens to labels, by any labeller of labels/registry.py.
#
# needs   results/by_switches/tokens/..., results/vocabulary/{model}/..., and the files that the labeller's entry names
# makes   results/by_switches/labels/...: what it says of the lists of singular directions and of controls; one file for
#         all settings that share it
#         results/labels/model=/setting=/{matrix}.{labeller}.parquet: the same for one setting


def label_inputs(wildcards):
    """The files that a labeller needs, by name: its own, and but for one with lists of its own those of the sweep."""
    entry = LABELLERS[wildcards.labeller]
    patterns = dict(entry.files)
    if entry.asks:
        patterns["answers"] = paths.SHARED_ANSWERS
    if not entry.lists:
        patterns |= {
            "lists": paths.SHARED_TOKENS,
            "features": "results/vocabulary/{model}/features.parquet",
            "classes": "results/vocabulary/{model}/classes.parquet",
            "provenance": paths.PROVENANCE,
        }
    return {name: pattern.format(**wildcards) for name, pattern in patterns.items()}


def label_code(wildcards):
    return code_hash("label_directions", LABELLERS[wildcards.labeller].module)


def labelled_rows(wildcards):
    return SWEEP.labelled_rows(wildcards.labeller)


def labeller_parameters(wildcards):
    return SWEEP.labeller_parameters(wildcards.labeller)


def answers_source(wildcards, output):
    """Where the published answers come from, of the labeller that is them."""
    return published_source(wildcards, output) if wildcards.labeller == "published" else {}


def setting_labels(wildcards):
    place = setting_place(wildcards)
    try:
        check_labelled_place(SWEEP, place, wildcards.labeller)
    except SvdlensError as error:
        stop(f"no such file: {error}")
    return SWEEP.shared_path(paths.SHARED_LABELS, LabelledPlace(*place, wildcards.labeller))


rule label_directions:
    """What a labeller says of the token lists of one kind of matrix, and of its controls."""
    input:
        unpack(label_inputs),
    output:
        labels=paths.SHARED_LABELS,
    log:
        "results/logs/label_directions/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.{labeller}.log",
    benchmark:
        "results/benchmarks/label_directions/{model}/{read_gain}_{read_center}_{write_center}_{unembed_gain}_{unembed_center}_{vocab_center}_{matrix}.{labeller}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=10),
        runtime=minutes(60, per_gb=300),
    params:
        parameters=labeller_parameters,
        source=answers_source,
        choice=labelled_rows,
        seed=config["seed"],
        code=label_code,
    script:
        "../scripts/label_directions.py"


rule view_labels:
    """The labels of one setting."""
    input:
        labels=setting_labels,
    output:
        labels=paths.LABELS,
    log:
        "results/logs/view_labels/{model}/{setting}/{matrix}.{labeller}.log",
    benchmark:
        "results/benchmarks/view_labels/{model}/{setting}/{matrix}.{labeller}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=10),
        runtime=minutes(20),
    params:
        switches=setting_switches,
        code=code_hash("view_labels"),
    script:
        "../scripts/view_labels.py"
