"""Rule find_examples: the windows of a text in which each direction of a model projects most."""

import hashlib
from pathlib import Path

import torch

from svdlens.activations.examples import find_examples, read_sides
from svdlens.activations.passages import passages_of
from svdlens.artefacts.activation_schemas import EXAMPLES
from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import write_table
from svdlens.models.load import load_fetched_model
from svdlens.models.token_table import read_token_texts
from svdlens.models.token_windows import read_text
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names
from svdlens.weights.weight_files import WeightFile


def main(smk):
    torch.set_num_threads(1)  # the last bits depend on it; batches of text run side by side
    files, params, options = smk.input, smk.params, smk.params.options
    directory = Path(files.provenance).parent
    model = load_fetched_model(directory, smk.wildcards.model, params.source)
    passages = passages_of(read_text(Path(files.text)), model, directory, options["length"], options["tokens"])
    setting = setting_from_names(smk.wildcards.setting, params.switches)
    svds = {matrix: read_sides(path, matrix) for matrix, path in zip(params.matrices, files.svd, strict=True)}
    read = readout_matrix(WeightFile(Path(files.unembed)), setting, params.readout)
    gains = {matrix: reading_gains(WeightFile(Path(files.gains)), matrix) for matrix in params.matrices}
    texts, shown = read_token_texts(Path(files.tokens)), {name: options[name] for name in ("windows", "around")}
    columns = find_examples(
        model, passages, svds, setting, params.readout, read, gains, texts, threads=smk.threads, **shown
    )
    digest = hashlib.sha256(passages.text.encode()).hexdigest()
    facts = {"setting": sorted(params.switches), "text_sha256": digest, "text_tokens": len(passages.ids)}
    facts = table_facts(files.provenance, **facts, lines=len(passages.starts), code=params.code)
    write_table(Path(smk.output.examples), columns, EXAMPLES, facts)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
