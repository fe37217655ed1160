# Figures: pdf, png, and a csv with just the numbers that are drawn. Names, tables and files of each:
# scripts/svdlens/figures/registry.py.
#
# needs   results/tables/*.parquet; tables of tokens, spectra and settings_effect also results/tokens/,
#         results/controls/ and results/spectra/; fraction_published just results/labels/ of the published answers
# makes   results/figures/{figure}[_{setting}].{pdf,png,csv}, results/figures/{model}/[{setting}/]{figure}[_...]
#
# check_token_tables   before anything dear is computed: are the matrices of models.NAME.token_tables there?
# plot_{figure}   a rule for each entry of FIGURES, one job for all its files
from svdlens.errors import SvdlensError
from svdlens.figures.files import (
    check_figures,
    figure_files,
    figure_inputs,
    figure_options,
    figure_paths,
    report_labels,
    selected_figures,
)
from svdlens.figures.registry import FIGURES

CHECKED_TABLES = "results/checks/token_tables_{model}.txt"

try:
    check_figures(SWEEP)
except SvdlensError as error:
    stop_for_configuration(error)


def report_picture(figure, file):
    """The png of a figure, for the report."""
    entry, labels = FIGURES[figure], report_labels(figure, file)
    return report(f"{file.path}.png", caption=entry.caption, category=entry.category, labels=labels)


def checked_tables(figures):
    """The checks that a selection of figures needs: only if tables of tokens are among them."""
    models = [model for model in SWEEP.models if "token_tables" in config["models"][model]]
    return expand(CHECKED_TABLES, model=models) if "token_table" in figures else []


def model_architecture(wildcards):
    return config["models"][wildcards.model].get("architecture", "gpt2")


def model_tables(wildcards):
    return config["models"][wildcards.model].get("token_tables", [])


# Runs where snakemake was started: it takes no time, and all else would wait for it in vain.
localrules:
    check_token_tables,


rule check_token_tables:
    """Whether a model has the matrices of its token tables."""
    input:
        provenance=paths.PROVENANCE,
    output:
        checked=CHECKED_TABLES,
    log:
        "results/logs/check_token_tables/{model}.log",
    benchmark:
        "results/benchmarks/check_token_tables/{model}.tsv"
    # Before the matrices are decomposed. Nothing waits for it: a picture that cannot be drawn costs no other.
    priority: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        source=model_source,
        architecture=model_architecture,
        tables=model_tables,
        code=code_hash("check_token_tables"),
    script:
        "../scripts/check_token_tables.py"


for figure in FIGURES:

    rule:
        """Draw all files of a figure."""
        name:
            f"plot_{figure}"
        input:
            **figure_inputs(SWEEP, figure),
        output:
            pdf=figure_paths(SWEEP, [figure], ["pdf"]),
            png=[report_picture(figure, file) for file in figure_files(SWEEP, figure)],
            csv=figure_paths(SWEEP, [figure], ["csv"]),
        log:
            f"results/logs/plot_{figure}/plot_{figure}.log",
        benchmark:
            f"results/benchmarks/plot_{figure}/plot_{figure}.tsv"
        conda:
            "../environment.yml"
        resources:
            mem_mb=memory(FIGURES[figure].mem_mb, times_input=5),
            runtime=minutes(FIGURES[figure].runtime),
        params:
            **figure_options(SWEEP, figure),
            figure=figure,
            subjects=[file.subject for file in figure_files(SWEEP, figure)],
            code=code_hash("plot_figure", FIGURES[figure].module),
        script:
            "../scripts/plot_figure.py"

    describe(f"plot_{figure}", f"Draw {FIGURES[figure].shows}.")
