"""Draw the tokens of the leading singular directions of matrices of the sweep, a figure for each matrix.

input: tokens (table of tokens of one model, setting and matrix, for each figure)    output: pdf, png, csv (of each)
params: tables (for each figure model, setting, matrix, layer, head or None, readout, directions, and rotary: whether
    the model has rotary position embeddings), tokens (how many of each direction)
"""

from itertools import groupby

from svdlens.figures.style import save_figure
from svdlens.figures.token_table import draw_token_table, read_leading_tokens, token_table_data
from svdlens.runtime.progress import progress
from svdlens.runtime.script import run


def main(smk):
    figures = list(
        zip(smk.input.tokens, smk.params.tables, smk.output.pdf, smk.output.png, smk.output.csv, strict=True)
    )
    # Figures of one file come one after the other: it is read once.
    for path, group in groupby(progress(figures, "token tables"), key=lambda figure: figure[0]):
        chosen = list(group)
        tables = [table for _, table, *_ in chosen]
        frame = read_leading_tokens(
            path,
            layers={table["layer"] for table in tables},
            directions=max(table["directions"] for table in tables),
        )
        for _, table, *files in chosen:
            keys = ("model", "setting", "matrix", "layer", "head", "readout", "directions")
            data = token_table_data(frame, **{key: table[key] for key in keys}, tokens=smk.params.tokens)
            save_figure(draw_token_table(data, rotary=table["rotary"]), data, *files)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
