"""Rule list_findings: what the sweep found, in sentences."""

from pathlib import Path

import pandas as pd

from svdlens.artefacts.atomic_files import write_text
from svdlens.evaluation.findings import findings
from svdlens.runtime.script import run


def main(smk):
    fractions = pd.read_parquet(smk.input.fractions)
    sentences = findings(fractions, smk.params.labeller, smk.params.criterion, smk.params.n)
    write_text(Path(smk.output.findings), "".join(f"* {sentence}\n" for sentence in sentences))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
