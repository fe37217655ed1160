"""Rule compare_labellers: how far a labeller agrees with others about the same lists, and goes by their frequency."""

from pathlib import Path

from svdlens.artefacts.provenance import facts_of_source
from svdlens.artefacts.table_schemas import AGREEMENT, read_metadata, write_table
from svdlens.evaluation.agreement import compare, read_decisions
from svdlens.runtime.script import run


def main(smk):
    labels = read_decisions(Path(smk.input.labels))
    files = dict(zip(smk.params.others, smk.input.others, strict=True))
    others = {name: read_decisions(Path(path)) for name, path in files.items()}
    constants = {"matrix": smk.wildcards.matrix, "first": smk.wildcards.labeller}
    records = [constants | record for record in compare(labels, others, smk.params.seed)]
    columns = {name: [record[name] for record in records] for name in AGREEMENT.names}
    sources = {name: read_metadata(path) for name, path in files.items()}
    source = read_metadata(smk.input.labels)
    facts = facts_of_source(source) | {"labels": source, "others": sources, "code": smk.params.code}
    write_table(Path(smk.output.agreement), columns, AGREEMENT, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
