"""Columns of the tokens tables: the singular vectors of one kind of matrix and its controls, read as tokens."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from svdlens.readout.control_directions import (
    gaussian_directions,
    random_unit_directions,
    rotated_directions,
    seeded,
)
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.readout.token_table import join_columns, token_columns
from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens
from svdlens.spec.controls import RANDOM_UNIT, RANDOM_VARIMAX, ROTATED, VARIMAX
from svdlens.spec.matrix_kinds import MATRIX_KINDS, layers_and_heads, stored_numbers
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting, shared_setting
from svdlens.svd.null_space import null_space
from svdlens.weights.weight_files import WeightFile

Vectors = dict[str, Float[Tensor, "matrices k d_model"]]
"""The singular vectors on each side in the residual stream, one matrix after the other."""


def stored_vectors(svd: Mapping[str, Tensor], matrix: str) -> Vectors:
    """The vectors on each side in the residual stream, float64."""
    arrays = {name: svd[side.array].double() for name, side in MATRIX_KINDS[matrix].sides.items()}
    return {name: vectors.reshape(-1, *vectors.shape[-2:]) for name, vectors in arrays.items()}


def residual_vectors(
    svd: Mapping[str, Tensor], matrix: str, readout: str, setting: Setting, gains: Tensor | None
) -> Vectors:
    """Vectors of an SVD file, or of one of another basis, as a read-out takes them.

    A token embedding meets a reading matrix after the gain of the norm before it. Read through W_E, as it is or scaled,
    the reading sides are multiplied by it, unless the setting has it in the matrix already. `gains` is
    [n_layers, d_model], of unembed [1, d_model], None for a model without.
    """
    vectors, kind = stored_vectors(svd, matrix), MATRIX_KINDS[matrix]
    layers, _ = layers_and_heads(svd[kind.sign_array].shape, matrix, stored_numbers(svd))
    for name, side in kind.sides.items():
        if READOUTS[readout].meets_gain and side.reads and gains is not None and not kind.has_gain(setting):
            vectors[name] = vectors[name] * gains[[layer or 0 for layer in layers]][:, None]
    return vectors


def vectors_of_bases(
    bases: Mapping[str, Mapping[str, Tensor]],
    matrix: str,
    readouts: Sequence[str],
    setting: Setting,
    gains: Tensor | None,
) -> dict[str, dict[str, Vectors]]:
    """residual_vectors of the arrays of each basis, for each of `readouts`."""
    return {
        basis: {name: residual_vectors(arrays, matrix, name, setting, gains) for name in readouts}
        for basis, arrays in bases.items()
    }


@dataclass(frozen=True)
class Reading:
    """What is read, and how: one kind of `matrix`, with its singular `values` in the SVD file; through each of
    `readouts` the best `k` tokens, whose `texts` are by id; on so many `threads`. `numbers` of layers and heads are
    those that the SVD file has (stored_numbers)."""

    matrix: str
    values: Float[np.ndarray, "*matrices rank"]
    readouts: Mapping[str, ReadoutMatrix]
    texts: list[str]
    k: int
    threads: int
    numbers: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def d_model(self) -> int:
        return len(next(iter(self.readouts.values())).mean)

    def null_directions(self, k: int) -> Bool[np.ndarray, "matrices k"]:
        """Which of the k leading directions of each matrix are null space. A varimax basis leaves those where they
        are (varimax_vectors), so that this holds in every basis."""
        return null_space(self.values.reshape(-1, self.values.shape[-1]))[:, :k]


def prepare_reading(
    bases: Mapping[str, Mapping[str, Tensor]],
    matrix: str,
    switches: Mapping[str, str],
    unembed: Path,
    gains: Path,
    texts: list[str],
    readouts: Sequence[str],
    k: int,
    threads: int,
    device: str,
) -> tuple[dict[str, dict[str, Vectors]], Reading]:
    """The vectors of each basis for each of `readouts`, and how they are read on `device`.

    `bases` has the arrays of an SVD file and, if asked for, of other bases; `switches` are those of list_key; `unembed`
    and `gains` are the files of the model's weights. Errors are those of readout_matrix.
    """
    setting = shared_setting(switches)
    weights, svd = WeightFile(unembed), bases["svd"]
    matrices = {name: ReadoutMatrix(readout_matrix(weights, setting, name), device) for name in readouts}
    vectors = vectors_of_bases(bases, matrix, readouts, setting, reading_gains(WeightFile(gains), matrix))
    return vectors, Reading(matrix, svd["values"].numpy(), matrices, texts, k, threads, stored_numbers(svd))


def project_vectors(vectors: Mapping[str, Vectors], reading: Reading, control: str | None = None) -> dict[str, object]:
    """Columns for the vectors of each side and matrix, which are given for each read-out: singular vectors, or those of
    a `control` that has as many of each."""
    layers, heads = layers_and_heads(reading.values.shape, reading.matrix, reading.numbers)
    top = {
        readout: {
            side: top_tokens(directions.flatten(0, 1), reading.readouts[readout], reading.k, reading.threads)
            for side, directions in sides.items()
        }
        for readout, sides in vectors.items()
    }
    arrays = [matrices for sides in vectors.values() for matrices in sides.values()]
    # Of every read-out and side the same directions, two signs of each.
    of_sides = np.repeat(reading.null_directions(arrays[0].shape[1]).reshape(-1), 2)
    columns = token_columns(top, reading.texts, reading.matrix, layers, heads)
    n_rows = len(arrays) * len(of_sides)
    return columns | {"control": [control] * n_rows, "null_space": np.tile(of_sides, len(arrays))}


def project_matrices(
    bases: Mapping[str, Mapping[str, Vectors]], basis: str, controls: Iterable[str], reading: Reading
) -> dict[str | None, dict[str, Any]]:
    """Columns for the directions of a sweep (None), and for the control that is another basis of every matrix, by name.

    `bases` has the vectors of each basis that is asked for, svd among them, for each read-out; `basis` says which are
    the directions.
    """
    pieces: dict[str | None, dict[str, Any]] = {None: project_vectors(bases[basis], reading)}
    if VARIMAX in controls:
        pieces[VARIMAX] = project_vectors(bases[VARIMAX], reading, VARIMAX)
    return pieces


def project_directions(
    bases: Mapping[str, Mapping[str, Vectors]],
    basis: str,
    controls: Mapping[str, int | None],
    reading: Reading,
    seed: int,
    random_varimax: Float[Tensor, "n d_model"] | None = None,
    of_matrices: Mapping[str | None, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Columns for the directions of a sweep and then for each control, with the number of its directions.

    `bases` and `basis` are those of project_matrices, and `of_matrices` what it gives, where that was made in parts
    (readout/parts.py). `random_varimax` are directions of the varimax bases of random subspaces: the control of that
    name, and where the directions of the sweep are a varimax basis also its random unit vectors, for which a null has
    to be chosen by its tokens as they are.
    """
    of_matrices = of_matrices or project_matrices(bases, basis, controls, reading)
    pieces = [of_matrices[None]]
    for control, n in controls.items():
        if control in of_matrices:
            pieces.append(of_matrices[control])
        elif control == ROTATED:
            assert n is not None
            pieces.append(project_rotated(bases[basis], reading, n, seed))
        elif control == RANDOM_VARIMAX or (control == RANDOM_UNIT and basis == VARIMAX):
            assert random_varimax is not None
            pieces.append(project_random(control, random_varimax.double(), reading))
        else:
            assert n is not None
            draw = gaussian_directions if control == "gaussian" else random_unit_directions
            directions = draw(n, reading.d_model, seeded(seed, reading.matrix, control))
            pieces.append(project_random(control, directions, reading))
    return join_columns(pieces)


