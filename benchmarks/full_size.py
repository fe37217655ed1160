"""The sweep of the paper over models of full size, and where its time, memory and disk go: `make full-size`.

    python benchmarks/full_size.py [--models gpt2-small gpt2-medium gpt2-large] [--directory results/full_size]
    python benchmarks/full_size.py --models llama-7b-2layers --settings raw --target tokens

Builds models of random weights with the sizes and spectra of trained ones (random_models.py; with GPT-2's tokenizer
where SVDLENS_SHARED or ../shared has it), and runs the workflow over them: nine settings, every control, labels by
coherence, stability, tables and scores, no figures (the target `tables`). Everything is below --directory. What was
interrupted goes on where it was. To measure anew, delete `results` there; models take some minutes and are kept.

It writes full_size.csv, a row for each rule, and full_size.md, the tables for docs/performance.md.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

import pandas as pd  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from cases import DIRECTIONS, random_weights  # noqa: E402
from random_models import MODELS, ModelShape, build_model  # noqa: E402

from svdlens.artefacts.atomic_files import write_text  # noqa: E402
from svdlens.evaluation.job_costs import benchmark_columns  # noqa: E402
from svdlens.figures.benchmarks import rule_costs  # noqa: E402
from svdlens.report.pages import markdown_table  # noqa: E402
from svdlens.spec.settings import list_key, setting_from_names  # noqa: E402
from svdlens.sweep.benchmark_files import benchmark_files  # noqa: E402

CONFIGURATION = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
CORES = len(os.sched_getaffinity(0))
LOOK_EVERY, WALK_EVERY, SAY_EVERY = 1.0, 5.0, 60.0  # seconds: at processes, at files, on the terminal
BYTES_OF_LIST, BYTES_SHARED = 1500, 2800  # of a list: in each setting, and in files that settings share
SHARED = 4  # of nine settings, as many have no SVD or list of another, on average over the kinds of matrices
BYTES_OF_VOCABULARY = 2200  # of a token; this and the numbers above were measured on gpt2-small
OF_SCRIPT = re.compile(r"\.snakemake/scripts/\w+\.(\w+)\.py$")
GIB = 2**30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["gpt2-small", "gpt2-medium", "gpt2-large"])
    parser.add_argument("--settings", nargs="+", choices=CONFIGURATION["settings"])
    parser.add_argument("--target", default="tables")
    parser.add_argument("--directory", type=Path, default=PROJECT / "results/full_size")
    parser.add_argument("--cores", type=at_least_one, default=CORES)
    given = parser.parse_args()
    settings = given.settings or CONFIGURATION["sweep"]["settings"]
    try:
        given.directory.mkdir(parents=True, exist_ok=True)
        lock = (given.directory / "lock").open("w")
    except OSError as error:
        print(f"cannot write to {given.directory}: {error.strerror}. Give another --directory.", file=sys.stderr)
        return 1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print(f"a run is at work in {given.directory}. Wait for it, or give another --directory.", file=sys.stderr)
        return 1
    if lacking := lacking_space(given.directory, given.models, len(settings)):
        print(lacking, file=sys.stderr)
        return 1
    for name in given.models:
        print(f"{name}: building {MODELS[name].n_parameters / 1e6:.0f} million weights", flush=True)
        build_model(name, given.directory / "models" / name, shared_tokenizer())
    write_text(given.directory / "sweep.yaml", yaml.safe_dump(sweep_of(given.models, settings)))
    status = run_sweep(given.directory, given.target, given.cores, lock.fileno())
    if status:
        return status
    report(given.directory, given.models, settings)
    return 0


# --- before


def at_least_one(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return int(text)


def shared_tokenizer() -> Path | None:
    """The directory with GPT-2's tokenizer among the reference data, if it is there."""
    place = Path(os.environ.get("SVDLENS_SHARED", PROJECT.parent / "shared")) / "gpt2-tokenizer"
    return place if (place / "tokenizer.json").exists() else None


