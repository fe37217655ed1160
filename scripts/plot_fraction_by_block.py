"""Draw the share of interpretable rows by block, a figure for each setting.

input: fractions (table of fractions of the sweep)    output: pdf, png, csv (one for each setting)
params: settings, sweep (model, setting, matrix), labeller, labelling_rule, controls (number of random directions)
"""

from svdlens.artefacts.provenance import labeller_networks
from svdlens.figures.fraction_by_block import draw_fraction_by_block, fraction_by_block_data
from svdlens.figures.fraction_rows import read_fractions
from svdlens.figures.panels import save_each
from svdlens.runtime.script import run


def main(smk):
    data = fraction_by_block_data(
        read_fractions(smk.input.fractions),
        swept=smk.params.sweep,
        labeller=smk.params.labeller,
        rule=smk.params.labelling_rule,
        labeller_networks=labeller_networks(smk.input.fractions),
    )
    shown = {"labeller": smk.params.labeller, "rule": smk.params.labelling_rule, "controls": smk.params.controls}
    save_each(data, "setting", smk.params.settings, draw_fraction_by_block, smk.output, **shown)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
