"""List the figures of Millidge & Black (2022): which of them the sweep makes, and what makes the others.

output: csv, md, html    params: rows (of paper_figures, as mappings)
"""

import csv as csv_format
from pathlib import Path

import pandas as pd

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.report.pages import markdown_table, paper_page
from svdlens.runtime.script import run


def main(smk):
    rows = pd.DataFrame(smk.params.rows)
    rows.insert(0, "made", ["yes" if path else "no" for path in rows["path"]])
    with atomic_path(Path(smk.output.csv)) as path:
        rows.to_csv(path, index=False, lineterminator="\n", quoting=csv_format.QUOTE_NONNUMERIC)
    for name, text in (("md", markdown_table(rows)), ("html", paper_page(rows))):
        with atomic_path(Path(smk.output[name])) as path:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
