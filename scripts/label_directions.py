"""Rule label_directions: which token lists hang together, by the coherence labeller, and which controls do."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load_file

from svdlens.job import run
from svdlens.labels import label_by_coherence
from svdlens.provenance import table_facts
from svdlens.tables import CONTROL_LABELS, LABELS, ROW_KEYS, write_table
from svdlens.vocabulary import read_vocabulary


def main(smk):
    facts = table_facts(smk.input.provenance, setting=sorted(smk.params.switches), code=smk.params.code)
    texts = read_vocabulary(Path(smk.input.provenance).parent)
    embeddings = load_file(smk.input.embeddings)["embeddings"]
    tables = [pq.ParquetFile(path).read() for path in (smk.input.tokens, smk.input.random_unit)]
    rows, controls = (np.stack(table["token_ids"].to_numpy()) for table in tables)
    labelled = label_by_coherence(rows, controls, texts, embeddings, smk.params.level, smk.params.seed)

    keys = [name for name, _ in ROW_KEYS]
    for table, columns, path, schema in zip(
        tables, labelled, (smk.output.labels, smk.output.random_unit), (LABELS, CONTROL_LABELS), strict=True
    ):
        names = [*keys, "control"] if schema is CONTROL_LABELS else keys
        columns |= {name: table[name].combine_chunks() for name in names}
        write_table(Path(path), columns, schema, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
