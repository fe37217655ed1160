# Checks of the configuration, names of files, and what rules ask of the configuration. Imports nothing heavy: the
# Snakefile is read again in every cluster job.
import ast
import hashlib
import os
import re
import sys
from pathlib import Path

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError

PROJECT = Path(workflow.basedir)
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.architectures import ARCHITECTURES, DEFAULT, check_choices
from svdlens.errors import SvdlensError, did_you_mean
from svdlens.packages import package_directory
from svdlens.settings import CONTROLS, HEAD_MATRICES, SVD_SWITCHES, setting_from_names, svd_key, twin_setting


def choice(model, key):
    """The settings, matrices or readouts of a model: its own, or else those of the sweep."""
    return config["models"][model].get(key, config["sweep"][key])


def architecture(model):
    return config["models"][model].get("architecture", DEFAULT)


def check_schema(config):
    """The first thing in the configuration that rules/config.schema.yaml does not allow, as a sentence."""
    schema = yaml.safe_load((PROJECT / "rules/config.schema.yaml").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(config), key=lambda error: [str(part) for part in error.absolute_path]):
        place = ".".join(str(part) for part in error.absolute_path) or "the top level"
        if error.validator == "additionalProperties":
            known = list(error.schema["properties"])
            wrong = next(key for key in error.instance if key not in known)
            return f"{place}: {wrong!r} is no key. Keys: {', '.join(known)}.{did_you_mean(str(wrong), known)}"
        if error.validator == "enum":
            known = error.validator_value
            return f"{place}: {error.instance!r} is not one of {', '.join(known)}.{did_you_mean(str(error.instance), known)}"
        description = error.schema.get("description", "")
        return f"{place}: {error.message}. {description}"
    return None


def check_names(config):
    """The first name in the sweep, or of a model's own settings, that is in no catalogue, as a sentence."""
    chosen = [(catalogue, f"sweep.{catalogue}", config["sweep"][catalogue]) for catalogue in ("models", "settings")]
    for model, entry in config["models"].items():
        chosen.append(("settings", f"models.{model}.settings", entry.get("settings", [])))
    for catalogue, place, names in chosen:
        for name in names:
            if name not in config[catalogue]:
                known = list(config[catalogue])
                return (
                    f"{place}: {name!r} is no {catalogue.removesuffix('s')}. In the catalogue `{catalogue}`: "
                    f"{', '.join(known)}.{did_you_mean(name, known)}"
                )
    return None


def check_models(config):
    """The first model of the catalogue without one source, or with a table of tokens of no matrix, as a sentence."""
    for name, model in config["models"].items():
        sources = [key for key in ("repo", "path", "bundled", "package") if key in model]
        if len(sources) != 1 or ("repo" in model) != ("revision" in model):
            return (
                f"models.{name}: has {', '.join(sources) or 'no source'}; a model has just one of `repo` (with "
                "`revision`), `path`, `bundled`, or `package`. In a second configuration file, give a changed model a "
                "new name: mappings are merged."
            )
        for table in model.get("token_tables", []):
            if ("head" in table) != (table["matrix"] in HEAD_MATRICES):
                return f"models.{name}.token_tables: {table}: `head` is for {' and '.join(HEAD_MATRICES)}, and needed there."
    return None


def check_configuration(config):
    problem = check_schema(config) or check_names(config) or check_models(config)
    if problem:
        raise WorkflowError(f"configuration: {problem}")
    try:
        settings = {name: setting_from_names(name, switches) for name, switches in config["settings"].items()}
        for model in config["sweep"]["models"]:
            chosen = {name: settings[name] for name in choice(model, "settings")}
            check_choices(model, architecture(model), chosen, choice(model, "matrices"), choice(model, "readouts"))
    except SvdlensError as error:
        raise WorkflowError(f"configuration: {error}")


def check_results_is_no_file():
    """Snakemake would break off with a traceback while it builds the DAG."""
    place = Path("results").absolute()
    if place.exists() and not place.is_dir():
        raise WorkflowError(f"{place} is a file, and results go into a directory of that name. Move the file away.")


