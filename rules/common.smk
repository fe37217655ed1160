# What every rules file uses: the configuration, checked; the sweep; the hash of a rule's code; constraints of wildcards.
# What can be a pure function of the configuration is one in scripts/svdlens/sweep.
import os
import re
import sys
from pathlib import Path

PROJECT = Path(workflow.basedir)
sys.path.insert(0, str(PROJECT / "scripts"))

# Snakemake puts the path of Python into shell commands as it is, and on clusters its directory, too, so that quotes
# around the whole would not do. With backslashes it is no file any more: once is enough.
if Path(sys.executable).exists():
    sys.executable = re.sub(r"[^\w@%+=:,./-]", r"\\\g<0>", sys.executable)

from svdlens.errors import SvdlensError
from svdlens.labels.registry import LABELLERS
from svdlens.runtime.running import confirm_run, start_run
from svdlens.spec.controls import CONTROLS
from svdlens.spec.matrix_kinds import MATRIX_KINDS, SCALED
from svdlens.spec.settings import LIST_SWITCHES
from svdlens.sweep import paths
from svdlens.sweep.asked_files import check_labelled_place, check_place
from svdlens.sweep.code_hash import CodeHashes
from svdlens.sweep.command_line import read_numbers
from svdlens.sweep.config_checks import check_configuration, load_schema, take_copies
from svdlens.sweep.config_files import check_keys, file_of, read_config_files
from svdlens.sweep.job_resources import memory, minutes
from svdlens.sweep.named_files import content_digest, expand_home
from svdlens.sweep.plan import LabelledPlace, Place, Sweep


def stop(message):
    """Say it and stop. An exception of any other kind Snakemake would print with the code that raised it."""
    raise SystemExit(f"svdlens: {message}")


def stop_for_configuration(error):
    """Say what is wrong with the configuration, and in which of its files."""
    given = workflow.config_settings
    files = read_config_files([PROJECT / "config.yaml", *given.configfiles], given.config)
    file = file_of(str(error), files)
    stop(f"configuration{f' in {os.path.relpath(file)}' if file else ''}: {error}")


if set("{}") & set(str(PROJECT)):
    stop(f"cannot work in {PROJECT}: Snakemake reads {{ and }} as wildcards. Move it to a directory without them.")

SCHEMA = load_schema(PROJECT / "rules/config.schema.yaml")
read_numbers(config, workflow.config_settings.config, SCHEMA)
try:
    check_keys(map(Path, workflow.config_settings.configfiles))
    check_configuration(config, SCHEMA)
    expand_home(config)
except SvdlensError as error:
    stop_for_configuration(error)

take_copies(config)
SWEEP = Sweep(config)
code_hash = CodeHashes(PROJECT / "scripts")


def checked_place(model, setting, matrix=None):
    """A place that someone asked for by the path of a file, in the sweep or not."""
    place = Place(model, setting, matrix)
    try:
        check_place(SWEEP, place)
    except SvdlensError as error:
        stop(f"no such file: {error}")
    return place


def setting_place(wildcards):
    """The place of a file under model=.../setting=...."""
    return checked_place(wildcards.model, wildcards.setting, wildcards.get("matrix"))


def setting_switches(wildcards):
    """The switches and flags of a setting, as the configuration names them."""
    return config["settings"][setting_place(wildcards).setting]


def model_readouts(wildcards):
    return SWEEP.choice(wildcards.model, "readouts")


def project_path(path):
    """A file of the project, relative to the working directory."""
    return os.path.relpath(PROJECT / path)


def check_results_is_no_file():
    """Snakemake would break off with a traceback while it builds the DAG."""
    results = Path("results").absolute()
    if results.exists() and not results.is_dir():
        stop(f"{results} is a file, and results go into a directory of that name. Move the file away.")


def check_results_directory():
    """Snakemake reports a directory that it cannot write to job by job; once, and first, is kinder."""
    directory = Path("results").absolute()
    while not directory.exists():
        directory = directory.parent
    if not os.access(directory, os.W_OK):
        stop(
            f"{directory} is read-only, and results/ goes there. Give yourself the right to write (chmod), or run in "
            "another directory: snakemake --directory DIR"
        )


def check_paths_on_cluster():
    """Into the commands of jobs on a cluster Snakemake puts paths as Python writes them, which a shell may read otherwise."""
    as_script = getattr(workflow.executor_settings, "pass_command_as_script", True)
    for path in (str(PROJECT), os.getcwd(), *map(str, workflow.config_settings.configfiles)):
        special = set('"$`') & set(path)
        if "\\" in path or (special and "'" in path):
            stop(
                f'no job on a cluster could read {path}: it has a backslash, or an apostrophe beside ", $ or `. Rename it.'
            )
        if special and not as_script:
            stop(
                f"no job on a cluster could read {path}: rename it, or add slurm-pass-command-as-script: true to the profile."
            )


check_results_is_no_file()
if workflow.is_main_process and not workflow.output_settings.dryrun:
    start_run(Path())


wildcard_constraints:
    model="|".join(re.escape(name) for name in config["models"]),
    setting="|".join(re.escape(name) for name in config["settings"]),
    matrix="|".join(MATRIX_KINDS),
    labeller="|".join(LABELLERS),
    control="|".join(CONTROLS),
    read_gain="on|off",
    read_center="on|off",
    write_center="on|off",
    unembed_gain="on|off",
    unembed_center="on|off",


onstart:
    confirm_run()
    check_results_directory()
    if workflow.non_local_exec:
        check_paths_on_cluster()
