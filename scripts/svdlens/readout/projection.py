"""Columns of the tokens tables: the singular vectors of one kind of matrix and its controls, read as tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from svdlens.readout.control_directions import (
    Rotated,
    gaussian_directions,
    random_unit_directions,
    rotated_directions,
    seeded,
)
from svdlens.readout.token_table import token_columns
from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens
from svdlens.spec.matrix_kinds import MATRIX_KINDS, layers_and_heads
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting

Vectors = dict[str, Float[Tensor, "matrices k d_model"]]
"""The singular vectors on each side in the residual stream, one matrix after the other."""


def residual_vectors(
    svd: Mapping[str, Tensor], matrix: str, readout: str, setting: Setting, gains: Tensor | None
) -> Vectors:
    """Vectors of an SVD file as a read-out takes them.

    A token embedding meets a reading matrix after the gain of the norm before it. Read through W_E, as it is or scaled,
    the reading sides are multiplied by it, unless the setting has it in the matrix already. `gains` is
    [n_layers, d_model], None for a model without.
    """
    layers, _ = layers_and_heads(svd["values"].shape, matrix)
    vectors = {}
    for name, side in MATRIX_KINDS[matrix].sides.items():
        stored = svd[side.array]
        vectors[name] = stored.double().reshape(len(layers), *stored.shape[-2:])
        if READOUTS[readout].meets_gain and side.reads and gains is not None and not setting.read_gain:
            vectors[name] = vectors[name] * gains[layers][:, None]
    return vectors


@dataclass(frozen=True)
class Reading:
    """What is read, and how: one kind of `matrix`, whose values in the SVD file have the `shape`; through each of
    `readouts` the best `k` tokens, whose `texts` are by id; on so many `threads`."""

    matrix: str
    shape: tuple[int, ...]
    readouts: Mapping[str, ReadoutMatrix]
    texts: list[str]
    k: int
    threads: int


def project_vectors(vectors: Mapping[str, Vectors], reading: Reading) -> dict[str, object]:
    """Columns for the singular vectors, which are given for each read-out."""
    layers, heads = layers_and_heads(reading.shape, reading.matrix)
    top = {
        readout: {
            side: top_tokens(directions.flatten(0, 1), reading.readouts[readout], reading.k, reading.threads)
            for side, directions in sides.items()
        }
        for readout, sides in vectors.items()
    }
    return token_columns(top, reading.texts, reading.matrix, layers, heads)


def project_control(
    control: str, vectors: Mapping[str, Vectors], reading: Reading, n: int, seed: int
) -> dict[str, object]:
    """Columns for `n` directions of a control, the same through each read-out.

    Of random_unit and gaussian one direction serves every side: a read-out does not know which side it is given.
    """
    top = {}
    rotated: Rotated | None = None
    for readout, sides in vectors.items():
        generator = seeded(seed, reading.matrix, control)
        d_model = len(reading.readouts[readout].mean)
        if control == "rotated":
            rotated = rotated_directions(sides, n, generator)
            directions = rotated.directions
        elif control == "gaussian":
            directions = gaussian_directions(n, d_model, generator)
        else:
            directions = random_unit_directions(n, d_model, generator)
        top[readout] = {"all": top_tokens(directions, reading.readouts[readout], reading.k, reading.threads)}
    columns = token_columns(top, reading.texts, reading.matrix, [None], [None])
    columns["control"] = [control] * (2 * n * len(top))
    if rotated is not None:
        layers, heads = layers_and_heads(reading.shape, reading.matrix)
        # Two signs of each direction, for each read-out.
        columns["side"] = [side for side in rotated.sides for _ in range(2)] * len(top)
        columns["layer"] = [layers[number] for number in rotated.matrices for _ in range(2)] * len(top)
        columns["head"] = [heads[number] for number in rotated.matrices for _ in range(2)] * len(top)
    return columns
