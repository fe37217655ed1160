"""What a sweep leaves out of all that there could be, for the report. Imports nothing heavy: the Snakefile asks."""

from collections.abc import Iterator
from typing import Any

from svdlens.figures.files import figure_files, files_left_out, first_table, why_not_drawn
from svdlens.figures.registry import FIGURES
from svdlens.labels.registry import LABELLERS, LabellerEntry
from svdlens.spec.controls import BESIDE_SVD, CONTROLS
from svdlens.sweep.plan import Sweep

ONE_SETTING = ("one_matrix", "labelled_kind")
"""Scopes of figures with one setting of each model."""


def swept_configuration(sweep: Sweep) -> dict[str, Any]:
    """The configuration without the models and settings that are not swept."""
    config = sweep.config
    models = {model: config["models"][model] for model in sweep.models}
    settings = {setting: config["settings"][setting] for setting in sweep.swept_settings()}
    others = {key: value for key, value in config.items() if key not in ("models", "settings", "sweep")}
    return {"sweep": config["sweep"], "models": models, "settings": settings, **others}


def not_made(sweep: Sweep) -> list[dict[str, str]]:
    """What the sweep leaves out: `what`, `why`, and `how`, what to write or run, empty where nothing helps."""
    rows = [
        *figures_left_out(sweep),
        *figures_of_one_setting(sweep),
        *controls_left_out(sweep),
        *token_tables_left_out(sweep),
        *labels_left_out(sweep),
    ]
    return [{"what": what, "why": why, "how": how} for what, why, how in rows]


def figures_left_out(sweep: Sweep) -> Iterator[tuple[str, str, str]]:
    """What, why and how of each figure that is not drawn."""
    for name in FIGURES:
        reason = why_not_drawn(sweep, name)
        if reason is not None:
            yield f"figure {name}", *reason
            continue
        for subject, why, how in files_left_out(sweep, name):
            yield f"figure {name}, {', '.join(map(str, subject.values()))}", why, how


def figures_of_one_setting(sweep: Sweep) -> Iterator[tuple[str, str, str]]:
    """What, why and how of the settings in which figures are not drawn that have one setting of each model."""
    names = [name for name, figure in FIGURES.items() if figure.scope in ONE_SETTING and not why_not_drawn(sweep, name)]
    for model in sweep.models:
        shown = sweep.figure_setting(model)
        others = [setting for setting in sweep.choice(model, "settings") if setting != shown]
        if names and others:
            what = f"figures {' and '.join(names)}, {model}, settings {', '.join(others)}"
            yield what, f"they are of one setting of a model: post2022, else its first; here {shown}", ""


def controls_left_out(sweep: Sweep) -> Iterator[tuple[str, str, str]]:
    """What, why and how of each control that is not chosen and could be."""
    for control in CONTROLS:
        if control not in sweep.controls and (sweep.basis == "svd" or control not in BESIDE_SVD):
            chosen = ", ".join(name for name in CONTROLS if name in sweep.controls or name == control)
            yield f"control {control}", "it is not in `controls`", f"write controls: [{chosen}]"


def token_tables_left_out(sweep: Sweep) -> Iterator[tuple[str, str, str]]:
    """What, why and how of each swept matrix of which no layer is shown."""
    by_rule = [] if why_not_drawn(sweep, "interpretable_table") else figure_files(sweep, "interpretable_table")
    for model in sweep.models:
        drawn = {table["matrix"] for table in sweep.config["models"][model].get("token_tables", [])}
        drawn |= {file.subject["matrix"] for file in by_rule if file.subject["model"] == model}
        for matrix in sweep.choice(model, "matrices"):
            if matrix not in drawn:
                how = f"add {first_table(matrix)} to models.{model}.token_tables"
                yield f"token tables of {matrix}, {model}", "no layer is chosen", how


def labels_left_out(sweep: Sweep) -> Iterator[tuple[str, str, str]]:
    labelled = set(sweep.labelled_places)
    for labeller in sweep.labellers:
        without: dict[tuple[str, str], list[str]] = {}
        for place in sweep.places:
            if (*place, labeller) not in labelled:
                without.setdefault((place.model, place.matrix), []).append(place.setting)
        configuration = sweep.config["labellers"].get(labeller, {})
        for (model, matrix), settings in without.items():
            what = f"labels of {labeller} for {matrix}, {model}, settings {', '.join(settings)}"
            if matrix not in configuration.get("matrices", [matrix]):
                yield (
                    what,
                    f"labellers.{labeller}.matrices leaves it out",
                    f"add {matrix} to labellers.{labeller}.matrices",
                )
            else:
                yield what, what_it_labels(LABELLERS[labeller]), ""


def what_it_labels(labeller: LabellerEntry) -> str:
    """The only matrices, settings and models that a labeller can label, as words."""
    limits = [
        *([f"matrices {', '.join(labeller.matrices)}"] if labeller.matrices else []),
        *([f"settings {', '.join(labeller.settings)}"] if labeller.settings else []),
        *([f"the models in labellers.{labeller.name}.{labeller.models_key}"] if labeller.models_key else []),
    ]
    return f"{labeller.name} labels only {'; '.join(limits)}"
