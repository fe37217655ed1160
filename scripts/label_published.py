"""Rule label_published: the published answers as labels, and the lists that they are about."""

import json
from pathlib import Path

from svdlens.artefacts.atomic_files import write_text
from svdlens.artefacts.table_schemas import LABELS, write_table
from svdlens.labels.published.answers import label_columns, published_facts, published_lists, read_answers
from svdlens.runtime.script import run


def main(smk):
    model, matrix = smk.wildcards.model, smk.wildcards.matrix
    provenance = Path(smk.input.provenance)
    answers = read_answers(provenance.parent, model, matrix)
    facts = published_facts(json.loads(provenance.read_text(encoding="utf-8")), smk.params.code)
    write_table(Path(smk.output.labels), label_columns(answers, matrix), LABELS, facts)
    lines = [json.dumps(line) + "\n" for line in published_lists(answers)]
    write_text(Path(smk.output.lists), "".join(lines))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
