"""Rule collect_labels: every label of the sweep in one table."""

from pathlib import Path

from svdlens.artefacts.sweep_tables import concatenate_tables
from svdlens.artefacts.table_schemas import LABELS
from svdlens.runtime.script import run


def main(smk):
    sources = [
        (Path(path), {"model": model, "setting": setting})
        for path, (model, setting, *_) in zip(smk.input.labels, smk.params.places, strict=True)
    ]
    concatenate_tables(sources, Path(smk.output.labels), LABELS, code=smk.params.code)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
