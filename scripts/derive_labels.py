"""Rule derive_labels: labels of a setting whose token lists, and so their labels, another setting has already."""

from pathlib import Path

import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import CONTROL_LABELS, LABELS, read_metadata, write_table
from svdlens.runtime.script import run


def main(smk):
    for name, path in smk.output.items():
        source = Path(smk.input[name])
        facts = read_metadata(source) | {"setting": sorted(smk.params.switches), "code": smk.params.code}
        table = pq.ParquetFile(source).read()
        columns = {column: table[column].combine_chunks() for column in table.column_names}
        write_table(Path(path), columns, LABELS if name == "labels" else CONTROL_LABELS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
