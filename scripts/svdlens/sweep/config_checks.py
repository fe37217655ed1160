"""Checks of a configuration: the first thing that is wrong with it, as a sentence that says what to write instead."""

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import yaml

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.labels.registry import LABELLERS
from svdlens.spec.architectures import ARCHITECTURES, DEFAULT, check_choices
from svdlens.spec.controls import BESIDE_SVD, CONTROLS, VARIMAX
from svdlens.spec.matrix_kinds import MATRIX_KINDS, OF_THE_MODEL, SIDES
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import setting_from_names
from svdlens.spec.token_vectors import BEST_LIST, TOKEN_VECTORS
from svdlens.sweep.asking_checks import check_asking
from svdlens.sweep.change_checks import CHANGES, check_changes, check_vocabulary_of_changes, take_from_base
from svdlens.sweep.edit_checks import check_edits
from svdlens.sweep.local_architectures import fill_in_architectures
from svdlens.sweep.named_files import named_paths
from svdlens.sweep.plan import Sweep
from svdlens.sweep.schema_checks import check_numbers, check_schema

DOWNLOADS = ("repo", "revision", "wheel", "file")
"""Keys of a model that is downloaded."""
SOURCES = ("repo", "path", "bundled", "package", "wheel", *CHANGES)


def registered_names() -> dict[str, list[str]]:
    """The values of the definitions of the schema (`$defs`) that registries know."""
    return {
        "architecture": list(ARCHITECTURES),
        "matrix": list(MATRIX_KINDS),
        "side": list(SIDES),
        "readout": list(READOUTS),
        "control": list(CONTROLS),
        "token_vectors": list(TOKEN_VECTORS),
        "labeller": list(LABELLERS),
    }


def load_schema(path: Path) -> dict[str, Any]:
    """rules/config.schema.yaml with the names that the registries have now.

    A labeller that the file does not describe takes the keys that all labellers have.
    """
    schema: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for definition, names in registered_names().items():
        schema["$defs"][definition]["enum"] = names
    described = schema["properties"]["labellers"]["properties"]
    for name, labeller in LABELLERS.items():
        keys = {"type": "object", "description": labeller.what, "additionalProperties": False}
        described.setdefault(name, keys | {"properties": schema["$defs"]["labelled_rows"]["properties"]})
    return schema


