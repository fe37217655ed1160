"""Rule label_directions: which token lists hang together, by the labeller `coherence`, and which controls do."""

from pathlib import Path

import pyarrow.parquet as pq

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import CONTROL_LABELS, LABELS, write_table
from svdlens.labels.coherence.labeller import Coherence
from svdlens.labels.label_table import Choice, label_tables
from svdlens.models.token_texts import read_vocabulary
from svdlens.runtime.script import run
from svdlens.vocabulary.token_features import load_vocabulary


def main(smk):
    matrix, switches = smk.wildcards.matrix, sorted(smk.params.switches)
    facts = table_facts(smk.input.provenance, matrix, setting=switches, code=smk.params.code)
    texts = read_vocabulary(Path(smk.input.provenance).parent)
    vocabulary = load_vocabulary(Path(smk.input.embeddings), Path(smk.input.classes), texts)
    # A model labelled by itself: its labels are no independent evidence.
    facts["labeller_network"] = vocabulary.facts["minilm_sha256"] in facts["weights_sha256"].values()
    facts["token_frequency"] = vocabulary.facts["token_frequency"]

    tables = {name: pq.ParquetFile(smk.input[name]).read() for name in ("tokens", *smk.params.controls)}
    labeller = Coherence(vocabulary, smk.params.level, smk.params.seed)
    labelled = label_tables(tables, labeller, vocabulary, Choice(**smk.params.choice))
    for name, columns in labelled.items():
        output, schema = ("labels", LABELS) if name == "tokens" else (name, CONTROL_LABELS)
        write_table(Path(smk.output[output]), columns, schema, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
