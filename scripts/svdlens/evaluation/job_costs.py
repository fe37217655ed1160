"""What every job cost, from the files that Snakemake writes beside its logs, as one table."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from svdlens.artefacts.table_schemas import CATEGORY
from svdlens.errors import SvdlensError
from svdlens.runtime.script import START_UP
from svdlens.sweep.benchmark_files import job_of

BENCHMARKS = pa.schema(
    [
        ("rule", CATEGORY),
        ("job", pa.string()),
        ("model", CATEGORY),
        *[
            (name, pa.float64())
            for name in ("seconds", "cpu_seconds", "start_up_seconds", "max_rss_mib", "read_mib", "written_mib")
        ],
    ]
)
MEASURED = {
    "seconds": "s",
    "cpu_seconds": "cpu_time",
    "max_rss_mib": "max_rss",
    "read_mib": "io_in",
    "written_mib": "io_out",
}
"""Columns of the table, and what Snakemake calls them."""
START_UP_LINE = re.compile(re.escape(START_UP).replace("%\\.2f", "([0-9.]+)"))


def benchmark_columns(files: Sequence[Path], benchmarks: Path, logs: Path, models: Sequence[str]) -> dict[str, Any]:
    """Columns of BENCHMARKS, a row for each of `files`, which are in the directory `benchmarks`.

    `logs` is the directory with their logs under the same names, where jobs say how long their start-up took. A job is
    of a model if the first part of its name is one of `models`. Raises SvdlensError for a file that has not what
    Snakemake writes.
    """
    rows = list(benchmark_rows(files, benchmarks, logs, models))
    return {name: [row[name] for row in rows] for name in BENCHMARKS.names}


def benchmark_rows(
    files: Sequence[Path], benchmarks: Path, logs: Path, models: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for path in files:
        rule, job = job_of(path, benchmarks)
        model = job.split("/")[0]
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            lines = list(csv.DictReader(file, delimiter="\t"))
        # Of a line that is cut short the last columns are None.
        if len(lines) != 1 or any(lines[0].get(key) is None for key in MEASURED.values()):
            raise SvdlensError(f"{path} does not say what one job cost. Delete it; no result is made from it.")
        yield {
            "rule": rule,
            "job": job,
            "model": model if model in models else None,
            **{name: number(lines[0][key]) for name, key in MEASURED.items()},
            "start_up_seconds": start_up(logs / rule / f"{job}.log"),
        }


def number(text: str) -> float | None:
    """What a benchmark file says; None for NA and -, which stand for a job that ended before it was looked at."""
    try:
        return float(text)
    except ValueError:
        return None


def start_up(log: Path) -> float | None:
    """Seconds until the job whose log this is came to its work; None where the log does not say."""
    if not log.is_file():
        return None
    found = START_UP_LINE.search(log.read_text("utf-8", errors="replace"))
    return float(found[1]) if found else None