def sweep_of(models: Sequence[str], settings: Sequence[str]) -> dict[str, Any]:
    """The configuration, beside the directory `models`. Models have names of their own, not those of the catalogue, and
    the settings that their architecture takes."""
    entries = {
        f"{name}-shape": {"path": f"models/{name}", "architecture": MODELS[name].architecture} for name in models
    }
    return {
        "models": entries,
        "sweep": {"models": list(entries), "settings": list(settings), "labellers": ["coherence"]},
    }


def lists_of(shape: ModelShape) -> int:
    """Token lists of singular vectors in one setting: both sides of OV, MLP-in and MLP-out, both signs."""
    return 2 * directions_of(shape)


def directions_of(shape: ModelShape) -> int:
    return shape.n_layers * (2 * shape.n_heads * min(DIRECTIONS, shape.d_head) + 2 * min(DIRECTIONS, shape.d_model))


def bytes_needed(shape: ModelShape, n_settings: int) -> int:
    """Of a model, its copy in results/models, its raw weights in float32, with the embedding twice, vocabulary and
    lists. An estimate, rather too large."""
    weights = 12 * shape.n_parameters + 4 * shape.d_vocab * shape.d_model
    a_list = BYTES_OF_LIST * n_settings + BYTES_SHARED * min(SHARED, n_settings)
    return weights + BYTES_OF_VOCABULARY * shape.d_vocab + a_list * lists_of(shape)


def lacking_space(directory: Path, models: Sequence[str], n_settings: int) -> str | None:
    """What to say where the disk has no room for the sweep. What is there already counts as room."""
    needed = sum(bytes_needed(MODELS[name], n_settings) for name in models)
    free = shutil.disk_usage(directory).free + disk_use(directory)
    print(f"{needed / GIB:.1f} GiB of disk needed, of {free / GIB:.1f} GiB for {directory}", flush=True)
    if needed < free:
        return None
    return f"no room for that in {directory}. Free some, give another --directory, or fewer --models."


# --- the run


def run_sweep(directory: Path, target: str, cores: int, lock: int) -> int:
    """Run Snakemake, look at it, and write what was seen into runs.json. Returns its exit status.

    It inherits the file descriptor `lock`: so the directory stays locked while it lives, even without this process, and
    a lock of Snakemake's own that is found here was left behind by one that is dead.
    """
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--directory", str(directory)),
        *("--workflow-profile", str(PROJECT / "profiles/default"), "--cores", str(cores), target),
        *("--configfile", str(directory / "sweep.yaml")),
    ]
    environment = os.environ | {"TQDM_DISABLE": "1"}
    log = directory / "snakemake.log"
    print(f"running the sweep on {cores} cores; what Snakemake says: {log}", flush=True)
    with log.open("a", encoding="utf-8") as file:
        out = {"stdout": file, "stderr": subprocess.STDOUT, "env": environment}
        if any((directory / ".snakemake/locks").glob("*")):
            subprocess.run([*command, "--unlock"], check=True, **out)
        start = time.time()
        process = subprocess.Popen(command, pass_fds=[lock], **out)
        try:
            seen = watch(process, directory, start, cores)
        except KeyboardInterrupt:
            print("interrupted; Snakemake ends its jobs. The same command goes on from here.", file=sys.stderr)
            process.wait()
            return 130
    if process.returncode:
        print("\n".join(log.read_text("utf-8").splitlines()[-30:]), file=sys.stderr)
        print(f"the sweep stopped; {log} says why. The same command goes on from here.", file=sys.stderr)
        return 1
    print(f"done in {seen['wall']:.0f} s", flush=True)
    return 0


