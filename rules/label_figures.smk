# Figures of labels and fractions. One figure, one rule, one script, one job for all its files (FIGURES in
# rules/common.smk).
#
# plot_fraction_by_block      fraction interpretable by block, a panel per model
# plot_fraction_by_depth      all models on one axis, by block and by relative depth
# plot_fraction_by_index      by index of the direction
# plot_fraction_by_model      by model, whole sweep
# plot_fraction_by_matrix     by kind of matrix, whole sweep
# plot_fraction_published     what was published, by block and rule; needs no model
# plot_read_write             read against write side of OV
# plot_kinds_by_layer         share of each kind of list
# plot_frequency_directions   first directions that list frequent, rare or glitch tokens
# plot_controls               singular directions beside the controls
# plot_antipodal              both signs of a direction, against independence
# plot_settings_effect        what single switches do to fractions and lists
# plot_agreement              between labellers


rule plot_fraction_by_block:
    input:
        fractions="results/tables/fractions.parquet",
    output:
        pdf=figure_files(["fraction_by_block"], ["pdf"]),
        png=report_pictures("fraction_by_block", "Fraction interpretable"),
        csv=figure_files(["fraction_by_block"], ["csv"]),
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
        settings=swept_settings(),
        sweep=combinations(),
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        controls=config["random_directions"],
        code=code_hash("plot_fraction_by_block"),
    script:
        "../scripts/plot_fraction_by_block.py"


rule plot_fraction_by_depth:
    input:
        fractions="results/tables/fractions.parquet",
    output:
        pdf=figure_files(["fraction_by_depth"], ["pdf"]),
        png=report_pictures("fraction_by_depth", "Fraction interpretable"),
        csv=figure_files(["fraction_by_depth"], ["csv"]),
    log:
        "results/logs/plot_fraction_by_depth/plot_fraction_by_depth.log",
    benchmark:
        "results/benchmarks/plot_fraction_by_depth/plot_fraction_by_depth.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=swept_settings(),
        sweep=combinations(),
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        controls=config["random_directions"],
        code=code_hash("plot_fraction_by_depth"),
    script:
        "../scripts/plot_fraction_by_depth.py"


rule plot_fraction_by_index:
    input:
        fractions="results/tables/fractions.parquet",
    output:
        pdf=figure_files(["fraction_by_index"], ["pdf"]),
        png=report_pictures("fraction_by_index", "Fraction interpretable"),
        csv=figure_files(["fraction_by_index"], ["csv"]),
    log:
        "results/logs/plot_fraction_by_index/plot_fraction_by_index.log",
    benchmark:
        "results/benchmarks/plot_fraction_by_index/plot_fraction_by_index.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=swept_settings(),
        sweep=combinations(),
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        controls=config["random_directions"],
        code=code_hash("plot_fraction_by_index"),
    script:
        "../scripts/plot_fraction_by_index.py"


rule plot_fraction_by_model:
    input:
        fractions="results/tables/fractions.parquet",
    output:
        pdf=figure_files(["fraction_by_model"], ["pdf"]),
        png=report_pictures("fraction_by_model", "Fraction interpretable"),
        csv=figure_files(["fraction_by_model"], ["csv"]),
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
        sweep=combinations(),
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        controls=config["random_directions"],
        code=code_hash("plot_fraction_by_model"),
    script:
        "../scripts/plot_fraction_by_model.py"


rule plot_fraction_by_matrix:
    input:
        fractions="results/tables/fractions.parquet",
    output:
        pdf=figure_files(["fraction_by_matrix"], ["pdf"]),
        png=report_pictures("fraction_by_matrix", "Fraction interpretable"),
        csv=figure_files(["fraction_by_matrix"], ["csv"]),
    log:
        "results/logs/plot_fraction_by_matrix/plot_fraction_by_matrix.log",
    benchmark:
        "results/benchmarks/plot_fraction_by_matrix/plot_fraction_by_matrix.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        sweep=combinations(),
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        controls=config["random_directions"],
        code=code_hash("plot_fraction_by_matrix"),
    script:
        "../scripts/plot_fraction_by_matrix.py"


rule plot_fraction_published:
    input:
        labels=[
            f"results/labels/model={model}/setting=post2022/{matrix}.published.parquet"
            for model, matrix in published_at_hand()
        ],
    output:
        pdf=figure_files(["fraction_published"], ["pdf"]),
        png=report_pictures("fraction_published", "Fraction interpretable"),
        csv=figure_files(["fraction_published"], ["csv"]),
    log:
        "results/logs/plot_fraction_published/plot_fraction_published.log",
    benchmark:
        "results/benchmarks/plot_fraction_published/plot_fraction_published.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        places=published_at_hand(),
        models=PUBLISHED_FOR,
        matrices=PUBLISHED_MATRICES,
        code=code_hash("plot_fraction_published"),
    script:
        "../scripts/plot_fraction_published.py"


