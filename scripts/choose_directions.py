"""Rule choose_directions: the directions of an edit, with their lists."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import EDIT_DIRECTIONS, write_table
from svdlens.edit.choice import best_direction, chosen_directions, read_kinds, traced_directions
from svdlens.runtime.script import run
from svdlens.spec.edits import BEST


def main(smk):
    edit, files, params = smk.params.edit, smk.input, smk.params
    spectra, tokens, labels = (read_kinds(one) for one in (files.spectra, files.tokens, files.labels))
    named = best_direction(labels) if edit["directions"] == BEST else edit["directions"]
    if files.trace:
        named = traced_directions(read_kinds(files.trace), named["trace"], named["top"], params.matrices)
    rows = chosen_directions(named, edit["groups"], spectra, tokens, labels, params.proportional)
    facts = table_facts(files.provenance, setting=edit["setting"], code=params.code)
    write_table(Path(smk.output.directions), dict(rows.items()), EDIT_DIRECTIONS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