def check_results_directory():
    """Snakemake reports a directory that it cannot write to job by job; once, and first, is kinder."""
    place = Path("results").absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        raise WorkflowError(
            f"{place} is read-only, and results/ goes there. Give yourself the right to write (chmod), or run in "
            "another directory: snakemake --directory DIR"
        )


def code_hash(script):
    """Hash of the library modules that a script imports, directly or not, so that editing one reruns its rules.

    Snakemake itself watches the script, not what it imports.
    """
    library = PROJECT / "scripts/svdlens"
    seen, queue = {}, [PROJECT / f"scripts/{script}.py"]
    while queue:
        path = queue.pop()
        source = path.read_bytes()
        seen[path] = source
        for node in ast.walk(ast.parse(source)):
            names = []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                # `from svdlens.figures import style` may name a module or something in one.
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] != "svdlens":
                    continue
                # A package's __init__ is run as well.
                for depth in range(1, len(parts) + 1):
                    base = library.joinpath(*parts[1:depth])
                    found = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
                    if found.exists() and found not in seen and found not in queue:
                        queue.append(found)
    digest = hashlib.sha256()
    for path in sorted(path for path in seen if library in path.parents):
        digest.update(b"%s\0%s" % (path.name.encode(), hashlib.sha256(seen[path]).digest()))
    return digest.hexdigest()[:16]


check_configuration(config)
check_results_is_no_file()

SWEEP = config["sweep"]


# --- file names ---

WEIGHT_GROUPS = {"ov": "attention", "qk": "attention", "mlp_in": "mlp", "mlp_gate": "mlp", "mlp_out": "mlp"}
FIGURE_FORMATS = ["pdf", "png", "csv"]
SWEEP_FIGURES = ["fraction_by_block", "fraction_by_model"]
TABLES = ["spectra", "tokens", "labels", "fractions"]


def model_files(wildcards):
    """The files of a model on this machine, so that a change of one fetches it again; none for the hub."""
    source = config["models"][wildcards.model]
    if "repo" in source:
        return []
    if "package" in source:
        directory = directory_in_package(source["package"])
    else:
        directory = Path(source["path"]) if "path" in source else bundled_directory(source["bundled"])
    # A directory that is not there is fetch_model's to explain.
    found = directory is not None and directory.is_dir()
    return sorted(str(path) for path in directory.glob("*") if path.is_file()) if found else []


def bundled_directory(name):
    return Path(os.path.relpath(PROJECT / "resources/models" / name))


def directory_in_package(name):
    """The directory with the model that an installed package carries, or None."""
    try:
        top = package_directory(name, "a model")
    except SvdlensError:
        return None
    return top / "model" if (top / "model/config.json").exists() else top


def weights_of(wildcards):
    return f"results/weights/{wildcards.model}/{WEIGHT_GROUPS[wildcards.matrix]}.safetensors"


def setting_of(wildcards):
    """The setting of a file; one asked for by its path may be outside of the sweep, which is checked above."""
    setting = setting_from_names(wildcards.setting, config["settings"][wildcards.setting])
    matrices = [wildcards.matrix] if "matrix" in wildcards.keys() else []
    try:
        check_choices(
            wildcards.model,
            architecture(wildcards.model),
            {wildcards.setting: setting},
            matrices,
            readouts_of(wildcards),
        )
    except SvdlensError as error:
        raise WorkflowError(f"configuration: {error}")
    return setting


def svd_of(wildcards):
    path = "results/svd/model={}/read_gain={read_gain}/read_center={read_center}/write_center={write_center}/{}.safetensors"
    return path.format(wildcards.model, wildcards.matrix, **svd_key(setting_of(wildcards), wildcards.matrix))


SETTINGS = {name: setting_from_names(name, switches) for name, switches in config["settings"].items()}


def twin(model, setting, matrix):
    """The setting of the sweep whose token lists are those of `setting`; itself if it is the first of them."""
    swept = {name: SETTINGS[name] for name in choice(model, "settings")}
    return twin_setting(setting, swept | {setting: SETTINGS[setting]}, matrix, choice(model, "readouts"))


