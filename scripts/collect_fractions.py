"""Rule collect_fractions: the fractions interpretable, of the whole sweep."""

from pathlib import Path

from svdlens.artefacts.table_schemas import FRACTIONS, read_metadata, write_table
from svdlens.evaluation.fractions import fractions_of_sweep
from svdlens.runtime.script import run


def main(smk):
    places = [tuple(place) for place in smk.params.places]
    files = [Path(path) for path in smk.input.labels]
    table = fractions_of_sweep(files, places, smk.params.criteria)
    facts = {
        f"{model}/{setting}/{path.name}": read_metadata(path)
        for path, (model, setting, *_) in zip(files, places, strict=True)
    }
    write_table(
        Path(smk.output.fractions),
        {name: table[name] for name in FRACTIONS.names},
        FRACTIONS,
        {"sources": facts, "code": smk.params.code},
    )


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
