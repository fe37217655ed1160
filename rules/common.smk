# Checks of the configuration, names of files, and what rules ask of the configuration. Imports nothing heavy: the
# Snakefile is read again in every cluster job.
import ast
import hashlib
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError

PROJECT = Path(workflow.basedir)
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.spec.architectures import ARCHITECTURES, DEFAULT, check_choices
from svdlens.errors import SvdlensError, did_you_mean
from svdlens.models.python_packages import package_directory
from svdlens.report.paper_figures import paper_figures
from svdlens.spec.controls import CONTROLS
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names, svd_key, twin_setting


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
    if "published" in config["sweep"]["labellers"] and "published" not in config["labellers"]:
        return "sweep.labellers: 'published' has no entry under `labellers`. Write `labellers: {published: {models: [gpt2-small]}}`."
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
            if ("head" in table) != MATRIX_KINDS[table["matrix"]].per_head:
                return f"models.{name}.token_tables: {table}: `head` is for {' and '.join(name for name, kind in MATRIX_KINDS.items() if kind.per_head)}, and needed there."
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
METHOD_PAGE = os.path.relpath(PROJECT / "rules/report/method.html")
REPORT_PAGES = ["method", "configuration", "models", "not_made", "fractions", "scores", "agreement"]
TABLES = ["spectra", "tokens", "labels", "fractions", "scores", "agreement"]
LABELLERS = list(SWEEP["labellers"])
WITH_CONTROLS = [labeller for labeller in LABELLERS if labeller != "published"]
# By which rules the fractions of each labeller are counted; the first is what figures draw.
LABELLING_RULES = {
    "coherence": ["q_value < {}".format(config["labellers"]["coherence"]["level"])],
    "published": ["B", "P", "V"],
}
FIGURE_LABELLER = config["figures"].get("labeller", LABELLERS[0])
LEXICON = {
    name: os.path.relpath(PROJECT / f"resources/lexicon/{name}.parquet")
    for name in ("words", "concepts", "irregular_forms")
}
PUBLISHED = config["labellers"].get("published", {})
PUBLISHED_MATRICES = ["mlp_in", "mlp_out"]
PUBLISHED_FOR = ["gpt2-small", "gpt2-medium", "gpt2-large"]
PUBLISHED_MODELS = "|".join(PUBLISHED.get("models", [])) or "(?!)"


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


def tokenizer_name(directory):
    """A name for the tokenizer in a directory by what its files say, so that another in its place is embedded anew."""
    digest = hashlib.sha256()
    for path in sorted(path for name in TOKENIZER_FILES for path in Path(directory).expanduser().glob(name)):
        digest.update(b"%s\0%s" % (path.name.encode(), hashlib.sha256(path.read_bytes()).digest()))
    return f"tokenizer_{digest.hexdigest()[:16]}"


TOKENIZER_FILES = ["tokenizer.json", "vocab.json", "merges.txt", "token_counts.parquet"]
TOKENIZER = tokenizer_name(config["tokenizer"]) if "tokenizer" in config else "tokenizer_none"
GIVEN_LISTS = Path(config.get("lists", "none.jsonl")).stem
GIVEN_LABELLER = config.get("labeller", "coherence")


def tokenizer_files(wildcards):
    """The files of the tokenizer for lists from elsewhere."""
    if "tokenizer" not in config:
        raise WorkflowError(
            "label_lists needs the tokenizer that the lists come from: --config tokenizer=DIRECTORY, with tokenizer.json, "
            "or vocab.json and merges.txt."
        )
    found = [str(path) for name in TOKENIZER_FILES for path in Path(config["tokenizer"]).expanduser().glob(name)]
    if not found:
        raise WorkflowError(
            f"tokenizer={config['tokenizer']}: no directory with tokenizer.json, or vocab.json and merges.txt. Give that of "
            "the model that the lists come from."
        )
    return found


def given_lists(wildcards):
    """The file of lists from elsewhere."""
    if "lists" not in config:
        raise WorkflowError(
            "label_lists needs lists: --config lists=FILE.jsonl tokenizer=DIRECTORY labeller=coherence. A line of the "
            'file is an object such as {"id": "a", "tokens": [" fire", " ice"]}.'
        )
    if not Path(config["lists"]).exists():
        raise WorkflowError(f"lists={config['lists']}: there is no such file. Give one of JSON lines.")
    return config["lists"]


