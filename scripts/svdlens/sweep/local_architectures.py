"""The architecture of models whose files are on this machine: their config.json, or the GGUF file, says which."""

import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from svdlens.errors import SvdlensError
from svdlens.models.gguf_header import gguf_architecture
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.sweep.named_files import model_place

BUNDLED = Path(__file__).parents[3] / "resources/models"
LARGEST_CONFIG = 1 << 24  # bytes; a real one has some thousands


def fill_in_architectures(config: MutableMapping[str, Any]) -> None:
    """Write the architecture into each entry of `models` that names none and whose files are here, in place.

    Where they cannot be read, or say one that there is not, nothing is written: fetch_model says what is wrong with a
    model, when it is asked for.
    """
    for name, entry in config["models"].items():
        if isinstance(entry, MutableMapping) and "architecture" not in entry and not {"repo", "wheel"} & set(entry):
            # What was fetched stays what it is when the directory that it came from is gone.
            places = (model_place_of(entry), Path("results/models") / str(name))
            said = (architecture_in(place) for place in places if place is not None)
            if found := next((architecture for architecture in said if architecture in ARCHITECTURES), None):
                entry["architecture"] = found


def model_place_of(entry: MutableMapping[str, Any]) -> Path | None:
    """Where the model of an entry comes from, which need not be sound; None where it names no place."""
    try:
        place = model_place(entry, BUNDLED)
        return None if place is None else place.expanduser()
    except (RuntimeError, TypeError):  # no such home directory; a path that is no text
        return None


def architecture_in(place: Path) -> str | None:
    """What a directory or a GGUF file says that it is; None where there is none, or that says nothing."""
    try:
        if place.is_file():
            return gguf_architecture(place)
        file = place / "config.json"
        if not file.is_file() or file.stat().st_size > LARGEST_CONFIG:
            return None
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, SvdlensError):
        return None
    model_type = content.get("model_type") if isinstance(content, dict) else None
    return model_type if isinstance(model_type, str) else None
