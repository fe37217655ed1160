"""Draw the tokens of singular directions of a Gaussian matrix, read as those of each model in each setting.

input: tokens (table of tokens of the control gaussian, for each figure)    output: pdf, png, csv (of each)
params: tables (for each figure model, setting, matrix, readout), directions, tokens (how many of each direction)
"""

from svdlens.figures.random_table import draw_random_table, random_table_data, read_random_tokens
from svdlens.figures.style import save_figure
from svdlens.runtime.script import run


def main(smk):
    figures = zip(smk.input.tokens, smk.params.tables, smk.output.pdf, smk.output.png, smk.output.csv, strict=True)
    for path, table, *files in figures:
        data = random_table_data(
            read_random_tokens(path, directions=smk.params.directions),
            **{key: table[key] for key in ("model", "setting", "matrix", "readout")},
            directions=smk.params.directions,
            tokens=smk.params.tokens,
        )
        save_figure(draw_random_table(data), data, *files)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
