"""Draw the fractions that follow from the published answers, by block and rule. Needs no model.

input: labels (published labels, one table for each model and matrix)    output: pdf, png, csv
params: places (model and matrix of each of labels), models, matrices (what was published; without a table: absent)
"""

import pyarrow.parquet as pq

from svdlens.figures.fraction_published import draw_fraction_published, fraction_published_data
from svdlens.figures.style import save_figure
from svdlens.runtime.script import run


def main(smk):
    tables = zip(smk.params.places, smk.input.labels, strict=True)
    labels = {tuple(place): pq.ParquetFile(path).read().to_pandas() for place, path in tables}
    data = fraction_published_data(labels, smk.params.models, smk.params.matrices)
    save_figure(draw_fraction_published(data), data, smk.output.pdf[0], smk.output.png[0], smk.output.csv[0])


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
