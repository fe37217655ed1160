"""Rule collect_scores: how labels of the sweep do in tests, in one table."""

from pathlib import Path

from svdlens.artefacts.sweep_tables import concatenate_tables
from svdlens.artefacts.table_schemas import SCORES
from svdlens.runtime.script import run


def main(smk):
    sources = [
        (Path(path), {"model": model, "setting": setting})
        for path, (model, setting, *_) in zip(smk.input.scores, smk.params.places, strict=True)
    ]
    concatenate_tables(sources, Path(smk.output.scores), SCORES, code=smk.params.code)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
