"""Rule project_directions: singular vectors, and random directions for comparison, read as tokens through W_U."""

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
from svdlens.weights import WeightFile, unembed


def main(smk):
    facts = table_facts(smk.input.provenance, setting=sorted(smk.params.switches), code=smk.params.code)
    torch.set_num_threads(smk.threads)
    matrix, k = smk.wildcards.matrix, smk.params.tokens
    setting = setting_from_names(smk.wildcards.setting, smk.params.switches)
    W_U = unembed(WeightFile(Path(smk.input.unembed)), setting)
    texts = read_vocabulary(Path(smk.input.provenance).parent)
    svd = load_file(smk.input.svd)

    layers, heads = matrix_places(svd["values"].shape, matrix)
    found = {side: top_tokens(svd[array].flatten(0, -2), W_U, k) for side, array in RESIDUAL_SIDES[matrix].items()}
    columns = token_columns(found, texts, matrix, layers, heads, readout="W_U")
    write_table(Path(smk.output.tokens), columns, TOKENS, facts)

    # One random direction serves every side: the read-out does not know which side it is given.
    directions = random_unit_directions(smk.params.n_random, len(W_U), smk.params.seed)
    read = top_tokens(directions, W_U, k)
    columns = token_columns({"all": read}, texts, matrix, [None], [None], readout="W_U")
    columns["control"] = ["random_unit"] * len(columns["matrix"])
    write_table(Path(smk.output.random_unit), columns, CONTROLS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
