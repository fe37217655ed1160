"""Rule extract_weights: a model's raw weights in TransformerLens' shapes, once for all settings."""

from pathlib import Path

import torch

from svdlens.artefacts.provenance import table_facts
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run
from svdlens.weights.extraction import GROUPS, extract_steps, extract_weights


def main(smk):
    torch.set_num_threads(smk.threads)
    model_directory = Path(smk.input.provenance).parent
    restore_lost_files(model_directory, "fetch_model", smk.params.source)
    facts = table_facts(smk.input.provenance, code=smk.params.code)
    extract_weights(model_directory, {group: Path(smk.output[group]) for group in GROUPS}, facts)
    extract_steps(model_directory, Path(smk.output.steps), facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
