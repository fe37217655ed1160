"""Rule label_directions: which token lists hang together, by the coherence labeller, and which controls do."""

from pathlib import Path

import pyarrow.parquet as pq
from safetensors import safe_open

from svdlens.job import run
from svdlens.labels import label_tables
from svdlens.provenance import table_facts
from svdlens.tables import CONTROL_LABELS, LABELS, write_table
from svdlens.vocabulary import read_vocabulary


def main(smk):
    matrix, switches = smk.wildcards.matrix, sorted(smk.params.switches)
    facts = table_facts(smk.input.provenance, matrix, setting=switches, code=smk.params.code)
    with safe_open(smk.input.embeddings, framework="numpy") as file:
        embeddings, network = file.get_tensor("embeddings"), file.metadata()["minilm_sha256"]
    # A model labelled by itself: its labels are no independent evidence.
    facts["labeller_network"] = network in facts["weights_sha256"].values()

    texts = read_vocabulary(Path(smk.input.provenance).parent)
    tables = {name: pq.ParquetFile(smk.input[name]).read() for name in ("tokens", *smk.params.controls)}
    labelled = label_tables(tables, texts, embeddings, smk.params.level, smk.params.seed)
    for name, columns in labelled.items():
        output, schema = ("labels", LABELS) if name == "tokens" else (name, CONTROL_LABELS)
        write_table(Path(smk.output[output]), columns, schema, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
