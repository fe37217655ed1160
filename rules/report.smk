# The report (`snakemake --report`): its pages that are no figures, and the list of the figures of the post.
#
# needs   results/models/*/provenance.json, results/tables/{fractions,scores,agreement}.parquet
# makes   results/report/{page}.html, results/tables/paper_figures.{csv,md,html}
#
# list_paper_figures   the figures of Millidge & Black (2022): which are made, and what makes the others
# make_report_pages    method, configuration, models, main tables, and what was not made
import os

from svdlens.report.not_made import not_made, swept_configuration
from svdlens.report.paper_figures import paper_figures, paper_paths
from svdlens.sweep import paths


report: "report/workflow.rst"


# Page: category and caption.
REPORT_PAGES = {
    "method": ("Method and models", "method"),
    "configuration": ("Method and models", "configuration"),
    "models": ("Method and models", "models"),
    "not_made": ("Method and models", "not_made"),
    "fractions": ("Tables", "fractions"),
    "scores": ("Tables", "scores"),
    "agreement": ("Tables", "agreement_table"),
}


def report_page(page):
    category, caption = REPORT_PAGES[page]
    labels = {"page": page.replace("_", " ")}
    return report(f"results/report/{page}.html", caption=f"report/{caption}.rst", category=category, labels=labels)


rule list_paper_figures:
    """List the figures of Millidge & Black (2022): which of them the sweep makes, and what makes the others."""
    output:
        csv="results/tables/paper_figures.csv",
        md="results/tables/paper_figures.md",
        html=report(
            "results/tables/paper_figures.html",
            caption="report/paper_figures.rst",
            category="Method and models",
            labels={"page": "figures of the post"},
        ),
    log:
        "results/logs/list_paper_figures/list_paper_figures.log",
    benchmark:
        "results/benchmarks/list_paper_figures/list_paper_figures.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    params:
        rows=[row._asdict() for row in paper_figures(SWEEP)],
        code=code_hash("list_paper_figures"),
    script:
        "../scripts/list_paper_figures.py"


rule make_report_pages:
    """Write the pages of the report that are no figures."""
    input:
        provenance=SWEEP.over_places(paths.PROVENANCE),
        fractions="results/tables/fractions.parquet",
        scores="results/tables/scores.parquet",
        agreement="results/tables/agreement.parquet",
        paper="results/tables/paper_figures.csv",
        method=local(project_path("rules/report/method.html")),
    output:
        **{page: report_page(page) for page in REPORT_PAGES},
    log:
        "results/logs/make_report_pages/make_report_pages.log",
    benchmark:
        "results/benchmarks/make_report_pages/make_report_pages.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=10),
        runtime=minutes(5),
    params:
        config=swept_configuration(SWEEP),
        missing=not_made(SWEEP),
        code=code_hash("make_report_pages"),
    script:
        "../scripts/make_report_pages.py"