def watch(process: subprocess.Popen, directory: Path, start: float, cores: int) -> Mapping[str, Any]:
    """Look at a run until it ends: largest resident set by rule, disk use of the directory, processor time of Snakemake
    itself. Written to runs.json again and again, so that what a killed run has shown is not lost."""
    runs = runs_of(directory)
    seen: dict[str, Any] = {"start": start, "cores": cores, "wall": 0.0, "disk": 0, "snakemake_cpu": 0.0, "peaks": {}}
    snakemake = psutil.Process(process.pid)
    walk, say = 0.0, SAY_EVERY
    while True:
        ended = process.poll() is not None
        seen["wall"] = time.time() - start
        if not ended:
            look_at_processes(snakemake, seen)
        if ended or seen["wall"] >= walk:
            walk = seen["wall"] + WALK_EVERY
            seen["disk"] = max(seen["disk"], disk_use(directory))
            seen["jobs"] = len(jobs_since(directory, start))
            write_text(directory / "runs.json", json.dumps([*runs, seen], indent=1))
        if ended:
            return seen
        if seen["wall"] >= say:
            say += SAY_EVERY
            print(f"{seen['wall'] / 60:.0f} min, {seen['jobs']} jobs done, {seen['disk'] / GIB:.1f} GiB", flush=True)
        time.sleep(LOOK_EVERY)


def runs_of(directory: Path) -> list[dict[str, Any]]:
    """The runs so far that did something, since `results` was last deleted."""
    path = directory / "runs.json"
    if not path.exists() or not (directory / "results").exists():
        return []
    return [run for run in json.loads(path.read_text("utf-8")) if run["jobs"]]


def look_at_processes(snakemake: psutil.Process, seen: dict[str, Any]) -> None:
    """The largest resident set so far of each job that is running, in KiB, as the kernel counts it."""
    try:
        seen["snakemake_cpu"] = sum(snakemake.cpu_times()[:2])
        for child in snakemake.children(recursive=True):
            try:
                found = [match[1] for part in child.cmdline() if (match := OF_SCRIPT.search(part))]
                if found and (peak := peak_kib(child)):
                    seen["peaks"][found[0]] = max(peak, seen["peaks"].get(found[0], 0))
            except psutil.Error:
                continue  # it has ended in the meantime
    except psutil.Error:
        return


