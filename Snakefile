# svdlens: singular value decompositions of transformer weights, read as tokens. Helpers and checks of the
# configuration are in rules/common.smk, the science in scripts/svdlens, the targets below.
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/models.smk"
include: "rules/decompositions.smk"
include: "rules/tokens.smk"
include: "rules/labels.smk"
include: "rules/figures.smk"


rule all:
    default_target: True
    input:
        expand("results/tables/{table}.parquet", table=TABLES),
        all_figures(),


rule models:
    input:
        over_sweep("results/models/{model}/provenance.json"),


rule weights:
    input:
        over_sweep("results/weights/{model}/{setting}.safetensors"),


rule spectra:
    input:
        over_sweep("results/spectra/model={model}/setting={setting}/{matrix}.parquet"),


rule tokens:
    input:
        over_sweep("results/tokens/model={model}/setting={setting}/{matrix}.parquet"),


rule labels:
    input:
        over_sweep("results/labels/model={model}/setting={setting}/{matrix}.coherence.parquet"),


rule tables:
    input:
        expand("results/tables/{table}.parquet", table=TABLES),


rule figures:
    input:
        all_figures(),
