"""Rule tabulate_spectra: every singular value with gap, cluster and the stability of its vectors, as a table."""

from pathlib import Path

from safetensors.numpy import load_file

from svdlens.artefacts.provenance import noise_of, table_facts
from svdlens.artefacts.table_schemas import SPECTRA, write_table
from svdlens.runtime.script import run
from svdlens.spec.matrix_kinds import MATRIX_KINDS, layers_and_heads, stored_numbers
from svdlens.svd.spectrum import spectra_columns


def main(smk):
    matrix = smk.wildcards.matrix
    svd = load_file(smk.input.svd)
    values, sign_vectors = svd["values"], svd[MATRIX_KINDS[matrix].sign_array]
    layers, heads = layers_and_heads(values.shape, matrix, stored_numbers(svd))
    stability, facts = {}, {"setting": sorted(smk.params.switches), "code": smk.params.code}
    for path in smk.input.stability:  # a list of one file, or of none
        stability = load_file(path)
        facts["noise"] = noise_of(path)
    columns = spectra_columns(
        values.reshape(len(layers), -1),
        sign_vectors.reshape(len(layers), *sign_vectors.shape[-2:]),
        layers,
        heads,
        matrix,
        tolerance=smk.params.cluster_tolerance,
        **{name: array.reshape(len(layers), -1) for name, array in stability.items()},
    )
    write_table(Path(smk.output.spectra), columns, SPECTRA, table_facts(smk.input.provenance, matrix, **facts))


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