def check_configuration(config: MutableMapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raises SvdlensError for the first thing in `config` that is wrong; `schema` is what load_schema returns.

    In place, entries of models get the architectures that local files say (local_architectures.py), and differences and
    adapters what they have from their base (take_from_base).
    """
    problem = (
        check_numbers(config)
        or check_schema(config, schema)
        or check_names(config, schema)
        or check_models(config)
        or check_paths(config)
    )
    if problem:
        raise SvdlensError(problem)
    fill_in_architectures(config)
    if problem := check_changes(config):
        raise SvdlensError(problem)
    take_from_base(config)
    if problem := check_vocabulary_of_changes(config):
        raise SvdlensError(problem)
    settings = {name: setting_from_names(name, switches) for name, switches in config["settings"].items()}
    for model in config["sweep"]["models"]:
        entry = config["models"][model]
        chosen = {key: entry.get(key, config["sweep"][key]) for key in ("settings", "matrices", "readouts")}
        check_choices(
            model,
            entry.get("architecture", DEFAULT),
            {name: settings[name] for name in chosen["settings"]},
            chosen["matrices"],
            chosen["readouts"],
        )
    problem = check_labelled(config) or check_asking(config) or check_sheets(config)
    if problem := problem or check_basis(config) or check_trace(config) or check_heads(config):
        raise SvdlensError(problem)
    if problem := check_edits(config):
        raise SvdlensError(problem)


def check_paths(config: MutableMapping[str, Any]) -> str | None:
    """The first path in which Snakemake would see a wildcard."""
    for where, mapping, key in named_paths(config):
        if re.search(r"\{.*\}", mapping.get(key, "")):
            return (
                f"{where}: {mapping[key]}: Snakemake takes what stands between {{ and }} for a wildcard. Rename it, or "
                "name a link to it without these signs (ln -s)."
            )
    return None


def check_basis(config: Mapping[str, Any]) -> str | None:
    """A control that is what the directions of the sweep, or their random unit vectors, are."""
    same = [name for name in BESIDE_SVD if config["basis"] == VARIMAX and name in config["controls"]]
    if same:
        others = ", ".join(control for control in config["controls"] if control not in same)
        return (
            f"controls: with basis: varimax, {' and '.join(same)} would be there twice: the directions are the varimax "
            f"basis, and random_unit that of random subspaces. Write controls: [{others}], or basis: svd to compare."
        )
    return None


def check_labelled(config: Mapping[str, Any]) -> str | None:
    """That some labeller has something to label, without which there is no table of labels."""
    sweep = Sweep(config)
    if sweep.labelled_places:
        return None
    matrices = ", ".join(dict.fromkeys(place.matrix for place in sweep.places))
    return (
        f"sweep.labellers: {', '.join(sweep.labellers)} can label nothing of this sweep: {matrices} of "
        f"{', '.join(sweep.models)} in the settings {', '.join(sweep.swept_settings())}. Ask for what it labels "
        "(docs/labels.md), see `matrices` under `labellers`, or ask for another labeller."
    )


def check_sheets(config: Mapping[str, Any]) -> str | None:
    """Labels by people without a sheet that one has filled in, or with one that stands for two people."""
    sheets = config["labellers"].get("manual", {}).get("sheets", {})
    if "manual" in config["sweep"]["labellers"] and not sheets:
        return (
            "sweep.labellers: manual has no sheets yet. Take it out until people have filled one in, which `make "
            "label-sheet SWEEP=FILE` makes; then write `labellers: {manual: {sheets: {anna: anna.csv}}}`, with a name "
            "for each of them, and put it back."
        )
    for person, path in sheets.items():
        other = next(name for name, its_path in sheets.items() if Path(its_path) == Path(path))
        if other != person:
            return f"labellers.manual.sheets: {path} is of {other} and {person}. Give each their own, or take one out."
    return None


def check_trace(config: Mapping[str, Any]) -> str | None:
    """What is traced and not swept, or not labelled although a list is the query. Raises what token_vectors raises."""
    sweep, trace = Sweep(config), config["trace"]
    for key, swept in (("models", sweep.models), ("settings", sweep.swept_settings())):
        for name in trace.get(key, []):
            if name not in swept:
                return (
                    f"trace.{key}: {name!r} is not in the sweep. In it: {', '.join(swept)}.{did_you_mean(name, swept)}"
                )
    traced = [model for model in trace.get("models", sweep.models) if sweep.matrices_of_layers(model)]
    if sweep.query_names and not traced:
        return (
            "trace: it searches what layers read and write, and the sweep has just unembed or embed of its models. Add "
            "ov, mlp_in or mlp_out to sweep.matrices."
        )
    if sweep.query_names and not sweep.traced:
        chosen = f"{', '.join(traced)} in {', '.join(trace['settings'])}"
        return f"trace: the sweep has no {chosen}. Leave `settings` out, or name one that the model has."
    if BEST_LIST in trace["queries"]:
        return f"trace.queries: {BEST_LIST} is the name of the query that `best_list: true` makes. Take another name."
    labelled = {place[:2] for place in sweep.labelled_places if place.labeller == sweep.figure_labeller}
    for model, setting in sweep.traced if sweep.query_names else []:
        sweep.token_vectors(model)
        if sweep.best_list and (model, setting) not in labelled:
            return (
                f"trace.best_list: {sweep.figure_labeller} labels nothing of {model} in {setting}, and the list is "
                "chosen by its scores. Write best_list: false, or other trace.models and trace.settings."
            )
    return None


def check_heads(config: Mapping[str, Any]) -> str | None:
    """Heads on a prompt of a model that is not in the sweep."""
    swept = config["sweep"]["models"]
    for number, head in enumerate(config["on_prompt"]["heads"]):
        name = head.get("model", swept[0])
        if name not in swept:
            return (
                f"on_prompt.heads.{number}.model: {name!r} is not in the sweep. In it: {', '.join(swept)}."
                f"{did_you_mean(name, swept)}"
            )
    return None


def check_names(config: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """The first name in the sweep, or of a model's own settings, that is in no catalogue."""
    for labeller in config["sweep"]["labellers"]:
        required = schema["properties"]["labellers"]["properties"][labeller].get("required", [])
        if required and labeller not in config["labellers"]:
            keys = ", ".join(f"{key}: ..." for key in required)
            return (
                f"sweep.labellers: {labeller!r} has no entry under `labellers`. "
                f"Write `labellers: {{{labeller}: {{{keys}}}}}`."
            )
    chosen = [(catalogue, f"sweep.{catalogue}", config["sweep"][catalogue]) for catalogue in ("models", "settings")]
    for model, entry in config["models"].items():
        chosen.append(("settings", f"models.{model}.settings", entry.get("settings", [])))
    for catalogue, where, names in chosen:
        for name in names:
            if name not in config[catalogue]:
                known = list(config[catalogue])
                return (
                    f"{where}: {name!r} is no {catalogue.removesuffix('s')}. In the catalogue `{catalogue}`: "
                    f"{', '.join(known)}.{did_you_mean(name, known)}"
                )
    return None


def check_models(config: Mapping[str, Any]) -> str | None:
    """The first model of the catalogue without one source, or with a table of tokens of no matrix."""
    per_head = [name for name, kind in MATRIX_KINDS.items() if kind.per_head]
    for name, model in config["models"].items():
        sources = [key for key in SOURCES if key in model and not (key == "path" and is_download(model))]
        if len(sources) != 1 or ("repo" in model) != ("revision" in model):
            return (
                f"models.{name}: has {', '.join(sources) or 'no source'}; a model has just one of `repo` (with "
                "`revision`), `path`, `bundled`, `package`, `wheel` (with `file`), `diff` or `adapter`, or a `path` "
                "beside `repo` or `wheel`, of a copy in place of the download. In a second configuration file, give a "
                "changed model a new name: mappings are merged."
            )
        if ("wheel" in model and "file" not in model) or ("file" in model and not is_download(model)):
            return (
                f"models.{name}: has {sources[0]} {'and' if 'file' in model else 'without'} file; `file` is the GGUF "
                "file in a `wheel`, which needs it, or in a `repo`. One on this machine is named by `path` alone."
            )
        for table in model.get("token_tables", []):
            if ("head" in table) != (table["matrix"] in per_head):
                return f"models.{name}.token_tables: {table}: `head` is for {' and '.join(per_head)}, and needed there."
            if ("layer" in table) != MATRIX_KINDS[table["matrix"]].in_layers:
                return (
                    f"models.{name}.token_tables: {table}: `layer` is needed but for {' and '.join(OF_THE_MODEL)}, "
                    "which have none."
                )
    return None


def is_download(model: Mapping[str, Any]) -> bool:
    return "repo" in model or "wheel" in model


def take_copies(config: MutableMapping[str, Any]) -> None:
    """Give each model of the catalogue that has a `path` beside a download this source alone, in place.

    It is still the model of that name, whose published answers, token tables and checksums (by the names of the files
    alone) are those of the copy.
    """
    for name, model in config["models"].items():
        if "path" in model and is_download(model):
            pins = {Path(file).name: digest for file, digest in model.get("sha256", {}).items()}
            kept = {key: value for key, value in model.items() if key not in DOWNLOADS}
            config["models"][name] = kept | ({"sha256": pins} if pins else {})