def token_counts_of(wildcards):
    """The file with the counts of a model's tokens, where the catalogue has one beside the model's own."""
    counts = config["models"][wildcards.model].get("token_counts")
    return [counts] if counts else []


def bundled_directory(name):
    return Path(os.path.relpath(PROJECT / "resources/models" / name))


def directory_in_package(name):
    """The directory with the model that an installed package carries, or None."""
    try:
        top = package_directory(name, "a model")
    except SvdlensError:
        return None
    return top / "model" if (top / "model/config.json").exists() else top


def published_files(wildcards):
    """The published files of a model on this machine, so that a change of one fetches them again; none to download."""
    if "path" not in PUBLISHED:
        return []
    directory, size = Path(PUBLISHED["path"]).expanduser(), wildcards.model.removeprefix("gpt2-")
    places = [directory, directory / "data", directory / "data/json_data"]
    patterns = [f"*{size}_mlp_*_text_outputs.json", f"*_{size}_*svd_corrects_list.npy"]
    # A directory that is not there is fetch_published's to explain.
    return sorted(str(path) for place in places for pattern in patterns for path in place.glob(pattern))


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
        for matrix in MATRIX_KINDS
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


def labelled():
    """Every (model, setting, matrix, labeller) that gets labels, in that order; the published answers are about just
    some of them."""
    found = []
    for model, setting, matrix in combinations():
        for labeller in SWEEP["labellers"]:
            if labeller == "published":
                answered = (
                    model in PUBLISHED.get("models", []) and setting == "post2022" and matrix in PUBLISHED_MATRICES
                )
            else:
                answered = matrix in config["labellers"][labeller].get("matrices", [matrix])
            if answered:
                found.append((model, setting, matrix, labeller))
    return found


def over_labels(pattern, labellers):
    """`pattern` for every combination that one of the `labellers` labels, in that order."""
    return [
        pattern.format(model=model, setting=setting, matrix=matrix, labeller=labeller)
        for model, setting, matrix, labeller in labelled()
        if labeller in labellers
    ]


def labelled_lists():
    """The file with the lists of each file in an over_labels list of all labellers."""
    return [
        (
            f"results/lists/published_{model}_{matrix}.jsonl"
            if labeller == "published"
            else f"results/tokens/model={model}/setting={setting}/{matrix}.parquet"
        )
        for model, setting, matrix, labeller in labelled()
    ]


def over_sweep(pattern):
    """`pattern` for every combination, in that order; each path once where it leaves the matrix or setting out."""
    paths = [pattern.format(model=model, setting=setting, matrix=matrix) for model, setting, matrix in combinations()]
    return list(dict.fromkeys(paths))


# --- figures ---


def figure_setting(model):
    """The setting of the post for what is shown once for each model, or else the first of the model."""
    settings = choice(model, "settings")
    return "post2022" if "post2022" in settings else settings[0]


def token_tables():
    """Every table of tokens that the catalogue asks for and the sweep covers: path and params of the figure."""
    return [
        {
            "path": f"results/figures/{model}/{setting}/token_table_{matrix}_L{table['layer']}{head}",
            "model": model,
            "setting": setting,
            "matrix": matrix,
            "layer": table["layer"],
            "head": table.get("head"),
            "readout": choice(model, "readouts")[0],
            "directions": table.get("directions", config["figures"]["token_table_directions"]),
            "rotary": ARCHITECTURES[architecture(model)].rotary,
        }
        for model, setting, matrix in combinations()
        for table in config["models"][model].get("token_tables", [])
        if table["matrix"] == matrix
        for head in [f"_H{table['head']}" if "head" in table else ""]
    ]


def random_tables():
    """A table of tokens of random directions for each model: path and params of the figure."""
    return [
        {
            "path": f"results/figures/{model}/{setting}/random_table",
            "model": model,
            "setting": setting,
            "matrix": choice(model, "matrices")[0],
            "readout": choice(model, "readouts")[0],
        }
        for model in SWEEP["models"]
        for setting in [figure_setting(model)]
    ]


def swept_settings():
    """Every setting that some model of the sweep has."""
    return list(dict.fromkeys(setting for _, setting, _ in combinations()))


def figures_by_setting(figure):
    """A file for each setting of the sweep, without suffix."""
    return expand("results/figures/{figure}_{setting}", figure=figure, setting=swept_settings())


