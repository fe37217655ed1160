"""Checks of the edits that a configuration names, as far as they need no model. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

from svdlens.errors import did_you_mean
from svdlens.labels.registry import LABELLERS
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.spec.architectures import ARCHITECTURES, DEFAULT, check_choices
from svdlens.spec.controls import VARIMAX
from svdlens.spec.edits import BEST, BEST_MATRIX, FITTED, ONE_PROMPT, PROPORTIONAL
from svdlens.spec.matrix_kinds import MATRIX_KINDS, SCALED
from svdlens.spec.token_vectors import BEST_LIST
from svdlens.sweep.plan import Place, Sweep

WRITING = [name for name in SCALED if "write" in MATRIX_KINDS[name].sides]


def check_edits(config: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with an edit. Raises SvdlensError for a setting or matrix that its model lacks."""
    sweep = Sweep(config)
    if sweep.edits and sweep.basis == VARIMAX:
        return "edits: edits are of singular directions, and with basis: varimax lists are of others. Write basis: svd."
    for name in sweep.edits:
        checks = (check_model, check_trace_of, check_eps, check_directions, check_path)
        problem = next(filter(None, (check(sweep, name) for check in checks)), None)
        if problem:
            return f"edits.{name}{problem}"
    return None


def check_model(sweep: Sweep, name: str) -> str | None:
    """A model or setting that is none, or a model that no forward pass can be made of."""
    edit = sweep.edits[name]
    for key, known in (("model", list(sweep.config["models"])), ("setting", list(sweep.config["settings"]))):
        if edit[key] not in known:
            return (
                f".{key}: {edit[key]!r} is no {key}. In the catalogue `{key}s`: {', '.join(known)}."
                f"{did_you_mean(edit[key], known)}"
            )
    if sweep.is_change(edit["model"]):
        return (
            f".model: {edit['model']} is a difference or an adapter: it has no weights of its own to scale directions "
            "in. Edit a model that it is of."
        )
    architecture = sweep.config["models"][edit["model"]].get("architecture", DEFAULT)
    if architecture in LAYOUTS and not LAYOUTS[architecture].modules:
        able = ", ".join(name for name, layout in LAYOUTS.items() if layout.modules)
        return (
            f".model: {edit['model']} ({architecture}) {LAYOUTS[architecture].no_modules}, so that nothing tells what "
            f"an edit does. Take a model of one of the architectures {able}."
        )
    check_choices(
        edit["model"], architecture, {edit["setting"]: sweep.setting(edit["setting"])}, sweep.edited_matrices(name),
        sweep.choice(edit["model"], "readouts"),
    )  # fmt: skip
    return None


def check_trace_of(sweep: Sweep, name: str) -> str | None:
    """A query that is none, or a model and setting in which it is not looked for."""
    query, edit = sweep.edit_query(name), sweep.edits[name]
    if query is None:
        return None
    trace = sweep.config["trace"]
    # With `query` the others are not asked for, but they are still there.
    known = list(dict.fromkeys([*trace["queries"], *([BEST_LIST] if trace["best_list"] else []), *sweep.query_names]))
    if query not in known:
        return (
            f".directions.trace: {query!r} is no query of the configuration, which has {', '.join(known) or 'none'}. "
            f"Write trace: {{queries: {{{query}: [its words]}}}}.{did_you_mean(query, known)}"
        )
    model, setting = edit["model"], edit["setting"]
    if (model, setting) not in sweep.traced:
        traced = "; ".join(f"{model} in {setting}" for model, setting in sweep.traced)
        return (
            f".directions.trace: no query is looked for in {model} in {setting}, but in {traced or 'none'}. Take one "
            "of these, or add to `sweep`, and to trace.models and trace.settings where they are given."
        )
    if not sweep.edited_matrices(name):
        able = [matrix for matrix in SCALED if edit["path"] == "total" or matrix in WRITING]
        return (
            f".directions.trace: of the matrices of {model} in this sweep none can be edited with path: {edit['path']}."
            f" Sweep one of {', '.join(able)}."
        )
    return None


