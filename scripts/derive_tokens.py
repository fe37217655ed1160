"""Rule derive_tokens: tokens of a setting whose lists another setting has already."""

from pathlib import Path

import pyarrow.parquet as pq

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import CONTROLS, TOKENS, write_table
from svdlens.readout.token_table import with_vocab_center
from svdlens.runtime.script import run


def main(smk):
    facts = table_facts(
        smk.input.provenance, smk.wildcards.matrix, setting=sorted(smk.params.switches), code=smk.params.code
    )
    for name, path in smk.output.items():
        table = pq.ParquetFile(smk.input[name]).read()
        columns = {column: table[column].combine_chunks() for column in table.column_names}
        if smk.params.shift:
            columns = with_vocab_center(columns)
        write_table(Path(path), columns, TOKENS if name == "tokens" else CONTROLS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
