"""List the files of the data sets that the sweep makes, so that those of other configurations are told apart.

output: csv    params: files (data set and path of each)
"""

import csv
from pathlib import Path

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.runtime.script import run


def main(smk):
    with atomic_path(Path(smk.output.csv)) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("data_set", "path"), *smk.params.files])


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
