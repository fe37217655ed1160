"""What is asked for on the command line: whether there is such a target or file, and has the model what its path names.

The rules of the workflow say what there is: which of their names are targets, and the patterns of their files.
"""

import itertools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.labels.registry import LABELLERS, can_label
from svdlens.spec.architectures import DEFAULT, check_choices
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.sweep.named_files import model_place
from svdlens.sweep.plan import Place, Sweep

EXPORT = re.compile(
    r"(?P<matrix>.+?)(_L(?P<layer>\d+))?(_H(?P<head>\d+))?(_(?P<side>[a-z]+))?", re.ASCII | re.IGNORECASE
)
SEGMENT = re.compile(r"(?:\{[^{}]*\}|[^/{}])+")  # of a pattern: what stands between two slashes
WILDCARD = re.compile(r"\{(\w+)(?:,([^{}]*))?\}")
AT_MOST, FEW = 12, 2  # names and patterns in a message


class ExportedMatrix(NamedTuple):
    """One side of one matrix of a kind; `head` is None for an MLP."""

    matrix: str
    layer: int
    head: int | None
    side: str


def no_such_target(asked: str, targets: Collection[str], patterns: Iterable[str]) -> str:
    """What is wrong with a target that is neither a name of `targets` nor a file of one of the `patterns`.

    patterns: paths with wildcards as Snakemake has them, {name} or {name,regular expression}. Says from where on the
    path is none of these, what there is in that place, and the nearest name.
    """
    parts = asked.split("/")
    if len(parts) == 1:
        said = f"{asked!r} is no target, but {listed(targets)} are"
        return f"{said}; files are asked for by their path.{did_you_mean(asked, targets)}"
    left = [SEGMENT.findall(pattern) for pattern in patterns]
    for depth, part in enumerate(parts):
        longer = [segments for segments in left if len(segments) > depth]
        left = [segments for segments in longer if expression(segments[depth]).fullmatch(part)]
        if not left:
            known = list(dict.fromkeys(name for segments in longer for name in names_of(segments[depth])))
            nearest, where = did_you_mean(part, known), "/".join(parts[:depth]) or "."
            there = "" if not known or (nearest and len(known) > AT_MOST) else f", but {listed(known)}"
            said = f"no rule of this configuration makes {asked}: under {where}/ there is no {part!r}{there}.{nearest}"
            return said + files_of(longer, len(parts))
    names = [name for segments in left if len(segments) > len(parts) for name in names_of(segments[len(parts)])]
    return (
        f"{asked} is a directory. Ask for a target by its name, or for what is in it: {listed(dict.fromkeys(names))}."
    )


def files_of(patterns: list[list[str]], depth: int) -> str:
    """What a few patterns, given by their segments, look like, if none of them has this many segments."""
    plain = {"/".join(WILDCARD.sub(r"{\1}", segment) for segment in segments) for segments in patterns}
    other = all(len(segments) != depth for segments in patterns) and len(plain) <= FEW
    return f" Files there are {' or '.join(sorted(plain))}." if other else ""


def listed(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:AT_MOST]) + (f" and {len(known) - AT_MOST} more" if len(known) > AT_MOST else "")


def expression(segment: str) -> re.Pattern[str]:
    """What a segment of a pattern matches."""
    literals, wildcards = WILDCARD.split(segment)[::3], WILDCARD.split(segment)[2::3]
    return re.compile(interleaved(map(re.escape, literals), (f"(?:{one or '[^/]+'})" for one in wildcards)))


def names_of(segment: str) -> Iterator[str]:
    """Every name that a segment of a pattern stands for; a wildcard that may be anything stays one."""
    for values in itertools.product(*map(alternatives, WILDCARD.finditer(segment))):
        yield interleaved(WILDCARD.split(segment)[::3], values)


def interleaved(literals: Iterable[str], between: Iterable[str]) -> str:
    return "".join(itertools.chain.from_iterable(itertools.zip_longest(literals, between, fillvalue="")))


