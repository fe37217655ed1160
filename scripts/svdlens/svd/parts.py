"""Work cut into several jobs by layer, where one would take too long (rules/parts.smk)."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file

from svdlens.spec.matrix_kinds import Layer
from svdlens.svd.layer_by_layer import Arrays

Number = TypeVar("Number", bound=Layer)


def layers_of_part(layers: Sequence[Number], part: int, parts: int) -> Sequence[Number]:
    """The layers of the job `part` of `parts`, counted from 1: in order, as many in each as can be; none where there
    are more parts than layers."""
    start, end = (len(layers) * number // parts for number in (part - 1, part))
    return layers[start:end]


def join_parts(files: Iterable[Path | str]) -> Arrays:
    """The arrays of all parts, given in order, as those of all layers together."""
    arrays = [part for part in map(load_file, files) if part]
    return {name: torch.cat([part[name] for part in arrays]) for name in arrays[0]}
