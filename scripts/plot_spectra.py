"""Draw the singular values of every kind of matrix, a figure for each model, setting and kind of matrix.

input: spectra (table of spectra of one model, setting and matrix, for each figure)    output: pdf, png, csv (of each)
params: sweep (model, setting, matrix of each figure), rotary (of each: whether the model has rotary positions)
"""

import pandas as pd

from svdlens.figures.spectra import draw_spectra, spectra_data
from svdlens.figures.style import save_figure
from svdlens.runtime.script import run


def main(smk):
    figures = zip(
        smk.input.spectra,
        smk.params.sweep,
        smk.params.rotary,
        smk.output.pdf,
        smk.output.png,
        smk.output.csv,
        strict=True,
    )
    columns = ["matrix", "layer", "head", "index", "value"]
    for path, (model, setting, matrix), rotary, *files in figures:
        # The directory names (model=..., setting=...) are not wanted as columns.
        frame = pd.read_parquet(path, partitioning=None, columns=columns)
        data = spectra_data(frame, model=model, setting=setting, matrix=matrix)
        save_figure(draw_spectra(data, rotary=rotary), data, *files)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
