"""Draw how often first directions list frequent, rare or glitch tokens, a figure for each setting.

input: labels (table of labels of the sweep), controls (labels of controls: random_unit)
output: pdf, png, csv (one for each setting)
params: settings, sweep (model, setting, matrix), control_places (model and setting of each of controls), labeller,
    labelling_rule, n_controls (number of directions of a control)
"""

from svdlens.figures.frequency_directions import draw_frequency_directions, frequency_directions_data
from svdlens.figures.label_rows import save_each_setting
from svdlens.runtime.script import run


def main(smk):
    save_each_setting(
        frequency_directions_data,
        draw_frequency_directions,
        labels=smk.input.labels,
        controls=list(zip(smk.input.controls, smk.params.control_places, strict=True)),
        settings=smk.params.settings,
        sweep=smk.params.sweep,
        labeller=smk.params.labeller,
        rule=smk.params.labelling_rule,
        n_controls=smk.params.n_controls,
        output=smk.output,
    )


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
