"""Draw what single switches do to the fraction interpretable and to the token lists, a figure for each model.

input: fractions (table of fractions of the sweep), tokens (tables of tokens of the sweep)
output: pdf, png, csv (one for each model)
params: models, sweep (model, setting, matrix of each of tokens), settings (the switches of each), labeller,
    labelling_rule, controls (number of random directions)
"""

from svdlens.artefacts.provenance import labeller_networks
from svdlens.figures.fraction_rows import read_fractions
from svdlens.figures.panels import save_each
from svdlens.figures.settings_effect import draw_settings_effect, lists_of, settings_effect_data
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names


def main(smk):
    shown = {"labeller": smk.params.labeller, "rule": smk.params.labelling_rule}
    data = settings_effect_data(
        read_fractions(smk.input.fractions),
        lists_of(smk.params.sweep, smk.input.tokens),
        settings={name: setting_from_names(name, switches) for name, switches in smk.params.settings.items()},
        labeller_networks=labeller_networks(smk.input.fractions),
        **shown,
    )
    shown |= {"swept": smk.params.sweep, "controls": smk.params.controls}
    save_each(data, "model", smk.params.models, draw_settings_effect, smk.output, **shown)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
