"""Rule collect_tables: one table of each kind for the whole sweep, and the fractions interpretable."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import (
    FRACTIONS,
    LABELS,
    SPECTRA,
    TOKENS,
    concatenate_tables,
    read_metadata,
    write_table,
)
from svdlens.evaluation.fractions import fractions_of_readouts
from svdlens.runtime.script import run


def main(smk):
    places = {"spectra": smk.params.sweep, "tokens": smk.params.sweep, "labels": smk.params.labelled}
    for name, schema in (("spectra", SPECTRA), ("tokens", TOKENS), ("labels", LABELS)):
        sources = [
            (Path(path), {"model": place[0], "setting": place[1]})
            for path, place in zip(smk.input[name], places[name], strict=True)
        ]
        concatenate_tables(sources, Path(smk.output[name]), schema)

    pieces, facts = [], {}
    control_files = iter(smk.input.control_labels)
    for labels, (model, setting, labeller) in zip(smk.input.labels, smk.params.labelled, strict=True):
        rows = pq.ParquetFile(labels).read().to_pandas()
        controls = None
        if labeller in smk.params.with_controls:
            controls = pq.ParquetFile(next(control_files)).read().to_pandas()
        matrix = Path(labels).name.split(".")[0]
        constants = {"model": model, "setting": setting, "matrix": matrix, "labeller": labeller}
        for rule in smk.params.labelling_rules[labeller]:
            pieces.append(fractions_of_readouts(rows, controls, rule).assign(**constants))
        facts[f"{model}/{setting}/{Path(labels).name}"] = read_metadata(labels)
    table = pd.concat(pieces, ignore_index=True)
    columns = {name: table[name] for name in FRACTIONS.names}
    write_table(Path(smk.output.fractions), columns, FRACTIONS, {"sources": facts})


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
