"""Rule label_directions: what a labeller says of the token lists of one kind of matrix, and of its controls."""

import importlib
from pathlib import Path

import pyarrow.parquet as pq

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import CONTROL_LABELS, write_table
from svdlens.labels.label_table import Choice, label_table
from svdlens.labels.registry import LABELLERS
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run
from svdlens.spec.settings import switches_on
from svdlens.vocabulary.token_features import load_features


def main(smk):
    matrix, entry, params = smk.wildcards.matrix, LABELLERS[smk.wildcards.labeller], smk.params
    module = importlib.import_module(entry.module)
    files = {name: Path(smk.input[name]) for name in (*entry.files, *(["answers"] if entry.asks else []))}
    if entry.lists:
        if params.source:
            restore_lost_files(files["answers"].parent, "fetch_published", params.source)
        columns, facts = module.own_labels(files, smk.wildcards.model, matrix)
        columns["control"] = [None] * len(columns["sign"])
    else:
        labeller = module.labeller_from_files(files, params.parameters, params.seed)
        features = load_features(Path(smk.input.features), Path(smk.input.classes))
        lists = pq.ParquetFile(smk.input.lists).read()
        if entry.sampled:
            lists = labeller.known(lists)
        columns, calibration = label_table(lists, entry.name, labeller, features, Choice(**params.choice))
        switches = switches_on(smk.wildcards)
        facts = table_facts(smk.input.provenance, matrix, setting=switches, **labeller.facts, calibration=calibration)
        # A model labelled by itself: its labels are no independent evidence.
        facts["labeller_network"] = any(fact in facts["weights_sha256"].values() for fact in labeller.facts.values())
    write_table(Path(smk.output.labels), columns, CONTROL_LABELS, {**facts, "code": params.code})


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
