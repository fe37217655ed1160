"""The safetensors files with a model's weights (extraction.py says which), written whole and read tensor by tensor."""

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from svdlens.artefacts.atomic_files import atomic_path


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


class WeightFile:
    """Tensors of one weight file, read one at a time and upcast to float64."""

    def __init__(self, path: Path) -> None:
        self.file = safe_open(path, framework="pt")
        self.names = set(self.file.keys())

    def __getitem__(self, name: str) -> Tensor:
        return self.file.get_tensor(name).double()

    @property
    def layers(self) -> int:
        return 1 + max(int(name.split(".")[1]) for name in self.names if name.startswith("blocks."))
