"""Draw the share of interpretable rows by model, for the whole sweep.

input: fractions (table of fractions of the sweep)    output: pdf, png, csv
params: labeller, labelling_rule (None: the only one of the table), controls (number of random directions)
"""

import pandas as pd

from svdlens.figures.fraction_by_model import draw_fraction_by_model, fraction_by_model_data
from svdlens.figures.style import save_figure
from svdlens.job import run
from svdlens.provenance import labeller_networks


def main(smk):
    frame = pd.read_parquet(smk.input.fractions)
    data = fraction_by_model_data(
        frame,
        labeller_networks=labeller_networks(smk.input.fractions),
        labeller=smk.params.labeller,
        rule=smk.params.labelling_rule,
    )
    figure = draw_fraction_by_model(data, controls=smk.params.controls)
    save_figure(figure, data, smk.output.pdf, smk.output.png, smk.output.csv)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
