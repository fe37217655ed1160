"""Rule project_directions: singular vectors, and random directions for comparison, read as tokens."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from svdlens.job import run
from svdlens.provenance import table_facts
from svdlens.readout import random_unit_directions, top_tokens
from svdlens.settings import RESIDUAL_SIDES, matrix_places, setting_from_names
from svdlens.tables import CONTROLS, TOKENS, write_table
from svdlens.token_lists import token_columns
from svdlens.vocabulary import read_vocabulary
from svdlens.weights import WeightFile, readout_matrix


def main(smk):
    torch.set_num_threads(smk.threads)
    matrix, k = smk.wildcards.matrix, smk.params.tokens
    facts = table_facts(smk.input.provenance, matrix, setting=sorted(smk.params.switches), code=smk.params.code)
    setting = setting_from_names(smk.wildcards.setting, smk.params.switches)
    weights = WeightFile(Path(smk.input.unembed))
    texts = read_vocabulary(Path(smk.input.provenance).parent)
    svd = load_file(smk.input.svd)
    sides = {side: svd[array].flatten(0, -2) for side, array in RESIDUAL_SIDES[matrix].items()}

    found, random = {}, {}
    for readout in smk.params.readouts:
        W = readout_matrix(weights, setting, readout)
        found[readout] = {side: top_tokens(directions, W, k) for side, directions in sides.items()}
        # One random direction serves every side: the read-out does not know which side it is given.
        directions = random_unit_directions(smk.params.n_random, len(W), smk.params.seed)
        random[readout] = {"all": top_tokens(directions, W, k)}

    layers, heads = matrix_places(svd["values"].shape, matrix)
    write_table(Path(smk.output.tokens), token_columns(found, texts, matrix, layers, heads), TOKENS, facts)
    columns = token_columns(random, texts, matrix, [None], [None])
    columns["control"] = ["random_unit"] * len(columns["matrix"])
    write_table(Path(smk.output.random_unit), columns, CONTROLS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
