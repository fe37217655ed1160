# svdlens: singular value decompositions of transformer weights, read as tokens. The stages are in rules/, one file each,
# the science in scripts/svdlens. docs/architecture.md shows where things are.
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.current_basedir.get_path_or_uri(secret_free=True)}/config.yaml"


include: "rules/common.smk"
include: "rules/start.smk"
include: "rules/models.smk"
include: "rules/svd.smk"
include: "rules/parts.smk"
include: "rules/vocabulary.smk"
include: "rules/readout.smk"
include: "rules/labels.smk"
include: "rules/published.smk"
include: "rules/lists.smk"
include: "rules/llm.smk"
include: "rules/manual.smk"
include: "rules/evaluation.smk"
include: "rules/trace.smk"
include: "rules/edits.smk"
include: "rules/activations.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/explorer.smk"
include: "rules/export.smk"
include: "rules/effects.smk"
include: "rules/prompt_study.smk"
include: "rules/benchmarks.smk"
include: "rules/targets.smk"


rule all:
    """Everything of the sweep: tables, figures, the pages of the report, the explorer."""
    default_target: True
    input:
        expand("results/tables/{table}.parquet", table=paths.TABLES),
        "results/tables/findings.md",
        "results/tables/files.csv",
        PEOPLE,
        figure_paths(SWEEP, selected_figures(SWEEP)),
        checked_tables(selected_figures(SWEEP)),
        expand("results/report/{page}.html", page=REPORT_PAGES),
        "results/explorer/index.html",


check_asked_targets()
