"""Files that are asked for by their path: whether the configuration has what the path names."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.labels.registry import LABELLERS, can_label
from svdlens.spec.architectures import DEFAULT, check_choices
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.sweep.plan import Place, Sweep

EXPORT = re.compile(r"(?P<matrix>.+?)(_L(?P<layer>\d+))?(_H(?P<head>\d+))?(_(?P<side>[A-Za-z]+))?")


class ExportedMatrix(NamedTuple):
    """One side of one matrix of a kind; `head` is None for an MLP."""

    matrix: str
    layer: int
    head: int | None
    side: str


def check_place(sweep: Sweep, place: Place) -> None:
    """Raises SvdlensError if the catalogues have no such model or setting, or the model not this setting or matrix."""
    check_name("models", place.model, sweep.config["models"])
    check_name("settings", place.setting, sweep.config["settings"])
    if place.matrix is not None:
        check_name("kinds of matrices", place.matrix, MATRIX_KINDS)
    check_choices(
        place.model,
        sweep.config["models"][place.model].get("architecture", DEFAULT),
        {place.setting: sweep.setting(place.setting)},
        [place.matrix] if place.matrix is not None else [],
        sweep.choice(place.model, "readouts"),
    )


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise SvdlensError(f"{name!r} is none of the {what}: {', '.join(known)}.{did_you_mean(name, known)}")


def check_labelled_place(sweep: Sweep, place: Place, labeller: str) -> None:
    """Raises SvdlensError if a place has no labels by this labeller."""
    check_name("labellers", labeller, LABELLERS)
    if not can_label(LABELLERS[labeller], sweep.labeller_config(labeller), *place):
        raise SvdlensError(
            f"{labeller} has no labels of {place.matrix} of {place.model} in setting {place.setting}: it is "
            f"{LABELLERS[labeller].what}. Ask for another labeller, or see `labellers` in the configuration."
        )


def check_swept(sweep: Sweep, model: str, exported: ExportedMatrix) -> None:
    """Raises SvdlensError if the matrix is none of the `layers` and `heads` that are decomposed."""
    if not sweep.is_swept(model, exported.matrix, exported.layer, exported.head):
        numbers = sweep.numbers(model, exported.matrix)
        chosen = " and ".join(f"{key} {', '.join(map(str, numbers[key]))}" for key in numbers)
        raise SvdlensError(
            f"of {exported.matrix} of {model} only {chosen} are decomposed (`layers` and `heads` of the sweep or the "
            "model). Export one of these, or add to them."
        )


def exported_matrix(name: str) -> ExportedMatrix:
    """What a file of this name under results/exports/{model}/{setting}, without its suffix, is of.

    Raises SvdlensError for a name of nothing, which says what is missing in it.
    """
    found = EXPORT.fullmatch(name)
    matrix, layer, head, side = found.group("matrix", "layer", "head", "side") if found else (name, "", "", "")
    check_name("kinds of matrices", matrix, MATRIX_KINDS)
    per_head, sides = MATRIX_KINDS[matrix].per_head, MATRIX_KINDS[matrix].sides
    pattern = f"{matrix}_L{{layer}}{'_H{head}' if per_head else ''}_{{side}}, with a side of {', '.join(sides)}"
    parts = {"layer": layer, "side": side} | ({"head": head} if per_head else {})
    if missing := [part for part, text in parts.items() if not text]:
        raise SvdlensError(f"the name {name!r} has no {' and no '.join(missing)}. Exports of {matrix} are {pattern}.")
    if head and not per_head:
        raise SvdlensError(f"the name {name!r} has a head, and {matrix} has none. Exports of it are {pattern}.")
    check_name(f"sides of {matrix}", side, sides)
    return ExportedMatrix(matrix, int(layer), int(head) if head else None, side)