def alternatives(wildcard: re.Match[str]) -> list[str]:
    """The values of a wildcard, if its regular expression is a list of names, else {name}."""
    name, constraint = wildcard.groups()
    values = [re.sub(r"\\(.)", r"\1", value) for value in (constraint or "").split("|")]
    return values if "|".join(map(re.escape, values)) == constraint else [f"{{{name}}}"]


def check_place(sweep: Sweep, place: Place) -> None:
    """Raises SvdlensError if the model of a place, all names of which are known, cannot have this setting or matrix."""
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


def check_shape(model: str, source: Mapping[str, Any], bundled: Path, fetched: Path, exported: ExportedMatrix) -> None:
    """Raises SvdlensError if a model whose config.json is on this machine does not have this layer or head.

    source: the model in the catalogue; bundled: the directory of the models of this project; fetched: where this model
    is once it is fetched. Of what is not here, or cannot be read, the job says it.
    """
    place = model_place(source, bundled)
    directory = place if place is not None and place.is_dir() else fetched if is_of(fetched, source) else None
    if directory is None:
        return
    # These take their time.
    from svdlens.models.checks import check_model_type
    from svdlens.models.model_shape import read_shape
    from svdlens.models.safetensors_files import read_json

    architecture = source.get("architecture", DEFAULT)
    try:
        check_model_type(read_json(directory / "config.json", model), model, architecture, model)
        shape = read_shape(directory, architecture)
    except SvdlensError:
        return
    wanted = (("layer", exported.layer, shape.n_layers), ("head", exported.head or 0, shape.n_heads))
    missing = [f"{part} {number} (of {count}, counted from 0)" for part, number, count in wanted if number >= count]
    if missing:
        raise SvdlensError(f"{model} has no {' and no '.join(missing)}. Ask for one that it has.")


def is_of(fetched: Path, source: Mapping[str, Any]) -> bool:
    """Whether the model in a directory was downloaded from this source."""
    try:
        provenance = json.loads((fetched / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wheel = source.get("wheel", {})
    stated = (source.get("repo", wheel.get("name")), source.get("revision", wheel.get("version")), source.get("file"))
    return stated == (provenance["repo"], provenance["revision"], provenance.get("gguf", {}).get("file"))


def exported_matrix(name: str) -> ExportedMatrix:
    """What a file of this name under results/exports/{model}/{setting}, without its suffix, is of.

    Raises SvdlensError for a name of nothing, which says what is missing in it.
    """
    found = EXPORT.fullmatch(name)
    matrix, layer, head, side = found.group("matrix", "layer", "head", "side") if found else (name, "", "", "")
    matrix, side = matrix.lower(), side and side.lower()
    check_name("kinds of matrices", matrix, MATRIX_KINDS)
    if not MATRIX_KINDS[matrix].in_layers:
        raise SvdlensError(f"{matrix} is of no layer, and exports are of what layers read and write. Ask for another.")
    per_head, sides = MATRIX_KINDS[matrix].per_head, MATRIX_KINDS[matrix].sides
    pattern = f"{matrix}_L{{layer}}{'_H{head}' if per_head else ''}_{{side}}, with a side of {', '.join(sides)}"
    parts = {"layer": layer, "side": side} | ({"head": head} if per_head else {})
    if missing := [part for part, text in parts.items() if not text]:
        raise SvdlensError(f"the name {name!r} has no {' and no '.join(missing)}. Exports of {matrix} are {pattern}.")
    if head and not per_head:
        raise SvdlensError(f"the name {name!r} has a head, and {matrix} has none. Exports of it are {pattern}.")
    check_name(f"sides of {matrix}", side, sides)
    exported = ExportedMatrix(matrix, int(layer), int(head) if head else None, side)
    canonical = f"{matrix}_L{exported.layer}{'' if head is None else f'_H{exported.head}'}_{side}"
    if name != canonical:
        raise SvdlensError(f"the name {name!r} is written {canonical!r}. Ask for that.")
    return exported
