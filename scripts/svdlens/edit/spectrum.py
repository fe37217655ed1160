"""An edited matrix decomposed again, and its directions matched with those before."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from svdlens.edit.updates import Update
from svdlens.edit.vectors import EditedMatrix
from svdlens.spec.settings import Setting
from svdlens.svd.matrix_svd import decompose
from svdlens.svd.null_space import NULL_SPACE, null_space
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile


class EditedWeights(WeightFile):
    """The weights of a file with updates added to them, float64."""

    def __init__(self, file: WeightFile, updates: Sequence[Update]) -> None:
        self.names, self.base, self.updates = file.names, file, updates

    def __getitem__(self, name: str) -> Float[Tensor, "..."]:
        weight = self.base[name]
        for update in self.updates:
            if name == f"blocks.{update.layer}.{update.weight}":
                # W_O has an axis of heads here and rows of all heads in an update.
                rows = weight.flatten(0, -2)
                rows[update.rows] += update.matrix()
                weight = rows.reshape(weight.shape)
        return weight


def before_and_after(
    one: EditedMatrix, updates: Sequence[Update], file: WeightFile, setting: Setting
) -> list[dict[str, Any]]:
    """A row for each stored direction of a matrix that is no null space (EDIT_SPECTRUM): its singular value, the one of
    the edited matrix that is matched with it, one for one so that the |cos| of both sides are largest, and that |cos|,
    of two sides the smaller. A direction with none left that is not null space has no partner."""
    edited = EditedWeights(file, updates)
    before, after = (decompose(matrix_factors(source, one, setting), None) for source in (file, edited))
    live_before = np.flatnonzero(~null_space(before.values.numpy()))[: len(one.vectors)]
    # What is left of a matrix of which all is removed is rounding errors of what it was.
    is_left = (after.values > NULL_SPACE * before.values[0]).numpy()
    live_after = np.flatnonzero(~null_space(after.values.numpy()) & is_left)
    cosines = torch.minimum(
        *((getattr(before, side)[live_before] @ getattr(after, side)[live_after].T).abs() for side in ("left", "right"))
    ).numpy()
    partner = dict(zip(*linear_sum_assignment(-cosines), strict=True))
    rows = []
    for row, index in enumerate(live_before.tolist()):
        found = int(live_after[partner[row]]) if row in partner else None
        rows.append(
            {"matrix": one.matrix, "layer": one.layer, "head": one.head, "index": index}
            | {"edited": index in one.indices, "value": float(before.values[index]), "index_after": found}
            | {"value_after": None if found is None else float(after.values[found])}
            | {"cosine": None if found is None else float(cosines[row, partner[row]])}
        )
    return rows


def matrix_factors(source: WeightFile, one: EditedMatrix, setting: Setting) -> list[Tensor]:
    """The factors of one matrix, of its head where it has one."""
    found = factors(source, one.matrix, one.layer, setting)
    return found if one.head is None else [factor[one.head] for factor in found]
