"""Rule project_part: the directions of some layers of one kind of matrix, read as tokens."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from svdlens.artefacts.table_schemas import CONTROLS, columns_of, write_table
from svdlens.models.token_table import read_token_texts
from svdlens.readout.parts import arrays_of_part
from svdlens.readout.projection import prepare_reading, project_matrices
from svdlens.readout.token_table import join_columns
from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.controls import BASES


def main(smk):
    torch.set_num_threads(1)  # the last bits of LAPACK depend on its threads; top_tokens has threads of its own
    matrix, params, inputs = smk.wildcards.matrix, smk.params, smk.input
    part, parts = int(smk.wildcards.part), int(smk.wildcards.parts)
    arrays = [arrays_of_part(load_file(file), matrix, part, parts) for file in [inputs.svd, *inputs.varimax]]
    columns = columns_of(CONTROLS.empty_table())  # where there are more parts than layers
    if len(arrays[0]["layers"]):
        weights, texts = (Path(inputs.unembed), Path(inputs.gains)), read_token_texts(Path(inputs.tokens))
        how = (params.readouts, params.tokens, smk.threads, device_for(smk.resources.get("gpu", 0)))
        bases = dict(zip(BASES, arrays, strict=False))
        vectors, reading = prepare_reading(bases, matrix, smk.wildcards, *weights, texts, *how)
        columns = join_columns(list(project_matrices(vectors, params.basis, params.controls, reading).values()))
    write_table(Path(smk.output.lists), columns, CONTROLS, {})


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
