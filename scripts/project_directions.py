"""Rule project_directions: the directions of a sweep, and its controls, read as tokens."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import CONTROLS, write_table
from svdlens.models.token_table import read_token_texts
from svdlens.readout.projection import Reading, project_directions, residual_vectors
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.readout.top_tokens import ReadoutMatrix
from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.controls import BASES, VARIMAX
from svdlens.spec.matrix_kinds import stored_numbers
from svdlens.spec.settings import LIST_SWITCHES, Setting
from svdlens.weights.weight_files import WeightFile


def main(smk):
    torch.set_num_threads(1)  # the last bits of LAPACK depend on its threads; top_tokens has threads of its own
    matrix, params = smk.wildcards.matrix, smk.params
    switches = [name for name in LIST_SWITCHES if smk.wildcards[name] == "on"]
    setting = Setting(**dict.fromkeys(switches, True))
    unembed = WeightFile(Path(smk.input.unembed))
    gains = reading_gains(WeightFile(Path(smk.input.gains)), matrix)
    texts, device = read_token_texts(Path(smk.input.tokens)), device_for(smk.resources.get("gpu", 0))
    readouts = {name: ReadoutMatrix(readout_matrix(unembed, setting, name), device) for name in params.readouts}
    svd = load_file(smk.input.svd)
    bases = dict(zip(BASES, [svd, *map(load_file, smk.input.varimax)], strict=False))
    vectors = {
        basis: {name: residual_vectors(arrays, matrix, name, setting, gains) for name in params.readouts}
        for basis, arrays in bases.items()
    }
    reading = Reading(matrix, svd["values"].shape, readouts, texts, params.tokens, smk.threads, stored_numbers(svd))
    random = bases[VARIMAX]["random"] if VARIMAX in bases else None
    columns = project_directions(vectors, params.basis, params.controls, reading, params.seed, random)
    facts = table_facts(smk.input.provenance, matrix, setting=sorted(switches), basis=params.basis, code=params.code)
    write_table(Path(smk.output.lists), columns, CONTROLS, facts)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
