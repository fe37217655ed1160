"""Which files each figure has in a sweep, from which tables they are drawn, and what is left out.

Pure functions of the configuration, which the rules ask. Imports nothing heavy: every cluster job reads the Snakefile
again.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.figures.compared import COMPARED
from svdlens.figures.registry import FIGURES, FigureEntry
from svdlens.labels.published.local_files import local_files
from svdlens.labels.registry import LABELLERS
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.sweep.plan import LabelledPlace, Place, Sweep

FORMATS = ("pdf", "png", "csv")


class FigureFile(NamedTuple):
    """One picture: the path of its pdf, png and csv, without suffix, and what it is of (draw_figures, `subjects`)."""

    path: str
    subject: dict[str, Any]


# What a figure has a file of


def one_for_sweep(sweep: Sweep, name: str) -> list[FigureFile]:
    """One file."""
    return [FigureFile(f"results/figures/{name}", {})]


def one_for_each_setting(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: setting."""
    return [FigureFile(f"results/figures/{name}_{setting}", {"setting": setting}) for setting in sweep.swept_settings()]


def one_for_each_model(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model."""
    return [FigureFile(f"results/figures/{model}/{name}", {"model": model}) for model in sweep.models]


def one_for_each_place(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting, matrix."""
    return [
        FigureFile(f"results/figures/{model}/{setting}/{name}_{matrix}", place._asdict())
        for place in sweep.places
        for model, setting, matrix in [place]
    ]


def one_matrix_for_each_model(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting (of the post, or else the model's first), matrix and readout (the model's first)."""
    return [
        FigureFile(
            f"results/figures/{model}/{setting}/{name}",
            {
                "model": model,
                "setting": setting,
                "matrix": sweep.choice(model, "matrices")[0],
                "readout": sweep.choice(model, "readouts")[0],
            },
        )
        for model in sweep.models
        for setting in [sweep.figure_setting(model)]
    ]


def one_for_each_token_table(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting, matrix, layer, head, readout, directions; of models.NAME.token_tables what is swept."""
    return [
        FigureFile(
            f"results/figures/{model}/{setting}/{name}_{matrix}{where}",
            {
                "model": model,
                "setting": setting,
                "matrix": matrix,
                "layer": table.get("layer"),
                "head": table.get("head"),
                "readout": sweep.choice(model, "readouts")[0],
                "directions": table.get("directions", sweep.config["figures"]["token_table_directions"]),
            },
        )
        for model, setting, matrix in sweep.places
        for table in sweep.config["models"][model].get("token_tables", [])
        if table["matrix"] == matrix and sweep.is_swept(model, matrix, table.get("layer"), table.get("head"))
        for where in ["".join(f"_{key[0].upper()}{table[key]}" for key in ("layer", "head") if key in table)]
    ]


def one_for_each_labelled_kind(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting (as one_matrix_for_each_model), matrix; of what figures.labeller labels."""
    return [
        FigureFile(
            f"results/figures/{model}/{setting}/{name}_{matrix}",
            {"model": model, "setting": setting, "matrix": matrix},
        )
        for model, setting, matrix, labeller in sweep.labelled_places
        if labeller == sweep.figure_labeller and setting == sweep.figure_setting(model)
    ]


def one_for_each_topic(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting, readout (the model's first); of the models that name a topic."""
    return [
        FigureFile(
            f"results/figures/{model}/{setting}/{name}",
            {"model": model, "setting": setting, "readout": sweep.choice(model, "readouts")[0]},
        )
        for model in sweep.topics
        for setting in sweep.choice(model, "settings")
    ]


def one_for_each_query(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting, query; of the models and settings that are searched."""
    return [
        FigureFile(
            f"results/figures/{model}/{setting}/{name}_{query}", {"model": model, "setting": setting, "query": query}
        )
        for model, setting in sweep.traced
        for query in sweep.query_names
    ]


def one_for_each_edit(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting, edit."""
    return [
        FigureFile(
            f"results/figures/{edit['model']}/{edit['setting']}/{name}_{key}",
            {"model": edit["model"], "setting": edit["setting"], "edit": key},
        )
        for key, edit in sweep.edits.items()
    ]


def labelled_files(sweep: Sweep, name: str, places: Iterable[Place]) -> list[FigureFile]:
    """Subjects: model, setting, matrix, labeller; of what figures.labeller labels."""
    with_labels = [LabelledPlace(*place, sweep.figure_labeller) for place in places]
    return [
        FigureFile(f"results/figures/{place.model}/{place.setting}/{name}_{place.matrix}", place._asdict())
        for place in with_labels
        if place in sweep.labelled_places and sweep.basis == "svd"
    ]


def one_for_each_effect(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting, matrix, labeller; of what has effects and labels."""
    return labelled_files(sweep, name, sweep.effect_places)


def one_for_each_card(sweep: Sweep, name: str) -> list[FigureFile]:
    """Subjects: model, setting, matrix, labeller; of what has cards."""
    return labelled_files(sweep, name, sweep.card_places)


SCOPES: dict[str, Callable[[Sweep, str], list[FigureFile]]] = {
    "sweep": one_for_sweep,
    "setting": one_for_each_setting,
    "model": one_for_each_model,
    "one_matrix": one_matrix_for_each_model,
    "place": one_for_each_place,
    "token_table": one_for_each_token_table,
    "labelled_kind": one_for_each_labelled_kind,
    "topic": one_for_each_topic,
    "trace": one_for_each_query,
    "edit": one_for_each_edit,
    "effect": one_for_each_effect,
    "card": one_for_each_card,
}
"""By `scope` of a FigureEntry: the files of the figure `name` in a sweep."""


def figure_files(sweep: Sweep, name: str) -> list[FigureFile]:
    """The files of a figure; none where the sweep lacks its control, or what it compares."""
    return [] if what_is_lacking(sweep, name) else files_with_something(sweep, name)


def files_with_something(sweep: Sweep, name: str) -> list[FigureFile]:
    """The files of a figure by its scope, without those that would have nothing to compare."""
    files, compares = SCOPES[FIGURES[name].scope](sweep, name), FIGURES[name].compares
    return [file for file in files if compares is None or COMPARED[compares].can(sweep, file.subject)]


def what_is_lacking(sweep: Sweep, name: str) -> tuple[str, str] | None:
    """What a figure cannot do without and the sweep has not, and what to write to have it; None if it has all."""
    figure = FIGURES[name]
    if figure.control is not None and figure.control not in sweep.controls:
        controls = ", ".join([*sweep.controls, figure.control])
        return f"the control {figure.control} is not in `controls`", f"write controls: [{controls}]"
    if figure.compares is not None and not files_with_something(sweep, name):
        return why_nothing_to_compare(sweep, figure.compares, {})
    if figure.stability and not sweep.config["stability"]:
        return "`stability` is false", "write stability: true"
    if figure.scope == "topic" and not SCOPES["topic"](sweep, name):
        return "no model names a topic", f"write models.{sweep.models[0]}.topic: n00021265 (food, in WordNet)"
    if figure.scope == "trace" and not sweep.query_names:
        return "there is no query", "write trace.queries: {fire: [fire, flame, burning]}, or trace.best_list: true"
    if figure.scope == "edit" and not sweep.edits:
        return "there is no edit", "write one into edits, such as {name: {model: M, setting: S, directions: best}}"
    if figure.scope in ("effect", "card") and not SCOPES[figure.scope](sweep, name):
        return why_no_effects(sweep, figure.scope)
    return None


def why_no_effects(sweep: Sweep, scope: str) -> tuple[str, str]:
    """Why no directions of the sweep have effects, or cards, to draw, and what to write to have some."""
    if sweep.basis != "svd":
        return "the directions of the sweep are no singular vectors", "write basis: svd"
    if not (sweep.effect_places if scope == "effect" else sweep.card_places):
        what = "a model that predicts a next token" if scope == "effect" else "OV circuits"
        return f"the sweep has no {what.removeprefix('a ')}", f"sweep {what}, with the matrix ov"
    return f"the labeller {sweep.figure_labeller} gives none of them labels", "name another as figures.labeller"


def why_nothing_to_compare(sweep: Sweep, compares: str, subject: Mapping[str, Any]) -> tuple[str, str]:
    """Why a file of this subject, or none at all, has anything to compare, and what to write."""
    one = " of a model" if compares == "settings" else ""
    where = f" of {subject['model']}" if "model" in subject else f" in {subject['setting']}" if subject else one
    return COMPARED[compares].why_not.format(where=where), COMPARED[compares].how(sweep, subject)


def files_left_out(sweep: Sweep, name: str) -> list[tuple[Mapping[str, Any], str, str]]:
    """The subjects of which a figure that is drawn has no file, for want of anything to compare; why, and what to
    write."""
    compares, drawn = FIGURES[name].compares, figure_files(sweep, name)
    if compares is None or not drawn:
        return []
    left_out = [file.subject for file in SCOPES[FIGURES[name].scope](sweep, name) if file not in drawn]
    return [(subject, *why_nothing_to_compare(sweep, compares, subject)) for subject in left_out]


def figure_paths(sweep: Sweep, names: Iterable[str], formats: Sequence[str] = FORMATS) -> list[str]:
    """The paths of all files of the figures of these names, in these formats."""
    return [f"{file.path}.{suffix}" for name in names for file in figure_files(sweep, name) for suffix in formats]


def report_labels(name: str, file: FigureFile) -> dict[str, str]:
    """What the report lists a picture by: the figure, and the model and setting where it is of one."""
    end = file.path.rsplit("/", 1)[1]
    title = name if "setting" in file.subject and "model" not in file.subject else end
    labels = {"figure": title.replace("_", " ")}
    return labels | {key: str(file.subject[key]) for key in ("model", "setting") if key in file.subject}


# From what it is drawn


def figure_inputs(sweep: Sweep, name: str) -> dict[str, str | list[str]]:
    """The paths of the tables that a figure is drawn from, by the names of FigureEntry.inputs.

    A pattern becomes a list of paths: one for each file of the figure where such a file is of just one of what the
    pattern has wildcards for; otherwise one for each of the sweep, or for what the labeller that the figure is about
    labels.
    """
    return {
        input: input_paths(sweep, FIGURES[name], pattern) if "{" in pattern else pattern
        for input, pattern in FIGURES[name].inputs.items()
    }


def input_paths(sweep: Sweep, figure: FigureEntry, pattern: str) -> list[str]:
    """The paths that a pattern of figure_inputs becomes."""
    if figure.labeller is not None:
        return [pattern.format(**place._asdict()) for place in places_with_own_lists(sweep, figure.labeller)]
    subjects, wildcards = [file.subject for file in figure_files(sweep, figure.name)], re.findall(r"{(\w+)}", pattern)
    if all(subject.keys() >= set(wildcards) for subject in subjects):
        return [pattern.format(**subject) for subject in subjects]
    return sweep.over_places(pattern)


def places_with_own_lists(sweep: Sweep, labeller: str) -> list[LabelledPlace]:
    """What a labeller that brings lists of its own labels, swept or not.

    Of local files of which just some models are there, only these; where there are none at all, the job that reads
    them explains what is missing.
    """
    entry, configuration = LABELLERS[labeller], sweep.config["labellers"].get(labeller, {})
    models = configuration.get(entry.models_key, [])
    here = [model for model in models if local_files(configuration, model)]
    return [
        LabelledPlace(model, setting, matrix, labeller)
        for model in here or models
        for setting in entry.settings
        for matrix in entry.matrices
    ]


def figure_options(sweep: Sweep, name: str) -> dict[str, Any]:
    """What a figure asks of the configuration, by the names in FigureEntry.options.

    places: (model, setting, matrix) of the sweep. layers: of each model of which not all are swept. labeller: whose
    labels are drawn; labellers: all of the sweep. criterion: when a list counts as interpretable. basis: what the
    directions are. controls: those of the sweep; n_controls: directions of random_unit and gaussian; n_rotated: of
    rotated. switches: of each setting. weight_noise: in standard deviations of each factor, on weights that are not
    quantised. directions: leading ones of each matrix that are kept, None for all. n_directions, n_tokens: columns of a
    table of tokens, and tokens of each. rotary: the models with rotary position embeddings. published: (model, matrix)
    of the published answers. level, n_random: of a trace, up to which false discovery rate a direction is found, and
    random queries. topics: of the models that name one, and the base model of each, None where it has none.
    """
    config, labeller = sweep.config, sweep.figure_labeller
    options = {
        "places": [tuple(place) for place in sweep.places],
        "layers": {
            model: chosen["layers"]
            for model, _, matrix in sweep.places
            if "layers" in (chosen := sweep.numbers(model, matrix))
        },
        "labeller": labeller,
        "labellers": sweep.labellers,
        "criterion": sweep.criteria(labeller)[0],
        "basis": sweep.basis,
        "controls": sweep.controls,
        "n_controls": config["random_directions"],
        "n_rotated": config["rotated_directions"],
        "switches": {setting: config["settings"][setting] for setting in sweep.swept_settings()},
        "weight_noise": config["weight_noise"],
        "directions": None if config["directions"] == "all" else config["directions"],
        "n_directions": config["figures"]["token_table_directions"],
        "n_tokens": config["figures"]["token_table_tokens"],
        "rotary": [model for model in sweep.models if sweep.architecture(model).rotary],
        "published": [(place.model, place.matrix) for place in places_with_own_lists(sweep, "published")],
        "level": config["trace"]["level"],
        "n_random": config["trace"]["random_queries"],
        "topics": sweep.topics,
    }
    return {option: options[option] for option in FIGURES[name].options}


# What is drawn and what is not


def selected_figures(sweep: Sweep) -> list[str]:
    """The figures that the configuration asks for; `all` are those that the sweep can draw."""
    if sweep.config["figures"]["select"] != "all":
        return list(sweep.config["figures"]["select"])
    return [name for name in FIGURES if why_not_drawn(sweep, name) is None]


def first_table(matrix: str) -> str:
    """An entry of models.NAME.token_tables, of the first matrix of a kind."""
    kind = MATRIX_KINDS[matrix]
    return f"{{matrix: {matrix}{', layer: 0' * kind.in_layers}{', head: 0' * kind.per_head}}}"


def why_not_drawn(sweep: Sweep, name: str) -> tuple[str, str] | None:
    """Why a figure is not among those that are drawn, and what to write or run to have it; None if it is."""
    figure, selected = FIGURES[name], sweep.config["figures"]["select"]
    if lacking := what_is_lacking(sweep, name):
        return lacking
    if selected != "all":
        command = f"snakemake --cores all figures --config 'figures={{select: [{name}]}}'"
        if name not in selected:
            return "not in figures.select", command
    if name == "token_table" and not figure_files(sweep, name):
        model = sweep.models[0]
        entry = first_table(sweep.choice(model, "matrices")[0])
        return "no matrix of the sweep is chosen", f"add {entry} to models.{model}.token_tables"
    if figure.labeller is not None and all(place.labeller != figure.labeller for place in sweep.labelled_places):
        return f"no labels of {figure.labeller} are swept", f"snakemake --cores all plot_{name}"
    if figure.on_request and selected == "all":
        return "drawn on request", f"snakemake --cores all plot_{name}"
    return None


def check_figures(sweep: Sweep) -> None:
    """Raises SvdlensError for a name in figures.select or figures.labeller that is none."""
    if sweep.figure_labeller not in sweep.labellers:
        raise SvdlensError(
            f"figures.labeller: {sweep.figure_labeller!r} is no labeller of the sweep. "
            f"Labellers: {', '.join(sweep.labellers)}.{did_you_mean(sweep.figure_labeller, sweep.labellers)}"
        )
    for name in selected_figures(sweep):
        if name not in FIGURES:
            raise SvdlensError(
                f"figures.select: {name!r} is no figure. Figures: {', '.join(FIGURES)}."
                f"{did_you_mean(name, list(FIGURES))}"
            )
        control = FIGURES[name].control
        if control is not None and control not in sweep.controls:
            raise SvdlensError(
                f"figures.select: {name} needs the control {control}, and `controls` has {', '.join(sweep.controls)}. "
                f"Add it there, or leave {name} out."
            )
        if lacking := what_is_lacking(sweep, name):
            why, how = lacking
            what = {
                "topic": "is of topics",
                "trace": "is of queries",
                "edit": "is of edits",
                "effect": "is of effects",
                "card": "is of cards",
            }.get(FIGURES[name].scope, "shows the stability of vectors")
            if (compares := FIGURES[name].compares) and not files_with_something(sweep, name):
                what = f"compares {compares}"
            raise SvdlensError(f"figures.select: {name} {what}, and {why}: {how}, or leave {name} out.")
