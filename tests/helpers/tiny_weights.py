"""Tiny models with the weights that the workflow extracts from them."""

from pathlib import Path

from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.weight_files import WeightFile
from tiny import make_tiny


def make_tiny_with_weights(architecture: str, directory: Path, layers: int) -> tuple[Path, dict[str, WeightFile]]:
    """The directory of a random model, and its weight files by group."""
    model = make_tiny(architecture, directory / "tiny", layers)
    files = {group: directory / f"{group}.safetensors" for group in GROUPS}
    extract_weights(model, files)
    return model, {group: WeightFile(path) for group, path in files.items()}
