"""Rule project_directions: the directions of a sweep, and its controls, read as tokens."""

from pathlib import Path

import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import CONTROLS, write_table
from svdlens.models.token_table import read_token_texts
from svdlens.readout.parts import join_lists
from svdlens.readout.projection import prepare_reading, project_directions
from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.controls import BASES, VARIMAX
from svdlens.spec.settings import switches_on


def main(smk):
    torch.set_num_threads(1)  # the last bits of LAPACK depend on its threads; top_tokens has threads of its own
    matrix, params, inputs = smk.wildcards.matrix, smk.params, smk.input
    bases = dict(zip(BASES, map(load_file, [inputs.svd, *inputs.varimax]), strict=False))
    weights, texts = (Path(inputs.unembed), Path(inputs.gains)), read_token_texts(Path(inputs.tokens))
    how = (params.readouts, params.tokens, smk.threads, device_for(smk.resources.get("gpu", 0)))
    vectors, reading = prepare_reading(bases, matrix, smk.wildcards, *weights, texts, *how)
    random = bases[VARIMAX]["random"] if VARIMAX in bases else None
    parts = join_lists([pq.read_table(path) for path in inputs.parts]) if inputs.parts else None
    columns = project_directions(vectors, params.basis, params.controls, reading, params.seed, random, parts)
    setting = switches_on(smk.wildcards)
    facts = table_facts(inputs.provenance, matrix, setting=setting, basis=params.basis, code=params.code)
    write_table(Path(smk.output.lists), columns, CONTROLS, facts)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