def check_eps(sweep: Sweep, name: str) -> str | None:
    """Proportions without cosines, or a single prompt to fit on and to measure; of a file measuring says so."""
    edit = sweep.edits[name]
    prompts = edit.get("prompts")
    if edit["eps"] == FITTED and isinstance(prompts, list) and len(prompts) == 1:
        return f".eps: {ONE_PROMPT}"
    if edit["eps"] != PROPORTIONAL or sweep.edit_query(name) is not None:
        return None
    return (
        f".eps: {PROPORTIONAL} is in proportion to the cosines with a query, and these directions have none. Write "
        "directions: {trace: QUERY, top: 10}, or a number."
    )


def check_directions(sweep: Sweep, name: str) -> str | None:
    """A direction that no matrix has, as far as that is known, or that is there twice; a choice without labels."""
    edit = sweep.edits[name]
    if sweep.edit_query(name) is not None:
        return None
    model, setting, kept = edit["model"], edit["setting"], sweep.config["directions"]
    if edit["directions"] == BEST:
        chosen_by = sweep.labeller_config(sweep.figure_labeller)
        sides, own = chosen_by.get("sides", ["write"]), LABELLERS[sweep.figure_labeller].lists
        labelled = {place[:3] for place in sweep.labelled_places if place.labeller == sweep.figure_labeller}
        if Place(model, setting, BEST_MATRIX) in labelled and "write" in sides and not own:
            return None
        return (
            f".directions: `{BEST}` is chosen by the labels of the write side of {BEST_MATRIX}, and "
            f"{sweep.figure_labeller} gives {model} in {setting} none in this sweep. Name directions, or sweep these."
        )
    seen = set()
    for entry in edit["directions"]:
        matrix, layer, head, index = (entry.get(key) for key in ("matrix", "layer", "head", "index"))
        if matrix not in SCALED:
            return (
                f".directions: {matrix} is not edited: edits scale what a layer adds. Take one of {', '.join(SCALED)}."
            )
        if (head is not None) != MATRIX_KINDS[matrix].per_head:
            per_head = ", ".join(kind for kind in SCALED if MATRIX_KINDS[kind].per_head)
            return f".directions: {entry}: `head` is for {per_head}, and needed there."
        if not sweep.is_swept(model, matrix, layer, head):
            numbers = sweep.numbers(model, matrix)
            only = " and ".join(f"{key} {', '.join(map(str, numbers[key]))}" for key in numbers)
            return (
                f".directions: {entry}: of {matrix} of {model} only {only} are decomposed (`layers` and `heads`). "
                "Take one of these, or add to them."
            )
        if kept != "all" and index >= kept:
            return f".directions: {entry}: {kept} directions of each matrix are kept. Write `directions: {index + 1}`."
        if (matrix, layer, head, index) in seen:
            return f".directions: {entry} is there with both signs, which are one direction. Leave one of them out."
        seen.add((matrix, layer, head, index))
    return None


def check_path(sweep: Sweep, name: str) -> str | None:
    """A direct path that the matrix or the architecture does not have."""
    edit = sweep.edits[name]
    if edit["path"] != "direct":
        return None
    architecture = sweep.config["models"][edit["model"]].get("architecture", DEFAULT)
    if architecture in ARCHITECTURES and ARCHITECTURES[architecture].post_norm:
        return (
            f".path: in {edit['model']} ({architecture}) a norm stands between what a layer writes and the residual "
            "stream, so that there is no direct path. Write path: total."
        )
    for matrix in sweep.edited_matrices(name):
        if matrix not in WRITING:
            return (
                f".path: {matrix} does not write into the residual stream, so that it has no direct path. "
                f"Write path: total, or edit {' or '.join(WRITING)}."
            )
    return None
