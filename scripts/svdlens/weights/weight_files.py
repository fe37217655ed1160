"""The safetensors files with a model's weights (extraction.py says which), written whole and read tensor by tensor."""

from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.artefacts.metadata import metadata_of


def save_tensors(path: Path, tensors: dict[str, Tensor], facts: Mapping[str, object] = {}) -> None:
    """Write the tensors, which must be contiguous, into a safetensors file that is there whole or not at all, with
    `facts` in its metadata (artefacts/metadata.py).

    Raises OSError if it cannot be written.
    """
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata_of(facts))


class WeightFile:
    """Tensors of one weight file, read one at a time and upcast to float64.

    names: of all tensors in the file. Raises SafetensorError if the file is damaged, and for a name that is not there.
    """

    def __init__(self, path: Path) -> None:
        self.file = safe_open(path, framework="pt")
        self.names = set(self.file.keys())

    def __getitem__(self, name: str) -> Float[Tensor, "..."]:
        return self.file.get_tensor(name).double()

    def length(self, name: str) -> int:
        """The first size of a tensor, without reading it."""
        return int(self.file.get_slice(name).get_shape()[0])

    @property
    def low_rank(self) -> bool:
        """Whether it has thin factors of what an adapter changes, if anything, in place of weights."""
        return not any(".W_" in name for name in self.names)

    @property
    def layers(self) -> int:
        """The number of layers, in a file that has tensors of layers."""
        return 1 + max(int(name.split(".")[1]) for name in self.names if name.startswith("blocks."))
