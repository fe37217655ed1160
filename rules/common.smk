# What every rules file uses: the configuration, checked; the sweep; the hash of a rule's code; constraints of wildcards.
# What can be a pure function of the configuration is one in scripts/svdlens/sweep.
import os
import re
import sys
from pathlib import Path

# Of this file: the main Snakefile is another one's where svdlens is a module of a workflow.
PROJECT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
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
from svdlens.spec.settings import SWITCHES
from svdlens.sweep import paths
from svdlens.sweep.asked_files import check_labelled_place, check_place
from svdlens.sweep.code_hash import CodeHashes
from svdlens.sweep.command_line import given_to_module, read_numbers
from svdlens.sweep.config_checks import check_configuration, load_schema, take_copies
from svdlens.sweep.config_files import check_keys, file_of, fill_in_defaults, read_config_files
from svdlens.sweep.job_resources import memory, minutes
from svdlens.sweep.named_files import content_digest, expand_home
from svdlens.sweep.plan import LabelledPlace, Place, Sweep


def stop(message):
    """Say it and stop. An exception of any other kind Snakemake would print with the code that raised it."""
    raise SystemExit(f"svdlens: {message}")


def stop_for_configuration(error):
    """Say what is wrong with the configuration, and in which of its files."""
    given, is_module = workflow.config_settings, not workflow.modifier.is_main_snakefile()
    files = read_config_files([PROJECT / "config.yaml", *given.configfiles], given.config)
    file = None if is_module else file_of(str(error), files)
    stop(f"configuration{f' in {os.path.relpath(file)}' if file else ''}: {error}")


if set("{}") & set(str(PROJECT)):
    stop(f"cannot work in {PROJECT}: Snakemake reads {{ and }} as wildcards. Move it to a directory without them.")

if workflow.modifier.path_modifier.replace_prefix("results/") != "results/":
    stop(
        "prefix and replace_prefix of a module move its results, and jobs know them by their paths under results/. Leave "
        "them out, and give svdlens a working directory of its own."
    )
if not isinstance(config, dict):
    stop(f"configuration: a module is given {config!r}, no mapping. Give it keys of config.yaml with values.")

# A module is given its configuration in place of that of config.yaml.
fill_in_defaults(config, PROJECT)
SCHEMA = load_schema(PROJECT / "rules/config.schema.yaml")
of_command_line = workflow.config_settings.config
if not workflow.modifier.is_main_snakefile():
    of_command_line = given_to_module(of_command_line)
read_numbers(config, of_command_line, SCHEMA)
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


def lists_svd(wildcards):
    """The SVD that lists are of: those that differ by the read-out share it."""
    return SWEEP.svd_of_lists(wildcards)


def model_readouts(wildcards):
    return SWEEP.choice(wildcards.model, "readouts")


def project_path(path):
    """A file of the project, relative to the working directory."""
    return os.path.relpath(PROJECT / path)


def describe(name, what):
    """Say what a rule does, for `snakemake --list`: a docstring in a rule cannot take a value."""
    name = workflow.modifier.modify_rulename(name)
    if workflow.is_rule(name):
        workflow.get_rule(name).docstring = what


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
    vocab_center="on|off",
