# What the jobs of a sweep cost. On request, `snakemake benchmarks`, after the sweep: it is of the jobs that are done by then, and
# no part of everything, since its numbers are others in each run.
#
# needs   results/benchmarks/{rule}/**.tsv, results/logs/{rule}/**.log: what there is
# makes   results/tables/benchmarks.parquet

from svdlens.sweep.benchmark_files import benchmark_files

OF_THESE = ["tabulate_benchmarks", "plot_benchmarks"]


def benchmark_dates(wildcards):
    """Each file with the time of its job, so that the table is made again after any."""
    files = benchmark_files(Path("results/benchmarks"), OF_THESE)
    return {str(path): path.stat().st_mtime_ns for path in files}


rule tabulate_benchmarks:
    """What each job so far cost, in seconds and memory."""
    output:
        benchmarks="results/tables/benchmarks.parquet",
    log:
        "results/logs/tabulate_benchmarks/tabulate_benchmarks.log",
    benchmark:
        "results/benchmarks/tabulate_benchmarks/tabulate_benchmarks.tsv"
    # After what else was asked for in the same call, as far as that is ready.
    priority: -1
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        dates=benchmark_dates,
        without=OF_THESE,
        models=list(config["models"]),
        code=code_hash("tabulate_benchmarks"),
    script:
        "../scripts/tabulate_benchmarks.py"