def project_random(control: str, directions: Float[Tensor, "n d_model"], reading: Reading) -> dict[str, object]:
    """Columns for the directions of a control that are of no matrix, the same through each read-out and for every side:
    a read-out does not know which side it is given."""
    top = {
        readout: {"all": top_tokens(directions, matrix, reading.k, reading.threads)}
        for readout, matrix in reading.readouts.items()
    }
    columns = token_columns(top, reading.texts, reading.matrix, [None], [None])
    return columns | {"control": [control] * (2 * len(directions) * len(top))}


def project_rotated(vectors: Mapping[str, Vectors], reading: Reading, n: int, seed: int) -> dict[str, object]:
    """Columns for `n` directions of the control rotated, by rotations that are the same through each read-out; none
    where all matrices are zero."""
    layers, heads = layers_and_heads(reading.values.shape, reading.matrix, reading.numbers)
    top = {}
    for readout, sides in vectors.items():
        live = (~reading.null_directions(next(iter(sides.values())).shape[1])).sum(axis=1).tolist()
        rotated = rotated_directions(sides, live, n, seeded(seed, reading.matrix, ROTATED))
        found = top_tokens(rotated.directions, reading.readouts[readout], reading.k, reading.threads)
        top[readout] = {"all": found}
    columns = token_columns(top, reading.texts, reading.matrix, [None], [None])
    # Two signs of each direction, for each read-out.
    columns["side"] = [side for side in rotated.sides for _ in range(2)] * len(top)
    columns["layer"] = [layers[number] for number in rotated.matrices for _ in range(2)] * len(top)
    columns["head"] = [heads[number] for number in rotated.matrices for _ in range(2)] * len(top)
    return columns | {"control": [ROTATED] * (2 * len(rotated.sides) * len(top))}
