"""Draw the singular values of one matrix in every layer (and head) of a model.

input: spectra (table of spectra of one model, setting and matrix)    output: pdf, png, csv
wildcards: model, setting, matrix
params: rotary (whether the model has rotary position embeddings)
"""

import pandas as pd

from svdlens.figures.spectra import draw_spectra, spectra_data
from svdlens.figures.style import save_figure
from svdlens.job import run


def main(smk):
    # The directory names (model=..., setting=...) are not wanted as columns.
    columns = ["matrix", "layer", "head", "index", "value"]
    frame = pd.read_parquet(smk.input.spectra, partitioning=None, columns=columns)
    data = spectra_data(frame, model=smk.wildcards.model, setting=smk.wildcards.setting, matrix=smk.wildcards.matrix)
    save_figure(draw_spectra(data, rotary=smk.params.rotary), data, smk.output.pdf, smk.output.png, smk.output.csv)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