# Every figure and its files without suffix. `figures.select` chooses by these names.
FIGURES = {
    "token_table": [table["path"] for table in token_tables()],
    "random_table": [table["path"] for table in random_tables()],
    "spectra": over_sweep("results/figures/{model}/{setting}/spectra_{matrix}"),
    "spectrum_growth": expand("results/figures/spectrum_growth_{setting}", setting=swept_settings()),
    "blocks": ["results/figures/blocks"],
    "fraction_by_block": figures_by_setting("fraction_by_block"),
    "fraction_by_depth": figures_by_setting("fraction_by_depth"),
    "fraction_by_index": figures_by_setting("fraction_by_index"),
    "fraction_by_model": ["results/figures/fraction_by_model"],
    "fraction_by_matrix": ["results/figures/fraction_by_matrix"],
    "fraction_published": ["results/figures/fraction_published"],
    "read_write": figures_by_setting("read_write"),
    "kinds_by_layer": figures_by_setting("kinds_by_layer"),
    "frequency_directions": figures_by_setting("frequency_directions"),
    "controls": figures_by_setting("controls"),
    "antipodal": figures_by_setting("antipodal"),
    "settings_effect": expand("results/figures/{model}/settings_effect", model=SWEEP["models"]),
    "agreement": figures_by_setting("agreement"),
}


def figure_files(figures, formats=FIGURE_FORMATS):
    """The files of the figures, by name."""
    return [f"{path}.{format}" for figure in figures for path in FIGURES[figure] for format in formats]


def selected_figures():
    """The figures that the configuration asks for; all, but for what needs labels that the sweep has not."""
    if config["figures"]["select"] != "all":
        return config["figures"]["select"]
    published = any(labeller == "published" for *_, labeller in labelled())
    return [figure for figure in FIGURES if figure != "fraction_published" or published]


def control_labels(controls):
    """The labels of these controls by the labeller that figures draw, each with its model and setting."""
    return [
        (f"results/controls/model={model}/setting={setting}/{matrix}.{control}.{labeller}.parquet", [model, setting])
        for model, setting, matrix, labeller in labelled()
        if labeller == FIGURE_LABELLER and labeller in WITH_CONTROLS
        for control in controls
    ]


def published_at_hand():
    """Each model and matrix of which there are published answers, or can be: in a local directory just some may be."""
    models = PUBLISHED.get("models", [])
    found = [model for model in models if published_files(SimpleNamespace(model=model))]
    # Where there are none at all, fetch_published explains what is missing.
    return [[model, matrix] for model in found or models for matrix in PUBLISHED_MATRICES]


def report_pictures(figure, category):
    """The pngs of a figure for the report, which lists them by what the path says of model, setting and place."""
    pictures = []
    for path in FIGURES[figure]:
        parts = path.removeprefix("results/figures/").split("/")
        labels = {"figure": parts[-1].replace("_", " ")}
        if len(parts) == 3:
            labels |= {"model": parts[0], "setting": parts[1]}
        elif len(parts) == 2:
            labels |= {"model": parts[0]}
        elif parts[0] != figure:
            labels = {"figure": figure.replace("_", " "), "setting": parts[0].removeprefix(f"{figure}_")}
        pictures.append(report(f"{path}.png", caption=f"report/{figure}.rst", category=category, labels=labels))
    return pictures


def report_page(page, category, caption=None):
    """A page of the report that is no figure."""
    labels = {"page": page.replace("_", " ")}
    return report(
        f"results/report/{page}.html", caption=f"report/{caption or page}.rst", category=category, labels=labels
    )


def swept_configuration():
    """The configuration without the models and settings that are not swept, for the report."""
    settings = {setting: config["settings"][setting] for setting in swept_settings()}
    models = {model: config["models"][model] for model in SWEEP["models"]}
    others = {key: value for key, value in config.items() if key not in ("models", "settings", "sweep")}
    return {"sweep": SWEEP, "models": models, "settings": settings, **others}


def paper_rows():
    """The figures of the post and their counterparts, as params."""
    rows = paper_figures(
        FIGURES,
        {model: figure_setting(model) for model in SWEEP["models"]},
        {model: choice(model, "matrices") for model in SWEEP["models"]},
        LABELLERS,
        FIGURE_LABELLER,
    )
    return [row._asdict() for row in rows]


def paper_files():
    """The files of the figures of the post that the sweep makes, and the list of all of them."""
    pictures = [f"{row['path']}.{format}" for row in paper_rows() if row["path"] for format in FIGURE_FORMATS]
    return ["results/tables/paper_figures.csv", *pictures]


