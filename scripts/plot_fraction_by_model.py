"""Draw the share of interpretable rows by model, for the whole sweep.

input: fractions (table of fractions of the sweep)    output: pdf, png, csv
params: sweep (model, setting, matrix), labeller, labelling_rule, controls (number of random directions)
"""

from svdlens.artefacts.provenance import labeller_networks
from svdlens.figures.fraction_by_model import draw_fraction_by_model, fraction_by_model_data
from svdlens.figures.fraction_rows import read_fractions
from svdlens.figures.style import save_figure
from svdlens.runtime.script import run


def main(smk):
    data = fraction_by_model_data(
        read_fractions(smk.input.fractions),
        swept=smk.params.sweep,
        labeller=smk.params.labeller,
        rule=smk.params.labelling_rule,
        labeller_networks=labeller_networks(smk.input.fractions),
    )
    figure = draw_fraction_by_model(
        data, labeller=smk.params.labeller, rule=smk.params.labelling_rule, controls=smk.params.controls
    )
    save_figure(figure, data, smk.output.pdf[0], smk.output.png[0], smk.output.csv[0])


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
