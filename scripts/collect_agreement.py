"""Rule collect_agreement: how far labellers of the sweep agree, in one table."""

from pathlib import Path

from svdlens.artefacts.sweep_tables import sweep_schema
from svdlens.artefacts.table_schemas import AGREEMENT, read_metadata, write_table
from svdlens.evaluation.agreement import agreement_of_sweep
from svdlens.runtime.script import run


def main(smk):
    places = [tuple(place) for place in smk.params.places]
    files = [Path(path) for path in smk.input.agreement]
    schema = sweep_schema(AGREEMENT)
    table = agreement_of_sweep(files, places)
    facts = {
        f"{model}/{setting}/{path.name}": read_metadata(path)
        for path, (model, setting, *_) in zip(files, places, strict=True)
    }
    columns = {name: table[name] for name in schema.names}
    write_table(Path(smk.output.agreement), columns, schema, {"sources": facts, "code": smk.params.code})


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
