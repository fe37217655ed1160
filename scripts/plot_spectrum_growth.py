"""Draw how large the matrices are in each layer, all models of the sweep, a figure for each setting.

input: spectra (table of spectra of the sweep)    output: pdf, png, csv (of each figure)
params: settings (of each figure)
"""

import pandas as pd

from svdlens.figures.spectrum_growth import draw_spectrum_growth, spectrum_growth_data
from svdlens.figures.style import save_figure
from svdlens.runtime.script import run


def main(smk):
    frame = pd.read_parquet(smk.input.spectra, columns=["model", "setting", "matrix", "layer", "head", "value"])
    for setting, *files in zip(smk.params.settings, smk.output.pdf, smk.output.png, smk.output.csv, strict=True):
        data = spectrum_growth_data(frame, setting=setting)
        save_figure(draw_spectrum_growth(data), data, *files)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
