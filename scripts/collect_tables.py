"""Rule collect_tables: one table of each kind for the whole sweep, and the fractions interpretable."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from svdlens.fractions import fractions_of_readouts
from svdlens.job import run
from svdlens.tables import FRACTIONS, LABELS, SPECTRA, TOKENS, concatenate_tables, read_metadata, write_table


def main(smk):
    for name, schema in (("spectra", SPECTRA), ("tokens", TOKENS), ("labels", LABELS)):
        sources = [
            (Path(path), {"model": model, "setting": setting})
            for path, (model, setting) in zip(smk.input[name], smk.params.sweep, strict=True)
        ]
        concatenate_tables(sources, Path(smk.output[name]), schema)

    pieces, facts = [], {}
    for labels, controls, (model, setting) in zip(
        smk.input.labels, smk.input.control_labels, smk.params.sweep, strict=True
    ):
        rows = pq.ParquetFile(labels).read().to_pandas()
        control_rows = pq.ParquetFile(controls).read().to_pandas()
        piece = fractions_of_readouts(rows, control_rows, smk.params.labelling_rule)
        constants = {name: rows[name].iloc[0] for name in ("matrix", "labeller")}
        pieces.append(piece.assign(model=model, setting=setting, **constants))
        facts[f"{model}/{setting}/{Path(labels).name}"] = read_metadata(labels)
    table = pd.concat(pieces, ignore_index=True)
    columns = {name: table[name] for name in FRACTIONS.names}
    write_table(Path(smk.output.fractions), columns, FRACTIONS, {"sources": facts})


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
