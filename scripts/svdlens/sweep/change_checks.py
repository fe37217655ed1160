"""Models of the catalogue that are what was written into another one: a difference of two, or an adapter.

Imports nothing heavy.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from svdlens.errors import did_you_mean
from svdlens.models.adapted_modules import ADAPTED_MODULES
from svdlens.spec.architectures import DEFAULT
from svdlens.spec.matrix_kinds import OF_THE_MODEL

CHANGES = ("diff", "adapter")
"""Keys of the catalogue that such a model has as its source."""
OF_THE_BASE = ("architecture", "settings", "matrices", "readouts", "layers", "heads", "token_counts")
"""Keys of a model that are those of its base where it has none of its own."""


def change_of(entry: Mapping[str, Any]) -> str | None:
    """ "diff" or "adapter", None of a model with weights of its own."""
    return next((key for key in CHANGES if key in entry), None)


def base_of(entry: Mapping[str, Any]) -> str:
    """The model through whose read-outs and tokens a difference or an adapter is read."""
    return str(entry["diff"]["minus"] if "diff" in entry else entry["adapter"]["of"])


def models_of(entry: Mapping[str, Any]) -> list[str]:
    """The models whose weights such a model is made of; none of one with weights of its own."""
    if "diff" in entry:
        return [entry["diff"]["of"], entry["diff"]["minus"]]
    return [entry["adapter"]["of"]] if "adapter" in entry else []


def check_changes(config: Mapping[str, Any]) -> str | None:
    """The first difference or adapter that is of no model, of itself, or of another difference or adapter."""
    models = config["models"]
    for name, entry in models.items():
        kind = change_of(entry)
        if kind is None:
            continue
        for key in ("of", "minus"):
            other = entry[kind].get(key)
            if other is None:
                continue
            if other not in models:
                return (
                    f"models.{name}.{kind}.{key}: {other!r} is no model. In the catalogue `models`: "
                    f"{', '.join(models)}.{did_you_mean(other, models)}"
                )
            if change_of(models[other]):
                return (
                    f"models.{name}.{kind}.{key}: {other} is "
                    f"{'a difference' if 'diff' in models[other] else 'an adapter'}, "
                    "and has no weights of its own. Name the models that it is made of."
                )
        if problem := (check_diff if kind == "diff" else check_adapter)(name, entry, models):
            return problem
        if "architecture" in entry and entry["architecture"] != models[base_of(entry)].get("architecture", DEFAULT):
            return (
                f"models.{name}.architecture is {entry['architecture']}, and that of {base_of(entry)} is "
                f"{models[base_of(entry)].get('architecture', DEFAULT)}. Leave it out: it is that of the base."
            )
    return None


def check_vocabulary_of_changes(config: Mapping[str, Any]) -> str | None:
    """The first swept difference or adapter of which matrices are asked for that it is read through. After
    take_from_base."""
    for name in config["sweep"]["models"]:
        entry = config["models"][name]
        chosen = entry.get("matrices", config["sweep"]["matrices"])
        if change_of(entry) and (wrong := [matrix for matrix in chosen if matrix in OF_THE_MODEL]):
            left = ", ".join(matrix for matrix in chosen if matrix not in wrong) or "ov, mlp_in, mlp_out"
            return (
                f"models.{name}: {' and '.join(wrong)} of a difference or an adapter are not decomposed: it is read "
                f"through those of {base_of(entry)}. Write `models.{name}.matrices: [{left}]`."
            )
    return None


def check_diff(name: str, entry: Mapping[str, Any], models: Mapping[str, Any]) -> str | None:
    of, minus = entry["diff"]["of"], entry["diff"]["minus"]
    if of == minus:
        return f"models.{name}.diff: {of} minus itself is zero. Name two models."
    types = [models[model].get("architecture", DEFAULT) for model in (of, minus)]
    if types[0] != types[1]:
        return (
            f"models.{name}.diff: {of} is of the architecture {types[0]} and {minus} of {types[1]}. A difference is "
            "of two models with the same tensors; name such."
        )
    if "sha256" in entry:
        return f"models.{name}.sha256: a difference has no files of its own. Pin those of {of} and {minus}."
    return None


def check_adapter(name: str, entry: Mapping[str, Any], models: Mapping[str, Any]) -> str | None:
    sources = [key for key in ("path", "bundled") if key in entry["adapter"]]
    if len(sources) != 1:
        return (
            f"models.{name}.adapter has {' and '.join(sources) or 'neither path nor bundled'}. Write one: `path`, a "
            "directory, or `bundled`, one under resources/adapters."
        )
    base = entry["adapter"]["of"]
    architecture = models[base].get("architecture", DEFAULT)
    if architecture not in ADAPTED_MODULES:
        return (
            f"models.{name}.adapter.of: {base} is of the architecture {architecture}, and adapters are read of "
            f"{', '.join(ADAPTED_MODULES)}. Merge it into its base (merge_and_unload of PEFT), save both, and take "
            "their difference, `diff`."
        )
    return None


def take_from_base(config: MutableMapping[str, Any]) -> None:
    """Give each difference and adapter of a checked catalogue what it does not say itself, in place: OF_THE_BASE."""
    for name, entry in config["models"].items():
        if change_of(entry):
            base = config["models"][base_of(entry)]
            config["models"][name] = {key: base[key] for key in OF_THE_BASE if key in base} | dict(entry)
