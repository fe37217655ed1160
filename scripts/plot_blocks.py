"""Draw the share of directions in blocks of near-equal singular values, by layer, for the whole sweep.

input: spectra (table of spectra of the sweep)    output: pdf, png, csv
params: tolerance (relative distance of neighbours in a block), directions (leading ones that count; None: all)
"""

import pandas as pd

from svdlens.figures.blocks import blocks_data, draw_blocks
from svdlens.figures.style import save_figure
from svdlens.runtime.script import run


def main(smk):
    columns = ["model", "setting", "matrix", "layer", "head", "index", "block"]
    directions = smk.params.directions
    data = blocks_data(pd.read_parquet(smk.input.spectra, columns=columns), directions=directions)
    figure = draw_blocks(data, tolerance=smk.params.tolerance, directions=directions)
    save_figure(figure, data, smk.output.pdf[0], smk.output.png[0], smk.output.csv[0])


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
