# The whole sweep in one file of each kind, results/tables/{table}.parquet, with model and setting as columns.
#
# needs   results/{spectra,tokens,labels}/..., results/by_switches/...
# makes   results/tables/{spectra,tokens,labels,control_labels,fractions,scores,agreement}.parquet, one rule each
#         results/tables/files.csv: the files of the data sets that belong to the sweep
#         results/tables/findings.md: where the lists of each model exceed those of random directions most

from svdlens.sweep.stale import data_set_files

LABELLED = SWEEP.labelled_places
LABELLED_WITH_CONTROLS = [place for place in LABELLED if place.labeller in SWEEP.with_controls()]


def shared_files(pattern, places):
    """The file of each place, the same for equivalent settings."""
    return [SWEEP.shared_path(pattern, place) for place in places]


rule list_files:
    """The files of results/{spectra,tokens,controls,labels} that the sweep makes; others are of other configurations."""
    output:
        csv="results/tables/files.csv",
    log:
        "results/logs/list_files/list_files.log",
    benchmark:
        "results/benchmarks/list_files/list_files.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    params:
        files=data_set_files(SWEEP),
        code=code_hash("list_files"),
    script:
        "../scripts/list_files.py"


rule collect_spectra:
    """Every singular value of the sweep."""
    input:
        spectra=SWEEP.over_places(paths.SPECTRA),
    output:
        spectra="results/tables/spectra.parquet",
    log:
        "results/logs/collect_spectra/collect_spectra.log",
    benchmark:
        "results/benchmarks/collect_spectra/collect_spectra.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(30),
    params:
        places=SWEEP.places,
        code=code_hash("collect_spectra"),
    script:
        "../scripts/collect_spectra.py"


rule collect_tokens:
    """Every token list of the sweep."""
    input:
        tokens=SWEEP.over_places(paths.TOKENS),
    output:
        tokens="results/tables/tokens.parquet",
    log:
        "results/logs/collect_tokens/collect_tokens.log",
    benchmark:
        "results/benchmarks/collect_tokens/collect_tokens.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(30, per_gb=60),
    params:
        places=SWEEP.places,
        code=code_hash("collect_tokens"),
    script:
        "../scripts/collect_tokens.py"


rule collect_labels:
    """Every label of the sweep."""
    input:
        labels=SWEEP.over_labels(paths.LABELS),
    output:
        labels="results/tables/labels.parquet",
    log:
        "results/logs/collect_labels/collect_labels.log",
    benchmark:
        "results/benchmarks/collect_labels/collect_labels.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(30, per_gb=60),
    params:
        places=LABELLED,
        code=code_hash("collect_labels"),
    script:
        "../scripts/collect_labels.py"


rule collect_control_labels:
    """Every label of a control in the sweep."""
    input:
        labels=shared_files(paths.SHARED_LABELS, LABELLED_WITH_CONTROLS),
    output:
        control_labels="results/tables/control_labels.parquet",
    log:
        "results/logs/collect_control_labels/collect_control_labels.log",
    benchmark:
        "results/benchmarks/collect_control_labels/collect_control_labels.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(30, per_gb=60),
    params:
        places=LABELLED_WITH_CONTROLS,
        code=code_hash("collect_control_labels"),
    script:
        "../scripts/collect_control_labels.py"


rule collect_fractions:
    """The fractions interpretable, with their intervals and controls."""
    input:
        labels=shared_files(paths.SHARED_LABELS, LABELLED),
    output:
        fractions="results/tables/fractions.parquet",
    log:
        "results/logs/collect_fractions/collect_fractions.log",
    benchmark:
        "results/benchmarks/collect_fractions/collect_fractions.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(30, per_gb=600),
    params:
        places=LABELLED,
        criteria={labeller: SWEEP.criteria(labeller) for labeller in SWEEP.labellers},
        code=code_hash("collect_fractions"),
    script:
        "../scripts/collect_fractions.py"


rule collect_scores:
    """How labels of the sweep do in tests."""
    input:
        scores=shared_files(paths.SHARED_SCORES, LABELLED),
    output:
        scores="results/tables/scores.parquet",
    log:
        "results/logs/collect_scores/collect_scores.log",
    benchmark:
        "results/benchmarks/collect_scores/collect_scores.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(30),
    params:
        places=LABELLED,
        code=code_hash("collect_scores"),
    script:
        "../scripts/collect_scores.py"


rule collect_agreement:
    """How far labellers of the sweep agree."""
    input:
        agreement=shared_files(paths.SHARED_AGREEMENT, LABELLED),
    output:
        agreement="results/tables/agreement.parquet",
    log:
        "results/logs/collect_agreement/collect_agreement.log",
    benchmark:
        "results/benchmarks/collect_agreement/collect_agreement.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(30),
    params:
        places=LABELLED,
        code=code_hash("collect_agreement"),
    script:
        "../scripts/collect_agreement.py"


rule list_findings:
    """Say in sentences where the lists of each model exceed those of random directions most."""
    input:
        fractions="results/tables/fractions.parquet",
    output:
        findings="results/tables/findings.md",
    log:
        "results/logs/list_findings/list_findings.log",
    benchmark:
        "results/benchmarks/list_findings/list_findings.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(5),
    params:
        labeller=SWEEP.figure_labeller,
        criterion=SWEEP.criteria(SWEEP.figure_labeller)[0],
        n=3,
        code=code_hash("list_findings"),
    script:
        "../scripts/list_findings.py"
