"""Rule view_labels: the labels of a setting from those that it shares."""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import LABELS, columns_of, read_metadata, write_table
from svdlens.runtime.script import run


def main(smk):
    table = pq.ParquetFile(smk.input.labels).read().filter(pc.field("control").is_null())
    facts = read_metadata(smk.input.labels) | {"setting": sorted(smk.params.switches)}
    write_table(Path(smk.output.labels), columns_of(table), LABELS, facts)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
