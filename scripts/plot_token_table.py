"""Draw the tokens of the leading singular directions of one matrix.

input: tokens (table of tokens of one model, setting and matrix)    output: pdf, png, csv
wildcards: model, setting, matrix
params: layer, head (None for an MLP), side (None: the residual side), readout, rotary (whether
    the model has rotary position embeddings), directions, tokens
"""

from svdlens.figures.style import save_figure
from svdlens.figures.token_table import draw_token_table, read_leading_tokens, token_table_data
from svdlens.job import run


def main(smk):
    frame = read_leading_tokens(smk.input.tokens, layer=smk.params.layer, directions=smk.params.directions)
    data = token_table_data(
        frame,
        model=smk.wildcards.model,
        setting=smk.wildcards.setting,
        matrix=smk.wildcards.matrix,
        layer=smk.params.layer,
        head=smk.params.head,
        side=smk.params.side,
        readout=smk.params.readout,
        directions=smk.params.directions,
        tokens=smk.params.tokens,
    )
    save_figure(draw_token_table(data, rotary=smk.params.rotary), data, smk.output.pdf, smk.output.png, smk.output.csv)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