def peak_kib(process: psutil.Process) -> int:
    """VmHWM of Linux; elsewhere the resident set of the moment."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    except OSError:
        return process.memory_info().rss // 1024


def disk_use(directory: Path) -> int:
    """Bytes that the files of a directory take on disk; files with several names count once."""
    sizes = {}
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                status = Path(place, name).lstat()
                sizes[status.st_dev, status.st_ino] = 512 * status.st_blocks
            except FileNotFoundError:
                continue  # it was temporary
    return sum(sizes.values())


def jobs_since(directory: Path, start: float) -> list[Path]:
    files = benchmark_files(directory / "results/benchmarks")
    return [path for path in files if path.stat().st_mtime >= start]


# --- after


def report(directory: Path, models: Sequence[str], settings: Sequence[str]) -> None:
    """Print and write what the runs so far cost, by rule and in all."""
    benchmarks, logs = directory / "results/benchmarks", directory / "results/logs"
    names = [f"{name}-shape" for name in models]
    table = pd.DataFrame(benchmark_columns(benchmark_files(benchmarks), benchmarks, logs, names))
    runs = runs_of(directory)
    costs = rule_costs(table)
    peaks = pd.DataFrame([run["peaks"] for run in runs]).max() / 1024
    costs["max_rss_mib"] = costs.set_index("rule")["max_rss_mib"].combine(peaks, max).reindex(costs["rule"]).to_numpy()
    costs.to_csv(directory / "full_size.csv", index=False)
    text = f"{rule_table(costs)}\n\n{summary(costs, runs, models, settings)}\n"
    write_text(directory / "full_size.md", text)
    print(f"\n{text}\nWritten to {directory / 'full_size.md'} and full_size.csv")


def rule_table(costs: pd.DataFrame) -> str:
    heads = ("rule", "jobs", "seconds", "longest", "share", "start-up", "peak MiB")
    rows = [
        (
            *(f"`{row.rule}`", row.jobs, f"{row.seconds:.0f}", f"{row.longest:.1f}", f"{row.share:.1%}"),
            *(f"{row.start_up_seconds:.0f}", f"{row.max_rss_mib:.0f}"),
        )
        for row in costs.itertuples()
    ]
    return markdown_table(pd.DataFrame(rows, columns=heads).astype(str))


def summary(
    costs: pd.DataFrame, runs: Sequence[Mapping[str, Any]], models: Sequence[str], settings: Sequence[str]
) -> str:
    """The whole in lines. Core-seconds are wall time times cores. Every job of the sweep has one thread, so that what
    jobs do not take of them, Snakemake takes or nobody."""
    wall, disk = sum(run["wall"] for run in runs), max(run["disk"] for run in runs)
    core_seconds = sum(run["wall"] * run["cores"] for run in runs)
    jobs, start_up = costs["seconds"].sum(), costs["start_up_seconds"].sum()
    snakemake = sum(run["snakemake_cpu"] for run in runs)
    floor = {name: floor_seconds(MODELS[name], settings) for name in models}
    once, all_settings = (sum(pair[part] for pair in floor.values()) for part in (0, 1))
    largest = costs.loc[costs["max_rss_mib"].idxmax()]
    lines = [
        f"{', '.join(models)}; settings: {len(settings)}; cores: {runs[-1]['cores']}; runs: {len(runs)}; "
        f"jobs: {costs['jobs'].sum()}; wall time: {wall:.0f} s ({wall / 60:.1f} min).",
        f"Jobs take {jobs:.0f} of {core_seconds:.0f} core-seconds; the rest, {1 - jobs / core_seconds:.1%}, is "
        f"Snakemake, which itself uses {snakemake:.0f} s of processor time, and cores without a job.",
        f"Start-up of jobs (Python and imports, processor time): {start_up:.0f} s, {start_up / core_seconds:.1%}. "
        f"With the rest above: {1 - (jobs - start_up) / core_seconds:.1%} of all core-seconds.",
        f"Largest peak memory: {largest['max_rss_mib'] / 1024:.2f} GiB ({largest['rule']}). "
        f"Largest disk use: {disk / GIB:.1f} GiB, of which models {built_gib(models):.1f} GiB.",
        f"The floor, bare float32 products of all singular vectors with the unembedding: {once:.3g} s in one setting, "
        f"{all_settings:.3g} s where each that differs is done once. The sweep: {wall / all_settings:.3g} times that.",
    ]
    return "\n".join(f"* {line}" for line in lines)


def built_gib(models: Sequence[str]) -> float:
    bytes_of_weight = {"gpt2": 4, "llama": 2}
    return sum(MODELS[name].n_parameters * bytes_of_weight[MODELS[name].architecture] for name in models) / GIB


def floor_seconds(shape: ModelShape, settings: Sequence[str]) -> tuple[float, float]:
    """Seconds that the products alone take, as in the case whole_model of `make bench`, scaled from 1,024 directions:
    of one setting, and of all settings, those once that have the same directions and unembedding."""
    torch.set_num_threads(CORES)
    W_U, directions = random_weights(shape.d_model, shape.d_vocab), random_weights(1024, shape.d_model, seed=1)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        directions @ W_U
        times.append(time.perf_counter() - start)
    of_kind = {
        "ov": 2 * shape.n_layers * shape.n_heads * min(DIRECTIONS, shape.d_head),
        "mlp_in": shape.n_layers * min(DIRECTIONS, shape.d_model),
        "mlp_out": shape.n_layers * min(DIRECTIONS, shape.d_model),
    }
    prepared = [setting_from_names(name, CONFIGURATION["settings"][name]) for name in settings]
    different = {kind: len({str(list_key(one, kind, ("W_U",))) for one in prepared}) for kind in of_kind}
    once = min(times) / 1024
    return once * sum(of_kind.values()), once * sum(n * different[kind] for kind, n in of_kind.items())


if __name__ == "__main__":
    sys.exit(main())
