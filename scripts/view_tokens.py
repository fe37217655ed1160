"""Rule view_tokens: the token lists of a setting, and those of its controls, from the lists that it shares."""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import CONTROLS, TOKENS, columns_of, read_metadata, write_table
from svdlens.readout.token_table import with_vocab_center
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names


def main(smk):
    setting = setting_from_names(smk.wildcards.setting, smk.params.switches)
    table = pq.ParquetFile(smk.input.lists).read()
    facts = read_metadata(smk.input.lists) | {"setting": sorted(smk.params.switches)}
    outputs = [(smk.output.tokens, TOKENS, pc.field("control").is_null())]
    for path, control in zip(smk.output.controls, smk.params.controls, strict=True):
        outputs.append((path, CONTROLS, pc.field("control") == control))
    for path, schema, rows in outputs:
        columns = columns_of(table.filter(rows))
        # Taken from the scores here, so that settings with and without it share their lists.
        columns = with_vocab_center(columns) if setting.vocab_center else columns
        write_table(Path(path), columns, schema, facts)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
