"""Write the pages of the report that are no figures.

input: provenance (of every model), fractions, scores, agreement (tables of the sweep), paper (list_paper_figures),
    method
output: method, configuration, models, fractions, scores, agreement, not_made (html)
params: config, missing (what the sweep leaves out, as mappings)
"""

from pathlib import Path

import pandas as pd

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.report.pages import (
    agreement_page,
    configuration_page,
    fractions_page,
    models_page,
    not_made_page,
    scores_page,
)
from svdlens.runtime.script import run


def main(smk):
    pages = {
        "method": Path(smk.input.method).read_text(encoding="utf-8"),
        "configuration": configuration_page(smk.params.config),
        "models": models_page(smk.input.provenance),
        "fractions": fractions_page(pd.read_parquet(smk.input.fractions)),
        "scores": scores_page(pd.read_parquet(smk.input.scores, dtype_backend="numpy_nullable")),
        "agreement": agreement_page(pd.read_parquet(smk.input.agreement, dtype_backend="numpy_nullable")),
        "not_made": not_made_page(smk.params.missing, pd.read_csv(smk.input.paper, keep_default_na=False)),
    }
    for name, page in pages.items():
        with atomic_path(Path(smk.output[name])) as path:
            path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