rule plot_read_write:
    input:
        fractions="results/tables/fractions.parquet",
    output:
        pdf=figure_files(["read_write"], ["pdf"]),
        png=report_pictures("read_write", "Fraction interpretable"),
        csv=figure_files(["read_write"], ["csv"]),
    log:
        "results/logs/plot_read_write/plot_read_write.log",
    benchmark:
        "results/benchmarks/plot_read_write/plot_read_write.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=swept_settings(),
        sweep=combinations(),
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        controls=config["random_directions"],
        code=code_hash("plot_read_write"),
    script:
        "../scripts/plot_read_write.py"


rule plot_kinds_by_layer:
    input:
        labels="results/tables/labels.parquet",
        controls=[path for path, _ in control_labels(["random_unit"])],
    output:
        pdf=figure_files(["kinds_by_layer"], ["pdf"]),
        png=report_pictures("kinds_by_layer", "Kinds of lists"),
        csv=figure_files(["kinds_by_layer"], ["csv"]),
    log:
        "results/logs/plot_kinds_by_layer/plot_kinds_by_layer.log",
    benchmark:
        "results/benchmarks/plot_kinds_by_layer/plot_kinds_by_layer.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=6000,
        runtime=20,
    params:
        settings=swept_settings(),
        sweep=combinations(),
        control_places=[place for _, place in control_labels(["random_unit"])],
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        n_controls=config["random_directions"],
        code=code_hash("plot_kinds_by_layer"),
    script:
        "../scripts/plot_kinds_by_layer.py"


rule plot_frequency_directions:
    input:
        labels="results/tables/labels.parquet",
        controls=[path for path, _ in control_labels(["random_unit"])],
    output:
        pdf=figure_files(["frequency_directions"], ["pdf"]),
        png=report_pictures("frequency_directions", "Kinds of lists"),
        csv=figure_files(["frequency_directions"], ["csv"]),
    log:
        "results/logs/plot_frequency_directions/plot_frequency_directions.log",
    benchmark:
        "results/benchmarks/plot_frequency_directions/plot_frequency_directions.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=6000,
        runtime=20,
    params:
        settings=swept_settings(),
        sweep=combinations(),
        control_places=[place for _, place in control_labels(["random_unit"])],
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        n_controls=config["random_directions"],
        code=code_hash("plot_frequency_directions"),
    script:
        "../scripts/plot_frequency_directions.py"


rule plot_controls:
    input:
        labels="results/tables/labels.parquet",
        controls=[path for path, _ in control_labels(CONTROLS)],
    output:
        pdf=figure_files(["controls"], ["pdf"]),
        png=report_pictures("controls", "Controls"),
        csv=figure_files(["controls"], ["csv"]),
    log:
        "results/logs/plot_controls/plot_controls.log",
    benchmark:
        "results/benchmarks/plot_controls/plot_controls.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=6000,
        runtime=20,
    params:
        settings=swept_settings(),
        sweep=combinations(),
        control_places=[place for _, place in control_labels(CONTROLS)],
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        n_controls=config["random_directions"],
        code=code_hash("plot_controls"),
    script:
        "../scripts/plot_controls.py"


rule plot_antipodal:
    input:
        labels="results/tables/labels.parquet",
        controls=[path for path, _ in control_labels(["random_unit"])],
    output:
        pdf=figure_files(["antipodal"], ["pdf"]),
        png=report_pictures("antipodal", "Controls"),
        csv=figure_files(["antipodal"], ["csv"]),
    log:
        "results/logs/plot_antipodal/plot_antipodal.log",
    benchmark:
        "results/benchmarks/plot_antipodal/plot_antipodal.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=6000,
        runtime=20,
    params:
        settings=swept_settings(),
        sweep=combinations(),
        control_places=[place for _, place in control_labels(["random_unit"])],
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        n_controls=config["random_directions"],
        code=code_hash("plot_antipodal"),
    script:
        "../scripts/plot_antipodal.py"


rule plot_settings_effect:
    input:
        fractions="results/tables/fractions.parquet",
        tokens=over_sweep("results/tokens/model={model}/setting={setting}/{matrix}.parquet"),
    output:
        pdf=figure_files(["settings_effect"], ["pdf"]),
        png=report_pictures("settings_effect", "Settings"),
        csv=figure_files(["settings_effect"], ["csv"]),
    log:
        "results/logs/plot_settings_effect/plot_settings_effect.log",
    benchmark:
        "results/benchmarks/plot_settings_effect/plot_settings_effect.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        models=SWEEP["models"],
        sweep=combinations(),
        settings={name: config["settings"][name] for name in swept_settings()},
        labeller=FIGURE_LABELLER,
        labelling_rule=LABELLING_RULES[FIGURE_LABELLER][0],
        controls=config["random_directions"],
        code=code_hash("plot_settings_effect"),
    script:
        "../scripts/plot_settings_effect.py"


rule plot_agreement:
    input:
        agreement="results/tables/agreement.parquet",
    output:
        pdf=figure_files(["agreement"], ["pdf"]),
        png=report_pictures("agreement", "Labellers"),
        csv=figure_files(["agreement"], ["csv"]),
    log:
        "results/logs/plot_agreement/plot_agreement.log",
    benchmark:
        "results/benchmarks/plot_agreement/plot_agreement.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=swept_settings(),
        labellers=LABELLERS,
        code=code_hash("plot_agreement"),
    script:
        "../scripts/plot_agreement.py"
