"""Rule find_examples: the windows of a text in which each direction of a model projects most."""

import hashlib
from pathlib import Path

import torch
from safetensors import safe_open

from svdlens.activations.examples import find_examples
from svdlens.activations.passages import passages_of
from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import EXAMPLES, write_table
from svdlens.models.load import load_model
from svdlens.models.token_table import read_token_texts
from svdlens.models.token_windows import read_text
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.runtime.script import run
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names
from svdlens.weights.weight_files import WeightFile


def read_svd(path, matrix):
    """What an SVD file has of the sides in the residual stream."""
    wanted = {"values", "layers", "heads"} | {side.array for side in MATRIX_KINDS[matrix].sides.values()}
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name in wanted}  # noqa: SIM118


def main(smk):
    torch.set_num_threads(1)  # the last bits depend on it; batches of text run side by side
    params = smk.params
    directory = Path(smk.input.provenance).parent
    model = load_model(directory, smk.wildcards.model)
    text = read_text(Path(smk.input.text))
    passages = passages_of(text, model, directory, params.options["length"], params.options["tokens"])
    setting = setting_from_names(smk.wildcards.setting, params.switches)
    gains = WeightFile(Path(smk.input.gains))
    columns = find_examples(
        model,
        passages,
        {matrix: read_svd(path, matrix) for matrix, path in zip(params.matrices, smk.input.svd, strict=True)},
        setting,
        params.readout,
        readout_matrix(WeightFile(Path(smk.input.unembed)), setting, params.readout),
        {matrix: reading_gains(gains, matrix) for matrix in params.matrices},
        read_token_texts(Path(smk.input.tokens)),
        params.options["windows"],
        params.options["around"],
        smk.threads,
    )
    digest = hashlib.sha256(text.encode()).hexdigest()
    facts = {"setting": sorted(params.switches), "text_sha256": digest, "text_tokens": len(passages.ids)}
    facts = table_facts(smk.input.provenance, **facts, lines=len(passages.starts), code=params.code)
    write_table(Path(smk.output.examples), columns, EXAMPLES, facts)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
