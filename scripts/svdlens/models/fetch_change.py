"""What was written into a model: the difference of two models of the catalogue, or a LoRA adapter of one.

Such a directory under results/models/ has config.json and the tokenizer of the base, through which it is read, and the
files of the adapter; its weights are made of those of the models that it is of (weights/change_extraction.py).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svdlens.artefacts.atomic_files import copy_file, sha256_of
from svdlens.errors import SvdlensError
from svdlens.models.adapter_files import NAMES, check_adapter
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import check_pin, check_pin_names, complete_config, model_file_names
from svdlens.models.fetch import Origin, withdraw, write_provenance
from svdlens.models.safetensors_files import read_json, read_tensors
from svdlens.models.token_texts import read_vocabulary


def fetch_change(
    source: Mapping[str, Any], models: Path, target: Path, pins: dict[str, str], model: str, architecture: str
) -> None:
    """Put the difference or adapter called `model`, with that `source` in the catalogue, into the directory `target`.

    models: the directory of those that fetch_model has made. Raises as fetch_difference and fetch_adapter do.
    """
    if "diff" in source:
        of, minus = (models / source["diff"][key] for key in ("of", "minus"))
        fetch_difference(of, minus, target, model, architecture)
    else:
        base = models / source["adapter"]["of"]
        fetch_adapter(Path(source["adapter"]["path"]), base, target, pins, model, architecture)


def fetch_difference(of: Path, minus: Path, target: Path, model: str, architecture: str) -> None:
    """Put the model called `model`, the difference of two that fetch_model has made, into the directory `target`.

    Raises SvdlensError, with nothing published, where their tensors, heads or tokens are not the same.
    """
    where = f"model {model!r} ({of.name} minus {minus.name})"
    check_alike(of, minus, architecture, where)
    origin = Origin("diff", f"{of.name} minus {minus.name}", None)
    publish(minus, {}, target, model, origin, architecture, {"of": of, "minus": minus})


def fetch_adapter(
    directory: Path, base: Path, target: Path, expected_sha256: dict[str, str], model: str, architecture: str
) -> None:
    """Put the model called `model`, a LoRA adapter of the model in `base`, into the directory `target`.

    Raises SvdlensError, with nothing published, where a check fails (adapter_files.py).
    """
    where = f"model {model!r} (the adapter in {directory})"
    check_adapter(directory, base, architecture, where)
    check_pin_names(expected_sha256, list(NAMES), model, where)
    for name, pinned in expected_sha256.items():
        check_pin(name, sha256_of(directory / name), pinned, model, where)
    origin = Origin("adapter", directory.resolve().name, None)
    files = {name: directory / name for name in NAMES}
    publish(base, files, target, model, origin, architecture, {"of": base})


def publish(
    base: Path,
    files: Mapping[str, Path],
    target: Path,
    model: str,
    origin: Origin,
    architecture: str,
    models: Mapping[str, Path],
) -> None:
    """Copy config.json and the tokenizer of `base`, and `files`, into `target`, and write provenance.json, which has
    that of each of `models`."""
    provenances = {name: read_provenance(directory) for name, directory in models.items()}
    kept = [
        name for name in model_file_names([path.name for path in base.iterdir()], []) if not name.startswith("model.")
    ]
    copied = {name: base / name for name in kept} | dict(files)
    withdraw(target, sorted(copied))
    for name in NAMES:
        if name not in copied:
            (target / name).unlink(missing_ok=True)
    for name, path in copied.items():
        copy_file(path, target / name)
    padding_rows = provenances.get("minus", provenances["of"])["padding_rows"]
    write_provenance(
        target, sorted(copied), model, origin, architecture, padding_rows, decisions=[], models=provenances
    )


def read_provenance(directory: Path) -> dict[str, Any]:
    """The provenance.json of a model that fetch_model has made."""
    provenance: dict[str, Any] = json.loads((directory / "provenance.json").read_text(encoding="utf-8"))
    return provenance


def check_alike(of: Path, minus: Path, architecture: str, where: str) -> None:
    """Raises SvdlensError unless two models have the same tensors, but for W_U, the same heads and the same tokens."""
    layout = LAYOUTS[architecture]
    configs, tensors = [], []
    for directory in (of, minus):
        configs.append(complete_config(read_json(directory / "config.json", where), architecture, where))
        found = read_tensors(directory, layout.present_name, where)
        kept = {name for name in found if name not in layout.unembedding and not layout.is_buffer(name)}
        tensors.append({name: found[name].shape for name in sorted(kept - set(layout.heads))})
    first, second = tensors
    for name in sorted(first.keys() | second.keys()):
        shapes = [list(shapes[name]) if name in shapes else "missing" for shapes in tensors]
        if shapes[0] != shapes[1]:
            raise SvdlensError(
                f"{where}: the tensor {name!r} is {shapes[0]} in {of.name} and {shapes[1]} in {minus.name}. A "
                "difference is of two models with the same tensors, such as before and after a fine-tune; name such."
            )
    for key in layout.keys.values():
        if configs[0][key] != configs[1][key]:
            raise SvdlensError(
                f"{where}: {key} is {configs[0][key]} in {of.name} and {configs[1][key]} in {minus.name}. A "
                "difference is of two models with the same heads; name such."
            )
    texts = [read_vocabulary(directory) for directory in (of, minus)]
    for id, (one, other) in enumerate(zip(*texts, strict=False)):
        if one != other:
            raise SvdlensError(
                f"{where}: the token {id} is {one!r} in {of.name} and {other!r} in {minus.name}. A difference is of "
                "two models with the same tokens, which it is read as; name such."
            )
    if len(texts[0]) != len(texts[1]):
        raise SvdlensError(
            f"{where}: {of.name} has {len(texts[0])} tokens and {minus.name} {len(texts[1])}. A difference is of two "
            "models with the same tokens, which it is read as; name such."
        )
