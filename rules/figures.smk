# From tables to figures: pdf, png, and a csv with just the numbers that are drawn. One figure, one rule, one script.
#
# plot_token_table          the leading directions of one matrix as tokens
# plot_spectra              singular values of every matrix of one kind
# plot_fraction_by_block    fraction interpretable by block, whole sweep
# plot_fraction_by_model    fraction interpretable by model, whole sweep


report: "report/workflow.rst"


rule plot_token_table:
    input:
        tokens="results/tokens/model={model}/setting={setting}/{matrix}.parquet",
    output:
        pdf="results/figures/{model}/{setting}/token_table_{matrix}_{place}.pdf",
        png=report(
            "results/figures/{model}/{setting}/token_table_{matrix}_{place}.png",
            caption="report/token_table.rst",
            category="Token tables",
            labels={"model": "{model}", "setting": "{setting}", "matrix": "{matrix}", "place": "{place}"},
        ),
        csv="results/figures/{model}/{setting}/token_table_{matrix}_{place}.csv",
    log:
        "results/logs/plot_token_table/{model}/{setting}/{matrix}_{place}.log",
    benchmark:
        "results/benchmarks/plot_token_table/{model}/{setting}/{matrix}_{place}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        layer=layer_of,
        head=head_of,
        side=None,
        readout=first_readout_of,
        rotary=rotary_of,
        directions=config["figures"]["token_table_directions"],
        tokens=config["figures"]["token_table_tokens"],
        code=code_hash("plot_token_table"),
    script:
        "../scripts/plot_token_table.py"


rule plot_spectra:
    input:
        spectra="results/spectra/model={model}/setting={setting}/{matrix}.parquet",
    output:
        pdf="results/figures/{model}/{setting}/spectra_{matrix}.pdf",
        png=report(
            "results/figures/{model}/{setting}/spectra_{matrix}.png",
            caption="report/spectra.rst",
            category="Spectra",
            labels={"model": "{model}", "setting": "{setting}", "matrix": "{matrix}"},
        ),
        csv="results/figures/{model}/{setting}/spectra_{matrix}.csv",
    log:
        "results/logs/plot_spectra/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/plot_spectra/{model}/{setting}/{matrix}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        rotary=rotary_of,
        code=code_hash("plot_spectra"),
    script:
        "../scripts/plot_spectra.py"


rule plot_fraction_by_block:
    input:
        fractions="results/tables/fractions.parquet",
    output:
        pdf="results/figures/fraction_by_block.pdf",
        png=report(
            "results/figures/fraction_by_block.png",
            caption="report/fraction_by_block.rst",
            category="Fraction interpretable",
        ),
        csv="results/figures/fraction_by_block.csv",
    log:
        "results/logs/plot_fraction_by_block/plot_fraction_by_block.log",
    benchmark:
        "results/benchmarks/plot_fraction_by_block/plot_fraction_by_block.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labeller="coherence",
        labelling_rule=None,
        controls=config["random_directions"],
        code=code_hash("plot_fraction_by_block"),
    script:
        "../scripts/plot_fraction_by_block.py"


rule plot_fraction_by_model:
    input:
        fractions="results/tables/fractions.parquet",
    output:
        pdf="results/figures/fraction_by_model.pdf",
        png=report(
            "results/figures/fraction_by_model.png",
            caption="report/fraction_by_model.rst",
            category="Fraction interpretable",
        ),
        csv="results/figures/fraction_by_model.csv",
    log:
        "results/logs/plot_fraction_by_model/plot_fraction_by_model.log",
    benchmark:
        "results/benchmarks/plot_fraction_by_model/plot_fraction_by_model.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labeller="coherence",
        labelling_rule=None,
        controls=config["random_directions"],
        code=code_hash("plot_fraction_by_model"),
    script:
        "../scripts/plot_fraction_by_model.py"