def not_made():
    """What the sweep leaves out, with the reason, and what to write or run: for the report."""
    found = []
    selected = selected_figures()
    for figure in FIGURES:
        if figure not in selected and figure == "fraction_published":
            why, command = "no published labels are swept", "snakemake --cores all published_figures"
        elif figure not in selected:
            why, command = (
                "not in figures.select",
                f"snakemake --cores all figures --config 'figures={{select: [{figure}]}}'",
            )
        else:
            continue
        found.append({"what": f"figure {figure}", "why": why, "how": command})
    for model in SWEEP["models"]:
        tables = {table["matrix"] for table in config["models"][model].get("token_tables", [])}
        for matrix in choice(model, "matrices"):
            if matrix not in tables:
                why, how = "no layer is chosen", f"add {{matrix: {matrix}, layer: 0}} to models.{model}.token_tables"
                found.append({"what": f"token tables of {matrix}, {model}", "why": why, "how": how})
    answered = set(labelled())
    for labeller in LABELLERS:
        without = {}
        for model, setting, matrix in combinations():
            if (model, setting, matrix, labeller) not in answered:
                without.setdefault((model, matrix), []).append(setting)
        for (model, matrix), settings in without.items():
            why = "the answers are about MLP-in and MLP-out of GPT-2 in setting post2022"
            if labeller != "published":
                why = f"labellers.{labeller}.matrices leaves it out"
            what = f"labels of {labeller} for {matrix}, {model}, settings {', '.join(settings)}"
            found.append({"what": what, "why": why, "how": ""})
    return found


def check_figures():
    """The first name in figures.select or figures.labeller that is none, as a sentence."""
    if FIGURE_LABELLER not in LABELLERS:
        return f"figures.labeller: {FIGURE_LABELLER!r} is no labeller of the sweep. Labellers: {', '.join(LABELLERS)}."
    for name in selected_figures():
        if name not in FIGURES:
            known = list(FIGURES)
            return f"figures.select: {name!r} is no figure. Figures: {', '.join(known)}.{did_you_mean(name, known)}"
    return None


if check_figures():
    raise WorkflowError(f"configuration: {check_figures()}")


# --- parameters of rules ---


def model_source(wildcards):
    """The model's source as the catalogue has it, without what it does not say about the weights."""
    about_results = ("settings", "matrices", "readouts", "token_tables", "token_counts")
    source = {key: value for key, value in config["models"][wildcards.model].items() if key not in about_results}
    source["architecture"] = architecture(wildcards.model)
    if "bundled" in source:
        source["bundled"] = str(bundled_directory(source["bundled"]))
    return source


def published_source(wildcards):
    """Where the published answers come from, without which of them are wanted."""
    return {key: value for key, value in PUBLISHED.items() if key != "models"}


def switches_of(wildcards):
    setting_of(wildcards)
    return config["settings"][wildcards.setting]


def readouts_of(wildcards):
    return choice(wildcards.model, "readouts")


def layer_of(wildcards):
    return int(wildcards.place.split("_")[0].removeprefix("L"))


def head_of(wildcards):
    return int(wildcards.place.split("_H")[1]) if "_H" in wildcards.place else None


def models_and_settings(wildcards):
    """[model, setting] of each file in an over_sweep list."""
    return [[model, setting] for model, setting, _ in combinations()]


def models_settings_labellers(wildcards):
    """[model, setting, labeller] of each file in an over_labels list of all labellers."""
    return [[model, setting, labeller] for model, setting, _, labeller in labelled()]


def labelled_places(wildcards):
    """[model, setting, matrix, labeller] of each file in an over_labels list of all labellers."""
    return [list(place) for place in labelled()]


def twins_of_labelled(wildcards):
    """For each of these files the setting that has the same lists and labels."""
    return [twin(model, setting, matrix) for model, setting, matrix, _ in labelled()]


def labelled_choice(labeller):
    """Which rows a labeller gets (labels.Choice)."""
    return {key: config["labellers"][labeller].get(key) for key in ("sides", "signs", "directions")}


wildcard_constraints:
    model="|".join(re.escape(name) for name in config["models"]),
    setting="|".join(re.escape(name) for name in config["settings"]),
    matrix="|".join(MATRIX_KINDS),
    read_gain="on|off",
    read_center="on|off",
    write_center="on|off",
    labeller="|".join(config["labellers"]),


onstart:
    check_results_directory()
