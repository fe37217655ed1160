"""What a figure compares, and whether a file of it has something to compare."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import setting_pairs
from svdlens.sweep.plan import Sweep


def several_readouts(sweep: Sweep, subject: Mapping[str, Any]) -> bool:
    """Whether a model of this setting is read through several read-outs."""
    models = {place.model for place in sweep.places if place.setting == subject["setting"]}
    return any(len(sweep.choice(model, "readouts")) > 1 for model in models)


def several_labellers(sweep: Sweep, subject: Mapping[str, Any]) -> bool:
    """Whether two labellers label the same lists of this setting."""
    places = [place[:3] for place in sweep.labelled_places if place.setting == subject["setting"]]
    return len(places) > len(set(places))


def single_switches(sweep: Sweep, subject: Mapping[str, Any]) -> bool:
    """Whether two settings of this model differ in a single switch or flag."""
    return bool(setting_pairs({name: sweep.setting(name) for name in sweep.choice(subject["model"], "settings")}))


def both_sides(sweep: Sweep, subject: Mapping[str, Any]) -> bool:
    """Whether OV is swept in this setting."""
    return any((place.setting, place.matrix) == (subject["setting"], "ov") for place in sweep.places)


def any_layers(sweep: Sweep, subject: Mapping[str, Any]) -> bool:
    """Whether matrices of layers are swept, in this setting if the file is of one, and not just unembed and embed."""
    setting = subject.get("setting")
    return any(setting in (place.setting, None) and MATRIX_KINDS[place.matrix].in_layers for place in sweep.places)


class Compared(NamedTuple):
    """What a figure compares: whether a file of it can, else why not, with {where} of a file, and what to write."""

    can: Callable[[Sweep, Mapping[str, Any]], bool]
    why_not: str
    how: Callable[[Sweep, Mapping[str, Any]], str]


def more_settings(sweep: Sweep, subject: Mapping[str, Any]) -> str:
    """What to write for settings that differ in a single switch; a model may have settings of its own."""
    model = subject.get("model")
    own = model is not None and "settings" in sweep.config["models"][model]
    return f"add such a setting to {f'models.{model}' if own else 'sweep'}.settings"


def more_readouts(sweep: Sweep, subject: Mapping[str, Any]) -> str:
    """What to write for several read-outs: the scalings of the first that there is."""
    [first, *_] = sweep.choice(sweep.models[0], "readouts")
    weights = READOUTS[first].weights
    return f"write readouts: [{', '.join(dict.fromkeys([first, f'{weights}_cosine', f'{weights}_whitened']))}]"


COMPARED = {
    "read-outs": Compared(several_readouts, "no model is read through several read-outs{where}", more_readouts),
    "labellers": Compared(
        several_labellers,
        "no two labellers label the same lists{where}",
        lambda sweep, subject: "add a labeller to sweep.labellers",
    ),
    "settings": Compared(
        single_switches,
        "no two settings{where} differ in a single switch",
        more_settings,
    ),
    "layers": Compared(
        any_layers,
        "no matrices of layers are swept{where}",
        lambda sweep, subject: "add ov, mlp_in or mlp_out to sweep.matrices",
    ),
    "sides": Compared(both_sides, "no OV circuits are swept{where}", lambda sweep, subject: "add ov to sweep.matrices"),
}
"""By `compares` of a FigureEntry."""
