"""Rule rotate_directions: the basis of the leading singular vectors' subspaces that makes scores of tokens sparse."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from svdlens.artefacts.provenance import table_facts
from svdlens.readout.control_directions import seeded
from svdlens.readout.projection import residual_vectors, stored_vectors
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.readout.top_tokens import ReadoutMatrix
from svdlens.readout.varimax import random_varimax_directions, varimax_vectors
from svdlens.runtime.script import run
from svdlens.spec.controls import RANDOM_VARIMAX
from svdlens.spec.matrix_kinds import MATRIX_KINDS, stored_numbers
from svdlens.spec.settings import shared_setting, switches_on
from svdlens.svd.null_space import null_space
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    torch.set_num_threads(1)  # of this thread; the others have one each
    matrix, readout = smk.wildcards.matrix, smk.params.readout
    setting = shared_setting(smk.wildcards)
    svd, gains = load_file(smk.input.svd), reading_gains(WeightFile(Path(smk.input.gains)), matrix)
    unembed = ReadoutMatrix(readout_matrix(WeightFile(Path(smk.input.unembed)), setting, readout))
    as_read, values = residual_vectors(svd, matrix, readout, setting, gains), svd["values"].flatten(0, -2)
    vectors = varimax_vectors(stored_vectors(svd, matrix), as_read, values, unembed, smk.threads)
    arrays = {
        side.array: vectors[name].float().reshape(svd[side.array].shape)
        for name, side in MATRIX_KINDS[matrix].sides.items()
    }
    # Subspaces of as many dimensions as the largest of a matrix has; of a matrix of zeros that is none.
    live = ~null_space(values.numpy())[:, : svd[MATRIX_KINDS[matrix].sign_array].shape[-2]]
    k, generator = max(1, int(live.sum(axis=1).max())), seeded(smk.params.seed, matrix, RANDOM_VARIMAX)
    arrays["random"] = random_varimax_directions(smk.params.n_random, k, unembed, generator, smk.threads).float()
    arrays |= {name: svd[name] for name in stored_numbers(svd)}
    facts = table_facts(smk.input.provenance, matrix, setting=switches_on(smk.wildcards), code=smk.params.code)
    save_tensors(Path(smk.output.varimax), arrays, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
