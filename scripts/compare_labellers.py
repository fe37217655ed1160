"""Rule compare_labellers: how far labellers agree, and how far each of them goes by the frequency of tokens."""

from pathlib import Path

import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import AGREEMENT, read_metadata, write_table
from svdlens.evaluation.agreement import KEYS, compare
from svdlens.runtime.script import run

COLUMNS = [*KEYS[:-1], "interpretable", "kind", "status", "score", "mean_log_rank"]
PUBLISHED = "which sign was read is unknown, and all rows say +1: agreement is that of the right lists and of others"


def main(smk):
    places, facts = {}, {}
    for path, (model, setting, matrix, labeller) in zip(smk.input.labels, smk.params.labelled, strict=True):
        places.setdefault((model, setting, matrix), {})[labeller] = path
        facts[f"{model}/{setting}/{Path(path).name}"] = read_metadata(path)
    records = []
    for (model, setting, matrix), paths in places.items():
        tables = {name: pq.ParquetFile(path).read(columns=COLUMNS).to_pandas() for name, path in paths.items()}
        constants = {"model": model, "setting": setting, "matrix": matrix}
        records += [constants | record for record in compare(tables, smk.params.seed)]
    columns = {name: [record[name] for record in records] for name in AGREEMENT.names}
    note = {"published": PUBLISHED} if any("published" in paths for paths in places.values()) else {}
    write_table(Path(smk.output.agreement), columns, AGREEMENT, {"code": smk.params.code, "sources": facts, **note})


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
