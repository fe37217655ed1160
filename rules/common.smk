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

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.settings import HEAD_MATRICES, SVD_SWITCHES, setting_from_names, svd_key


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
    """The first name in the sweep that no catalogue has, or model without one source, as a sentence."""
    for catalogue, kind in (("models", "model"), ("settings", "setting")):
        for name in config["sweep"][catalogue]:
            if name not in config[catalogue]:
                known = list(config[catalogue])
                return (
                    f"sweep.{catalogue}: {name!r} is no {kind}. In the catalogue `{catalogue}`: "
                    f"{', '.join(known)}.{did_you_mean(name, known)}"
                )
    for name, model in config["models"].items():
        sources = [key for key in ("repo", "path", "bundled") if key in model]
        if len(sources) != 1 or ("repo" in model) != ("revision" in model):
            return (
                f"models.{name}: has {', '.join(sources) or 'no source'}; a model has just one of `repo` (with "
                "`revision`), `path`, or `bundled`. In a second configuration file, give a changed model a new name: "
                "mappings are merged."
            )
        for table in model.get("token_tables", []):
            if ("head" in table) != (table["matrix"] in HEAD_MATRICES):
                return f"models.{name}.token_tables: {table}: `head` is for {' and '.join(HEAD_MATRICES)}, and needed there."
    return None


def check_configuration(config):
    problem = check_schema(config) or check_names(config)
    if problem:
        raise WorkflowError(f"configuration: {problem}")
    try:
        for name, switches in config["settings"].items():
            setting_from_names(name, switches)
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

WEIGHT_GROUPS = {"ov": "attention", "qk": "attention", "mlp_in": "mlp", "mlp_out": "mlp"}
FIGURE_FORMATS = ["pdf", "png", "csv"]
SWEEP_FIGURES = ["fraction_by_block", "fraction_by_model"]
TABLES = ["spectra", "tokens", "labels", "fractions"]


def model_files(wildcards):
    """The files of a local or bundled model, so that a change of one fetches it again; none for the hub."""
    source = config["models"][wildcards.model]
    if "repo" in source:
        return []
    directory = Path(source["path"]) if "path" in source else bundled_directory(source["bundled"])
    # A directory that is not there is fetch_model's to explain.
    return sorted(str(path) for path in directory.glob("*") if path.is_file()) if directory.is_dir() else []


def bundled_directory(name):
    return Path(os.path.relpath(PROJECT / "resources/models" / name))


def weights_of(wildcards):
    return f"results/weights/{wildcards.model}/{WEIGHT_GROUPS[wildcards.matrix]}.safetensors"


def svd_of(wildcards):
    setting = setting_from_names(wildcards.setting, config["settings"][wildcards.setting])
    path = "results/svd/model={}/read_gain={read_gain}/read_center={read_center}/write_center={write_center}/{}.safetensors"
    return path.format(wildcards.model, wildcards.matrix, **svd_key(setting, wildcards.matrix))


def over_sweep(pattern):
    """`pattern` for every model, setting and matrix of the sweep, in that order."""
    return expand(pattern, model=SWEEP["models"], setting=SWEEP["settings"], matrix=SWEEP["matrices"])


def token_table_figures():
    """Every file of the token tables that the configuration asks for and the sweep covers."""
    return [
        f"results/figures/{model}/{setting}/token_table_{table['matrix']}_L{table['layer']}{head}.{format}"
        for model in SWEEP["models"]
        for table in config["models"][model].get("token_tables", [])
        if table["matrix"] in SWEEP["matrices"]
        for head in [f"_H{table['head']}" if "head" in table else ""]
        for setting in SWEEP["settings"]
        for format in FIGURE_FORMATS
    ]


def all_figures():
    per_sweep = expand("results/figures/{figure}.{format}", figure=SWEEP_FIGURES, format=FIGURE_FORMATS)
    spectra = over_sweep("results/figures/{model}/{setting}/spectra_{matrix}.pdf")
    return [*per_sweep, *spectra, *token_table_figures()]


# --- parameters of rules ---


def model_source(wildcards):
    """The model's source as the catalogue has it, without what it does not say about the weights."""
    source = {key: value for key, value in config["models"][wildcards.model].items() if key != "token_tables"}
    if "bundled" in source:
        source["bundled"] = str(bundled_directory(source["bundled"]))
    return source


def switches_of(wildcards):
    return config["settings"][wildcards.setting]


def layer_of(wildcards):
    return int(wildcards.place.split("_")[0].removeprefix("L"))


def head_of(wildcards):
    return int(wildcards.place.split("_H")[1]) if "_H" in wildcards.place else None


def models_and_settings(wildcards):
    """[model, setting] of each file in an over_sweep list."""
    return [[model, setting] for model in SWEEP["models"] for setting in SWEEP["settings"] for _ in SWEEP["matrices"]]


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
