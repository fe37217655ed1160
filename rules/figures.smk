# From tables to figures: pdf, png, and a csv with just the numbers that are drawn. One figure, one rule, one script, one
# job for all its files over the sweep, so that imports are paid once. Names and files: FIGURES in rules/common.smk;
# figures of labels: rules/label_figures.smk.
#
# plot_token_table          the leading directions of one matrix as tokens, both signs
# plot_random_table         the same for directions of a Gaussian matrix, the post's control
# plot_spectra              singular values of every matrix of one kind, and the laws by which they fall
# plot_spectrum_growth      the largest singular value and the sum of squares by layer, all models
# plot_blocks               share of directions in blocks of near-equal singular values
# list_paper_figures        the figures of Millidge & Black (2022): which are made, and what makes the others
# make_report_pages         pages of `snakemake --report`: method, configuration, models, main tables, what was not made


report: "report/workflow.rst"


rule plot_token_table:
    input:
        tokens=[
            "results/tokens/model={model}/setting={setting}/{matrix}.parquet".format(**table)
            for table in token_tables()
        ],
    output:
        pdf=figure_files(["token_table"], ["pdf"]),
        png=report_pictures("token_table", "Token tables"),
        csv=figure_files(["token_table"], ["csv"]),
    log:
        "results/logs/plot_token_table/plot_token_table.log",
    benchmark:
        "results/benchmarks/plot_token_table/plot_token_table.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        tables=token_tables(),
        tokens=config["figures"]["token_table_tokens"],
        code=code_hash("plot_token_table"),
    script:
        "../scripts/plot_token_table.py"


rule plot_random_table:
    input:
        tokens=[
            "results/controls/model={model}/setting={setting}/{matrix}.gaussian.parquet".format(**table)
            for table in random_tables()
        ],
    output:
        pdf=figure_files(["random_table"], ["pdf"]),
        png=report_pictures("random_table", "Token tables"),
        csv=figure_files(["random_table"], ["csv"]),
    log:
        "results/logs/plot_random_table/plot_random_table.log",
    benchmark:
        "results/benchmarks/plot_random_table/plot_random_table.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        tables=random_tables(),
        directions=20,
        tokens=config["figures"]["token_table_tokens"],
        code=code_hash("plot_random_table"),
    script:
        "../scripts/plot_random_table.py"


rule plot_spectra:
    input:
        spectra=over_sweep("results/spectra/model={model}/setting={setting}/{matrix}.parquet"),
    output:
        pdf=figure_files(["spectra"], ["pdf"]),
        png=report_pictures("spectra", "Spectra"),
        csv=figure_files(["spectra"], ["csv"]),
    log:
        "results/logs/plot_spectra/plot_spectra.log",
    benchmark:
        "results/benchmarks/plot_spectra/plot_spectra.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        sweep=combinations(),
        rotary=[ARCHITECTURES[architecture(model)].rotary for model, _, _ in combinations()],
        code=code_hash("plot_spectra"),
    script:
        "../scripts/plot_spectra.py"


rule plot_spectrum_growth:
    input:
        spectra="results/tables/spectra.parquet",
    output:
        pdf=figure_files(["spectrum_growth"], ["pdf"]),
        png=report_pictures("spectrum_growth", "Spectra"),
        csv=figure_files(["spectrum_growth"], ["csv"]),
    log:
        "results/logs/plot_spectrum_growth/plot_spectrum_growth.log",
    benchmark:
        "results/benchmarks/plot_spectrum_growth/plot_spectrum_growth.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=swept_settings(),
        code=code_hash("plot_spectrum_growth"),
    script:
        "../scripts/plot_spectrum_growth.py"


rule plot_blocks:
    input:
        spectra="results/tables/spectra.parquet",
    output:
        pdf=figure_files(["blocks"], ["pdf"]),
        png=report_pictures("blocks", "Spectra"),
        csv=figure_files(["blocks"], ["csv"]),
    log:
        "results/logs/plot_blocks/plot_blocks.log",
    benchmark:
        "results/benchmarks/plot_blocks/plot_blocks.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        tolerance=config["block_tolerance"],
        directions=None if config["directions"] == "all" else config["directions"],
        code=code_hash("plot_blocks"),
    script:
        "../scripts/plot_blocks.py"


rule list_paper_figures:
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
        mem_mb=1000,
        runtime=5,
    params:
        rows=paper_rows(),
        code=code_hash("list_paper_figures"),
    script:
        "../scripts/list_paper_figures.py"


rule make_report_pages:
    input:
        provenance=over_sweep("results/models/{model}/provenance.json"),
        fractions="results/tables/fractions.parquet",
        scores="results/tables/scores.parquet",
        agreement="results/tables/agreement.parquet",
        paper="results/tables/paper_figures.csv",
        method=METHOD_PAGE,
    output:
        method=report_page("method", "Method and models"),
        configuration=report_page("configuration", "Method and models"),
        models=report_page("models", "Method and models"),
        not_made=report_page("not_made", "Method and models"),
        fractions=report_page("fractions", "Tables"),
        scores=report_page("scores", "Tables"),
        agreement=report_page("agreement", "Tables", "agreement_table"),
    log:
        "results/logs/make_report_pages/make_report_pages.log",
    benchmark:
        "results/benchmarks/make_report_pages/make_report_pages.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=5,
    params:
        config=swept_configuration(),
        missing=not_made(),
        code=code_hash("make_report_pages"),
    script:
        "../scripts/make_report_pages.py"
