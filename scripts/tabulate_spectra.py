"""Rule tabulate_spectra: every singular value, with its gaps and blocks, as a table."""

from pathlib import Path

from safetensors.numpy import load_file

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import SPECTRA, write_table
from svdlens.runtime.script import run
from svdlens.spec.matrix_kinds import MATRIX_KINDS, matrix_places
from svdlens.svd.spectrum import spectra_columns


def main(smk):
    matrix = smk.wildcards.matrix
    facts = table_facts(smk.input.provenance, matrix, setting=sorted(smk.params.switches), code=smk.params.code)
    svd = load_file(smk.input.svd)
    values, deciding = svd["values"], svd[MATRIX_KINDS[matrix].sign_array]
    layers, heads = matrix_places(values.shape, matrix)
    columns = spectra_columns(
        values.reshape(len(layers), -1),
        deciding.reshape(len(layers), *deciding.shape[-2:]),
        layers,
        heads,
        matrix,
        tolerance=smk.params.block_tolerance,
    )
    write_table(Path(smk.output.spectra), columns, SPECTRA, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
