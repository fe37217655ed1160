"""The published files on this machine. Imports nothing heavy: the Snakefile asks for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def local_files(configuration: Mapping[str, Any], model: str) -> list[str]:
    """The published files of a model in the directory `path` of the labeller's `configuration`, or in the folders of it
    that the authors' repository has; none without `path`, and none where that is no directory."""
    if "path" not in configuration:
        return []
    directory, size = Path(configuration["path"]), model.removeprefix("gpt2-")
    folders = [directory, directory / "data", directory / "data/json_data"]
    patterns = [f"*{size}_mlp_*_text_outputs.json", f"*_{size}_*svd_corrects_list.npy"]
    return sorted(str(path) for folder in folders for pattern in patterns for path in folder.glob(pattern))
