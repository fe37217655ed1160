"""Which jobs have run: the files in which Snakemake writes what each cost. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path


def benchmark_files(benchmarks: Path, without: Sequence[str] = ()) -> list[Path]:
    """{rule}/**/{job}.tsv in the directory `benchmarks`, by rule and job; not those of the rules `without`."""
    files = sorted(path for path in benchmarks.glob("*/**/*.tsv") if path.is_file())
    return [path for path in files if path.relative_to(benchmarks).parts[0] not in without]


def job_of(path: Path, benchmarks: Path) -> tuple[str, str]:
    """Rule and job of one of these files: its log has the same name."""
    rule, *names = path.relative_to(benchmarks).with_suffix("").parts
    return rule, "/".join(names)
