# svdlens: singular value decompositions of transformer weights, read as tokens. Helpers and checks of the
# configuration are in rules/common.smk, the science in scripts/svdlens, the targets below.
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


for part in [
    "common",
    "models",
    "decompositions",
    "tokens",
    "labels",
    "published",
    "lists",
    "scores",
    "exports",
    "figures",
    "label_figures",
    "explorer",
]:

    include: f"rules/{part}.smk"


rule all:
    default_target: True
    input:
        expand("results/tables/{table}.parquet", table=TABLES),
        figure_files(selected_figures()),
        expand("results/report/{page}.html", page=REPORT_PAGES),
        "results/explorer/index.html",


TARGETS = {
    "models": over_sweep("results/models/{model}/provenance.json"),
    "weights": over_sweep("results/weights/{model}/{setting}.safetensors"),
    "spectra": over_sweep("results/spectra/model={model}/setting={setting}/{matrix}.parquet"),
    "tokens": over_sweep("results/tokens/model={model}/setting={setting}/{matrix}.parquet"),
    "labels": over_labels("results/labels/model={model}/setting={setting}/{matrix}.{labeller}.parquet", LABELLERS),
    "tables": expand("results/tables/{table}.parquet", table=TABLES),
    "figures": figure_files(selected_figures()),
    "paper_figures": paper_files(),
    "published_figures": figure_files(["fraction_published"]),
    "explorer": "results/explorer/index.html",
}

for target, files in TARGETS.items():

    rule:
        name:
            target
        input:
            files,
