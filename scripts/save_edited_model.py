"""Rule save_edited_model: an edited model as a directory that transformers and TransformerLens load."""

from pathlib import Path

import pandas as pd
import torch

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.edit.saved_model import edit_weights, save_model
from svdlens.edit.vectors import edited_matrices, updates_of
from svdlens.models.load import load_fetched_model
from svdlens.runtime.script import run
from svdlens.spec.edits import plain_eps
from svdlens.spec.settings import setting_from_names


def main(smk):
    torch.set_num_threads(1)
    files, edit = smk.input, smk.params.edit
    directory = Path(files.provenance).parent
    model = load_fetched_model(directory, edit["model"], smk.params.source)
    svd = dict(zip(smk.params.matrices, files.svd, strict=True))
    matrices = edited_matrices(pd.read_parquet(files.directions), svd)
    setting = setting_from_names(edit["setting"], smk.params.switches)
    eps = read_metadata(files.fitted[0])["eps"] if files.fitted else plain_eps(edit["eps"])
    edit_weights(model, updates_of(model, setting, matrices, eps))
    save_model(model, directory, Path(smk.output.model))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
