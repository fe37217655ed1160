"""Rule measure_edit: what an edit does to target tokens, beside controls, and to a neutral text."""

from pathlib import Path

import pandas as pd
import torch

from svdlens.artefacts.atomic_files import write_text
from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import write_table
from svdlens.edit.experiment import Experiment, measure_edit
from svdlens.evaluation.edit_summary import edit_tables
from svdlens.models.load import load_fetched_model
from svdlens.models.token_table import read_token_texts
from svdlens.models.token_windows import read_text
from svdlens.runtime.script import run
from svdlens.spec.edits import LISTED, WRITTEN, plain_eps
from svdlens.spec.settings import setting_from_names


def main(smk):
    torch.set_num_threads(1)  # the same bytes, and no threads that wait for each other
    files, params, edit = smk.input, smk.params, smk.params.edit
    directory = Path(files.provenance).parent
    given = {"directions": pd.read_parquet(files.directions), "eps": plain_eps(edit["eps"]), "path": edit["path"]}
    given |= {"svd": dict(zip(params.matrices, files.svd, strict=True)), "seed": params.seed}
    given |= {"weights": {group: files[group] for group in ("attention", "mlp")}}
    given |= {"prompts": files.get("prompts") or edit.get("prompts"), "text": read_text(Path(files.text))}
    given |= {"texts": read_token_texts(Path(files.tokens)), "setting": setting_from_names("", params.switches)}
    features = pd.read_parquet(files.features, columns=["log_rank", "is_word"])
    given |= {"log_ranks": features["log_rank"].to_numpy(), "is_word": features["is_word"].to_numpy()}
    model = load_fetched_model(directory, edit["model"], params.source)
    found = measure_edit(Experiment(model=model, directory=directory, **given))

    facts = {"setting": edit["setting"], "eps": found.eps, "path": edit["path"], "code": params.code}
    facts |= {"targets": WRITTEN if given["prompts"] else LISTED} | ({"fit": found.fit} if found.fit else {})
    facts = table_facts(files.provenance, **facts)
    for name, (columns, schema) in edit_tables(found.effect, found.doses, found.spectrum, params.seed).items():
        write_table(Path(smk.output[name]), columns, schema, facts)
    texts = pd.DataFrame(found.continuations).to_csv(index=False, lineterminator="\n", quoting=1)  # all in quotes
    write_text(Path(smk.output.continuations), texts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
