"""Draw the share of each kind of list by block, a figure for each setting.

input: labels (table of labels of the sweep), controls (labels of controls: random_unit)
output: pdf, png, csv (one for each setting)
params: settings, sweep (model, setting, matrix), control_places (model and setting of each of controls), labeller,
    labelling_rule, n_controls (number of directions of a control)
"""

from svdlens.figures.kinds_by_layer import draw_kinds_by_layer, kinds_by_layer_data
from svdlens.figures.label_rows import read_control_labels, read_labels
from svdlens.figures.style import save_figure
from svdlens.job import run
from svdlens.provenance import labeller_networks


def main(smk):
    labeller, rule = smk.params.labeller, smk.params.labelling_rule
    networks = labeller_networks(smk.input.labels)
    controls = list(zip(smk.input.controls, smk.params.control_places, strict=True))
    files = zip(smk.params.settings, smk.output.pdf, smk.output.png, smk.output.csv, strict=True)
    for setting, *paths in files:
        labels = read_labels(smk.input.labels, setting=setting, labeller=labeller)
        of_controls = read_control_labels(controls, setting=setting)
        swept = [place for place in smk.params.sweep if place[1] == setting]
        data = kinds_by_layer_data(labels, of_controls, swept=swept, rule=rule, labeller_networks=networks)
        figure = draw_kinds_by_layer(
            data, setting=setting, labeller=labeller, rule=rule, controls=smk.params.n_controls
        )
        save_figure(figure, data, *paths)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
