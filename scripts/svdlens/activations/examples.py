"""Examples of all directions of a model in a setting, and whether the lists of the directions fit them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor, nn

from svdlens.activations.acting import Acting, acting
from svdlens.activations.example_table import side_columns
from svdlens.activations.passages import Passages
from svdlens.activations.peaks import find_peaks
from svdlens.readout.projection import residual_vectors
from svdlens.spec.matrix_kinds import MATRIX_KINDS, numbered_layers, stored_numbers
from svdlens.spec.settings import Setting
from svdlens.svd.null_space import null_space

SVD = Mapping[str, Tensor]
"""What an SVD file has."""


def read_sides(path: Path | str, matrix: str) -> SVD:
    """What an SVD file has of the sides of a matrix that are in the residual stream."""
    wanted = {"values", "layers", "heads"} | {side.array for side in MATRIX_KINDS[matrix].sides.values()}
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name in wanted}  # noqa: SIM118


def layers_of(svd: SVD, matrix: str) -> list[int]:
    """The layers that an SVD file has, in order."""
    return list(dict.fromkeys(numbered_layers(svd["values"].shape, matrix, stored_numbers(svd))[0]))


def acting_directions(
    model: nn.Module, svds: Mapping[str, SVD], setting: Setting
) -> dict[tuple[str, str], list[Acting]]:
    """The singular vectors of each matrix and side in the residual stream, one entry a layer for all its heads."""
    found = {}
    for matrix, svd in svds.items():
        for name, side in MATRIX_KINDS[matrix].sides.items():
            layers = zip(layers_of(svd, matrix), svd[side.array], strict=True)
            found[matrix, name] = [
                acting(model, matrix, name, setting, layer, vectors.flatten(0, -2)) for layer, vectors in layers
            ]
    return found


def find_examples(
    model: nn.Module,
    passages: Passages,
    svds: Mapping[str, SVD],
    setting: Setting,
    readout: str,
    readout_matrix: Float[Tensor, "d_model d_vocab"],
    gains: Mapping[str, Tensor | None],
    texts: list[str],
    windows: int,
    around: int,
    threads: int,
) -> dict[str, list[Any]]:
    """Columns of the table of examples: so many `windows` of each direction of each matrix in `svds`, both signs.

    readout, readout_matrix: through which the lists are that are held against them. gains: of the norm before each kind
    of matrix (reading_gains). texts: of all tokens by id. around: tokens of a window on either side of its peak.
    """
    directions = acting_directions(model, svds, setting)
    peaks = iter(
        find_peaks(model, passages, [one for of_side in directions.values() for one in of_side], windows, threads)
    )
    occurring = np.unique(passages.ids)
    column_of = np.zeros(len(texts), dtype=np.int64)
    column_of[occurring] = np.arange(len(occurring))
    read = readout_matrix[:, torch.from_numpy(occurring)].float()
    columns: dict[str, list[Any]] = {}
    for matrix, svd in svds.items():
        places = numbered_layers(svd["values"].shape, matrix, stored_numbers(svd))
        keys = list(zip(*places, strict=True))
        vectors = residual_vectors(svd, matrix, readout, setting, gains[matrix])
        for side, of_all in vectors.items():
            live = ~null_space(svd["values"].numpy()).reshape(len(keys), -1)[:, : of_all.shape[1]]
            for layer in layers_of(svd, matrix):
                own = [number for number, key in enumerate(keys) if key[0] == layer]
                scores = {keys[number]: (of_all[number].float() @ read).numpy() for number in own}
                of_layer = [keys[number] for number in own]
                made = side_columns(next(peaks), of_layer, live[own], scores, column_of, passages, texts, around)
                n = len(made["layer"])
                for name, values in (made | {"matrix": [matrix] * n, "side": [side] * n}).items():
                    columns.setdefault(name, []).extend(values)
    return columns | {"readout": [readout] * len(columns["layer"])}
