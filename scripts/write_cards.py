"""Rule write_cards: what each direction that reads and writes has on its two sides, and how interpretable these are."""

from pathlib import Path

import pandas as pd
from safetensors.numpy import load_file

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import CARDS, READ_WRITE_GAPS, write_table
from svdlens.effects.cards import card_columns, gap_rows
from svdlens.runtime.script import run


def main(smk):
    matrix = smk.wildcards.matrix
    lists, labels = (pd.read_parquet(path, partitioning=None) for path in (smk.input.tokens, smk.input.labels))
    facts = {"setting": sorted(smk.params.switches), "code": smk.params.code, "labeller": smk.params.labeller}
    facts = table_facts(smk.input.provenance, matrix, **facts)
    cards = card_columns(matrix, load_file(smk.input.svd), lists, labels)
    write_table(Path(smk.output.cards), cards, CARDS, facts)
    gaps = gap_rows(matrix, labels, smk.params.labeller, smk.params.criteria)
    write_table(Path(smk.output.gaps), dict(gaps.items()), READ_WRITE_GAPS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