def where_twin_is_itself(wanted):
    """A constraint of the wildcard `model` that looks ahead in the path, to settings and matrices that are their own
    twins, or that are not: one rule makes the ones, another the others."""
    places = [
        rf"{re.escape(model)}(?=/setting={re.escape(setting)}/{matrix}\.)"
        for model in config["models"]
        for setting in config["settings"]
        for matrix in SVD_SWITCHES
        if (twin(model, setting, matrix) == setting) == wanted
    ]
    return "|".join(places) or "(?!)"


def of_twin(pattern):
    """An input function: the file of the twin of a setting, which is in `pattern` otherwise."""

    def path(wildcards):
        setting = twin(wildcards.model, wildcards.setting, wildcards.matrix)
        return pattern.format(model=wildcards.model, setting=setting, matrix=wildcards.matrix)

    return path


def shifted_from_twin(wildcards):
    """Whether vocab_center shifts the scores of a setting against those of its twin."""
    of_twin = SETTINGS[twin(wildcards.model, wildcards.setting, wildcards.matrix)]
    return SETTINGS[wildcards.setting].vocab_center and not of_twin.vocab_center


def combinations():
    """Every (model, setting, matrix) of the sweep, in that order."""
    return [
        (model, setting, matrix)
        for model in SWEEP["models"]
        for setting in choice(model, "settings")
        for matrix in choice(model, "matrices")
    ]


def over_sweep(pattern):
    """`pattern` for every combination, in that order; each path once where it leaves the matrix or setting out."""
    paths = [pattern.format(model=model, setting=setting, matrix=matrix) for model, setting, matrix in combinations()]
    return list(dict.fromkeys(paths))


def token_table_figures():
    """Every file of the token tables that the configuration asks for and the sweep covers."""
    return [
        f"results/figures/{model}/{setting}/token_table_{matrix}_L{table['layer']}{head}.{format}"
        for model, setting, matrix in combinations()
        for table in config["models"][model].get("token_tables", [])
        if table["matrix"] == matrix
        for head in [f"_H{table['head']}" if "head" in table else ""]
        for format in FIGURE_FORMATS
    ]


def all_figures():
    per_sweep = expand("results/figures/{figure}.{format}", figure=SWEEP_FIGURES, format=FIGURE_FORMATS)
    spectra = over_sweep("results/figures/{model}/{setting}/spectra_{matrix}.pdf")
    return [*per_sweep, *spectra, *token_table_figures()]


# --- parameters of rules ---


def model_source(wildcards):
    """The model's source as the catalogue has it, without what it does not say about the weights."""
    about_results = ("settings", "matrices", "readouts", "token_tables")
    source = {key: value for key, value in config["models"][wildcards.model].items() if key not in about_results}
    source["architecture"] = architecture(wildcards.model)
    if "bundled" in source:
        source["bundled"] = str(bundled_directory(source["bundled"]))
    return source


def switches_of(wildcards):
    setting_of(wildcards)
    return config["settings"][wildcards.setting]


def readouts_of(wildcards):
    return choice(wildcards.model, "readouts")


def first_readout_of(wildcards):
    return readouts_of(wildcards)[0]


def rotary_of(wildcards):
    """Whether the model has rotary position embeddings, for captions."""
    return ARCHITECTURES[architecture(wildcards.model)].rotary


def layer_of(wildcards):
    return int(wildcards.place.split("_")[0].removeprefix("L"))


def head_of(wildcards):
    return int(wildcards.place.split("_H")[1]) if "_H" in wildcards.place else None


def models_and_settings(wildcards):
    """[model, setting] of each file in an over_sweep list."""
    return [[model, setting] for model, setting, _ in combinations()]


wildcard_constraints:
    model="|".join(re.escape(name) for name in config["models"]),
    setting="|".join(re.escape(name) for name in config["settings"]),
    matrix="|".join(SVD_SWITCHES),
    read_gain="on|off",
    read_center="on|off",
    write_center="on|off",
    labeller="|".join(config["labellers"]),
    place=r"L\d+(_H\d+)?",
    format="|".join(FIGURE_FORMATS),


onstart:
    check_results_directory()
