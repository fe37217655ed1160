"""What of a model is asked for in a call from Python: matrices, setting, layers, heads; checked against the model."""

import os
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.spec.architectures import Architecture, missing_switches
from svdlens.spec.controls import CONTROLS, RANDOM_UNIT, ROTATED
from svdlens.spec.settings import FLAGS, Setting, setting_from_names
from svdlens.vocabulary.list_similarity import LIST_LENGTH

SETTINGS: Mapping[str, tuple[str, ...]] = {"raw": (), "tl_default": tuple(FLAGS)}
"""Settings that have a name here: the weights as they are, and what TransformerLens makes of them."""
GAUSSIAN = "gaussian"
POSSIBLE_CONTROLS = (RANDOM_UNIT, ROTATED, GAUSSIAN)
"""The others are of bases that are no singular vectors."""


class Chosen(NamedTuple):
    """The matrices, the setting, and the numbers of `layers` and `heads` where not all are asked for."""

    matrices: list[str]
    setting: Setting
    numbers: dict[str, list[int]]


def check_choices(
    architecture: Architecture,
    matrices: str | Sequence[str],
    setting: str | Sequence[str],
    layers: int | Sequence[int] | None,
    heads: int | Sequence[int] | None,
) -> Chosen:
    """What is asked for, each thing once. Raises SvdlensError for what the architecture does not have.

    setting: a name in SETTINGS, or switches and flags (spec/settings.py).
    """
    names = SETTINGS.get(setting, (setting,)) if isinstance(setting, str) else listed("setting", setting)
    made = setting_from_names(str(setting), names)
    if missing := missing_switches(made, architecture):
        has = f"has {', '.join(architecture.switches)}" if architecture.switches else 'has none: setting="raw"'
        raise SvdlensError(
            f"setting={setting!r} uses {', '.join(missing)}, which a {architecture.model_class} does not have; it "
            f"{has}."
        )
    numbers = {}
    for name, wanted in {"layers": layers, "heads": heads}.items():
        if wanted is None:
            continue
        given = [wanted] if isinstance(wanted, Integral) else listed(name, wanted)
        if wrong := [number for number in given if not isinstance(number, Integral) or isinstance(number, bool)]:
            raise SvdlensError(f"{name} has {wrong[0]!r}, no whole number. {name.capitalize()} are numbers from 0.")
        numbers[name] = sorted({int(number) for number in given})
        if not numbers[name]:
            raise SvdlensError(f"{name} is empty. Leave it out for all {name}.")
    return Chosen(choose("matrices", matrices, architecture.matrices), made, numbers)


def choose(key: str, chosen: str | Sequence[str], possible: Sequence[str]) -> list[str]:
    """The names chosen, each once; one may be given as it is. Raises SvdlensError for one that is not possible."""
    names = [chosen] if isinstance(chosen, str) else list(dict.fromkeys(listed(key, chosen)))
    for name in names:
        if name not in possible:
            raise SvdlensError(
                f"{name!r} is none of the {key} of this model, which are {', '.join(possible)}."
                f"{did_you_mean(str(name), possible)}"
            )
    if not names:
        raise SvdlensError(f"{key} is empty. Name some of {', '.join(possible)}.")
    return names


def listed(key: str, chosen: Any) -> list[Any]:
    """What is in a list or the like. Raises SvdlensError for what is none."""
    try:
        return list(chosen)
    except TypeError as error:
        raise SvdlensError(f"{key} is {chosen!r}, neither one of them nor a list. Write a list.") from error


def check_numbers(numbers: Mapping[str, Sequence[int]], counts: Mapping[str, int]) -> None:
    """Raises SvdlensError for layers and heads that a model with these counts does not have."""
    for name, count in counts.items():
        if wrong := [number for number in numbers.get(name, []) if not 0 <= number < count]:
            raise SvdlensError(
                f"{name}={list(numbers[name])}: the model has {count} {name}, 0 to {count - 1}, and no {wrong[0]}."
            )


def check_positive(**sizes: int) -> None:
    """Raises SvdlensError unless each is a whole number from 1 on."""
    for name, size in sizes.items():
        if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
            raise SvdlensError(f"{name} is {size!r}, not a whole number from 1 on.")


def check_seed(seed: int) -> None:
    """Raises SvdlensError unless it is a whole number from 0 on."""
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise SvdlensError(f"seed is {seed!r}, not a whole number from 0 on.")


def check_tolerance(tolerance: float) -> None:
    """Raises SvdlensError unless it is a relative distance, as in the configuration."""
    if not isinstance(tolerance, Real) or not 0 < tolerance < 1:
        raise SvdlensError(f"cluster_tolerance is {tolerance!r}, not a number between 0 and 1, such as 0.01.")


def check_labels(labels: bool, tokens: int) -> None:
    """Raises SvdlensError unless `labels` is true or false, and lists that are to be labelled have enough tokens."""
    if labels not in (True, False):
        raise SvdlensError(f"labels is {labels!r}, neither True nor False. The labeller is coherence.")
    if labels and tokens < LIST_LENGTH:
        raise SvdlensError(
            f"tokens is {tokens}, and the labeller reads the first {LIST_LENGTH} of a list. Write tokens={LIST_LENGTH} "
            "or more, or labels=False."
        )


def given_path(key: str, path: Any) -> Path:
    """A path that was given, its ~ written out. Raises SvdlensError for what is none."""
    if not isinstance(path, str | os.PathLike):
        raise SvdlensError(f"{key} is {path!r}, no path. Write it as text or as a pathlib.Path.")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SvdlensError(f"{key}={str(path)!r}: there is no such home directory. Write the path in full.") from error


def given_file(key: str, path: Any) -> Path | None:
    """A file to read. Raises SvdlensError where there is none."""
    if path is None:
        return None
    file = given_path(key, path)
    if not file.is_file():
        raise SvdlensError(f"{key}={str(path)!r}: there is no such file. Correct the path, or leave it out.")
    return file


def given_directory(key: str, path: Any) -> Path | None:
    """A directory to write into, made if it is not there. Raises SvdlensError where there can be none."""
    if path is None:
        return None
    directory = given_path(key, path)
    if directory.exists() and not directory.is_dir():
        raise SvdlensError(f"{key}={str(path)!r} is a file. Name a directory, which need not be there yet.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise SvdlensError(f"{key}={str(path)!r} cannot be written to. Name another directory, or leave it out.")
    return directory


def check_level(level: float) -> None:
    """Raises SvdlensError unless it is a false discovery rate."""
    if not isinstance(level, Real) or not 0 < level < 1:
        raise SvdlensError(f"level is {level!r}, and a false discovery rate is between 0 and 1, such as 0.05.")


def control_sizes(controls: str | Sequence[str], labels: bool, n_random: int, n_rotated: int) -> dict[str, int | None]:
    """How many directions of each control are read: of those asked for, and of the null of the labels."""
    asked = [controls] if isinstance(controls, str) else listed("controls", controls)
    for name in asked:
        if name not in POSSIBLE_CONTROLS:
            no_basis = " It is of another basis than singular vectors." if name in CONTROLS else ""
            raise SvdlensError(
                f"{name!r} is none of the controls, which are {', '.join(POSSIBLE_CONTROLS)}.{no_basis}"
                f"{did_you_mean(str(name), POSSIBLE_CONTROLS)}"
            )
    needed = [RANDOM_UNIT] if labels else []
    return {name: n_rotated if name == ROTATED else n_random for name in dict.fromkeys([*needed, *asked])}
