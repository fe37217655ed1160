"""Rule project_directions: singular vectors, and controls, read as tokens."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import CONTROLS, TOKENS, write_table
from svdlens.models.token_texts import read_vocabulary
from svdlens.readout.projection import Reading, project_control, project_vectors, residual_vectors
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.readout.token_table import with_vocab_center
from svdlens.readout.top_tokens import ReadoutMatrix
from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names
from svdlens.weights.weight_files import WeightFile


def main(smk):
    torch.set_num_threads(1)  # the last bits of LAPACK depend on its threads; top_tokens has threads of its own
    matrix, params = smk.wildcards.matrix, smk.params
    facts = table_facts(smk.input.provenance, matrix, setting=sorted(params.switches), code=params.code)
    setting = setting_from_names(smk.wildcards.setting, params.switches)
    unembed, svd = WeightFile(Path(smk.input.unembed)), load_file(smk.input.svd)
    gains = reading_gains(WeightFile(Path(smk.input.weights)), matrix)
    device = device_for(smk.resources.get("gpu", 0))
    # vocab_center comes last, so that its lists are those of the setting without it, rounding or not.
    before = replace(setting, vocab_center=False)
    readouts = {name: ReadoutMatrix(readout_matrix(unembed, before, name), device) for name in params.readouts}
    vectors = {name: residual_vectors(svd, matrix, name, setting, gains) for name in params.readouts}
    texts = read_vocabulary(Path(smk.input.provenance).parent)
    reading = Reading(matrix, svd["values"].shape, readouts, texts, params.tokens, smk.threads)

    tables = {name: project_control(name, vectors, reading, params.n_random, params.seed) for name in params.controls}
    tables["tokens"] = project_vectors(vectors, reading)
    for name, columns in tables.items():
        columns = with_vocab_center(columns) if setting.vocab_center else columns
        write_table(Path(smk.output[name]), columns, TOKENS if name == "tokens" else CONTROLS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
