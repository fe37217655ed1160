"""What jobs cost, from the files that Snakemake writes: every number in its row, the unknown as null, sums by rule."""

from pathlib import Path

import pandas as pd
import pytest
from snakemake.benchmark import BenchmarkRecord, write_benchmark_records

from svdlens.artefacts.table_schemas import write_table
from svdlens.errors import SvdlensError
from svdlens.evaluation.job_costs import BENCHMARKS, benchmark_columns
from svdlens.figures.benchmarks import LARGEST, draw_figures, rule_costs
from svdlens.sweep.benchmark_files import benchmark_files


def write_job(directory: Path, job: str, start_up: str | None = None, **measured: float) -> None:
    """The benchmark of a job, by Snakemake, and its log. A job of which only the time is given was over too soon."""
    path, log = directory / f"benchmarks/{job}.tsv", directory / f"logs/{job}.log"
    for file in (path, log):
        file.parent.mkdir(parents=True, exist_ok=True)
    record = BenchmarkRecord(**measured)
    record.data_collected = len(measured) > 1
    write_benchmark_records([record], str(path), extended_fmt=False)
    log.write_text("INFO a library: hello\n" + (start_up or ""))


def read_jobs(directory: Path, without: tuple[str, ...] = ()) -> pd.DataFrame:
    files = benchmark_files(directory / "benchmarks", without)
    columns = benchmark_columns(files, directory / "benchmarks", directory / "logs", ["m", "n"])
    write_table(directory / "benchmarks.parquet", columns, BENCHMARKS, {})
    return pd.read_parquet(directory / "benchmarks.parquet")


def test_every_number_is_in_the_row_of_its_job(tmp_path: Path) -> None:
    measured = {"max_rss": 700.5, "max_vms": 1, "max_uss": 2, "max_pss": 3, "io_in": 4, "io_out": 5, "cpu_usage": 6}
    started = "INFO svdlens.runtime.script: start-up: 1.25 s of processor time\n"
    write_job(tmp_path, "work/m/raw/ov", started, running_time=12.5, cpu_time=20.25, **measured)
    write_job(tmp_path, "gather/gather", running_time=0.2)
    write_job(tmp_path, "left_out/left_out", running_time=9)
    (tmp_path / "benchmarks/bench.csv").write_text("of another tool")
    table = read_jobs(tmp_path, ("left_out",))
    short, long = (row._asdict() for row in table.itertuples(index=False))
    assert (short["rule"], short["job"], short["seconds"]) == ("gather", "gather", 0.2)
    assert pd.isna([short[name] for name in ("model", "cpu_seconds", "max_rss_mib", "start_up_seconds")]).all()
    expected = {"seconds": 12.5, "cpu_seconds": 20.25, "start_up_seconds": 1.25, "max_rss_mib": 700.5}
    expected |= {"rule": "work", "job": "m/raw/ov", "model": "m", "read_mib": 4, "written_mib": 5}
    assert long == expected


HEADER = b"s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.mark.parametrize(
    "content", [b"s\th:m:s\n1\t0:00:01\n", b"", HEADER, HEADER + b"1\t0:00:01\t2", b"\xd5\xb5\0\n\xd5"]
)
def test_a_file_that_is_none_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "benchmarks/work/m.tsv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(SvdlensError, match=r"work/m\.tsv does not say what one job cost\. Delete it"):
        read_jobs(tmp_path)


def test_a_directory_and_a_link_to_nowhere_are_no_jobs(tmp_path: Path) -> None:
    write_job(tmp_path, "work/m", running_time=1)
    (tmp_path / "benchmarks/work/n.tsv").mkdir()
    (tmp_path / "benchmarks/work/o.tsv").symlink_to("nowhere")
    assert list(read_jobs(tmp_path)["job"]) == ["m"]


def test_seconds_are_summed_and_memory_is_the_largest(tmp_path: Path) -> None:
    rows = [(f"r{rule:02}", 10.0 - job, 100.0 * job) for rule in range(LARGEST + 3) for job in range(rule + 1)]
    table = pd.DataFrame(rows, columns=["rule", "seconds", "max_rss_mib"]).assign(start_up_seconds=0.5)
    costs = rule_costs(table).set_index("rule")
    assert costs["share"].sum() == pytest.approx(1)
    assert costs["seconds"].is_monotonic_decreasing
    assert costs.loc["r03"].to_dict() == pytest.approx(
        {"jobs": 4, "seconds": 34, "longest": 10, "share": 34 / table["seconds"].sum(), "start_up_seconds": 2}
        | {"max_rss_mib": 300}
    )
    table.to_parquet(tmp_path / "benchmarks.parquet")
    [(data, figure)] = draw_figures({"benchmarks": tmp_path / "benchmarks.parquet"}, [{}], {})
    assert data["rule"].tolist() == costs.index.tolist()
    left, right = figure.axes
    # What has no bar of its own is in the last one.
    work, start_up = (sum(bar.get_width() for bar in bars) for bars in left.containers)
    assert work == pytest.approx(table["seconds"].sum()) and start_up == pytest.approx(0.5 * len(table))
    assert len(right.patches) == LARGEST + 1
    assert max(bar.get_width() for bar in right.patches) == table["max_rss_mib"].max()
