"""Rule tabulate_spectra: every singular value, with its gaps and blocks, as a table."""

from pathlib import Path

from safetensors.numpy import load_file

from svdlens.job import run
from svdlens.provenance import table_facts
from svdlens.settings import HEAD_MATRICES, SIGN_SIDE
from svdlens.spectra import spectra_columns
from svdlens.tables import SPECTRA, write_table


def main(smk):
    facts = table_facts(smk.input.provenance, setting=sorted(smk.params.switches), code=smk.params.code)
    matrix = smk.wildcards.matrix
    svd = load_file(smk.input.svd)
    values, deciding = svd["values"], svd[SIGN_SIDE[matrix]]
    n_layers = len(values)
    n_heads = values.shape[1] if matrix in HEAD_MATRICES else 1
    columns = spectra_columns(
        values.reshape(n_layers * n_heads, -1),
        deciding.reshape(n_layers * n_heads, *deciding.shape[-2:]),
        layers=[layer for layer in range(n_layers) for _ in range(n_heads)],
        heads=[head if matrix in HEAD_MATRICES else None for _ in range(n_layers) for head in range(n_heads)],
        matrix=matrix,
        tolerance=smk.params.block_tolerance,
    )
    write_table(Path(smk.output.spectra), columns, SPECTRA, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
