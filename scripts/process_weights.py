"""Rule process_weights: all weights of a model as one setting wants them, for use outside svdlens."""

from pathlib import Path

import torch

from svdlens.artefacts.provenance import table_facts
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names
from svdlens.weights.factors import processed_weights
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    torch.set_num_threads(smk.threads)
    setting = setting_from_names(smk.wildcards.setting, smk.params.switches)
    files = [WeightFile(Path(smk.input[group])) for group in ("attention", "mlp", "unembed")]
    facts = table_facts(smk.input.provenance, setting=sorted(smk.params.switches), code=smk.params.code)
    save_tensors(Path(smk.output.weights), processed_weights(*files, setting), facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
