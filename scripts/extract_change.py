"""Rule extract_change: the weights of a difference or an adapter, once for all settings."""

from pathlib import Path

import torch

from svdlens.artefacts.provenance import table_facts
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run
from svdlens.weights.change_extraction import extract_adapter, extract_difference


def main(smk):
    torch.set_num_threads(smk.threads)
    own, *models = (Path(path).parent for path in (smk.input.provenance, *smk.input.models))
    for directory in (*models, own):
        restore_lost_files(directory, "fetch_model", smk.params.sources[directory.name])
    outputs = {name: Path(path) for name, path in smk.output.items()}
    facts = table_facts(smk.input.provenance, code=smk.params.code)
    if "diff" in smk.params.sources[own.name]:
        extract_difference(*models, smk.params.matrices, outputs, own.name, facts)
    else:
        extract_adapter(own, *models, smk.params.matrices, outputs, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
