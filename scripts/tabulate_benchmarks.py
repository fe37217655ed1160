"""Tabulate what each job so far cost, from the files that Snakemake writes for it.

output: benchmarks    params: without (rules that are not listed), models (those of the catalogue)
"""

from pathlib import Path

from svdlens.artefacts.table_schemas import write_table
from svdlens.evaluation.job_costs import BENCHMARKS, benchmark_columns
from svdlens.runtime.script import run
from svdlens.sweep.benchmark_files import benchmark_files

FILES, LOGS = Path("results/benchmarks"), Path("results/logs")


def main(smk):
    files = benchmark_files(FILES, smk.params.without)
    columns = benchmark_columns(files, FILES, LOGS, smk.params.models)
    write_table(Path(smk.output.benchmarks), columns, BENCHMARKS, {"code": smk.params.code})


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
