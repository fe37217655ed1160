"""Rule collect_control_labels: every label of a control in the sweep in one table."""

from pathlib import Path

import pyarrow.compute as pc

from svdlens.artefacts.sweep_tables import concatenate_tables
from svdlens.artefacts.table_schemas import CONTROL_LABELS
from svdlens.runtime.script import run


def main(smk):
    sources = [
        (Path(path), {"model": model, "setting": setting})
        for path, (model, setting, *_) in zip(smk.input.labels, smk.params.places, strict=True)
    ]
    concatenate_tables(
        sources, Path(smk.output.control_labels), CONTROL_LABELS, pc.field("control").is_valid(), code=smk.params.code
    )


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
