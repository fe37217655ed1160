"""Updates of an edit from the files with its singular vectors, and those of its controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from torch import Tensor, nn

from svdlens.edit.updates import Update, direction_update
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.svd.null_space import null_space

N_CONTROLS = 20
"""Edits of each control."""


@dataclass(frozen=True)
class EditedMatrix:
    """One matrix that an edit changes: where it is, its stored vectors on the side that is edited [k, d_model], all its
    singular values [rank], the indices of the edited directions, and what the eps of each is of that of the edit."""

    matrix: str
    layer: int
    head: int | None
    vectors: Float[Tensor, "k d_model"]
    values: Float[np.ndarray, " rank"]
    indices: Int[np.ndarray, " n"]
    proportions: Float[np.ndarray, " n"]


def edited_matrices(directions: pd.DataFrame, svd: Mapping[str, str]) -> list[EditedMatrix]:
    """The matrices that `directions` (edit/choice.py) are of. svd: the SVD file of each kind of matrix."""
    places: Any = directions.groupby(["matrix", "layer", "head"], dropna=False, sort=False, observed=True)
    found = []
    for (matrix, layer, head), rows in places:
        number = None if pd.isna(head) else int(head)
        vectors, values = stored_vectors(svd[matrix], matrix, int(layer), number)
        indices, proportions = rows["index"].to_numpy(int, copy=True), rows["proportion"].to_numpy(float, copy=True)
        found.append(EditedMatrix(matrix, int(layer), number, vectors, values, indices, proportions))
    return found


def stored_vectors(
    path: str, matrix: str, layer: int, head: int | None
) -> tuple[Float[Tensor, "k d_model"], Float[np.ndarray, " rank"]]:
    """The vectors of one matrix in an SVD file on the side that is edited, which writes where there are two, float64,
    and all its singular values."""
    sides = MATRIX_KINDS[matrix].sides
    array = sides["write" if "write" in sides else "read"].array
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        wanted = {"layers": layer} if head is None else {"layers": layer, "heads": head}
        stored = {name: file.get_tensor(name).tolist() for name in wanted if name in names}
        place = tuple(stored[name].index(n) if name in stored else n for name, n in wanted.items())
        return file.get_slice(array)[place].double(), file.get_slice("values")[place].numpy()


def updates_of(
    model: nn.Module,
    setting: Setting,
    matrices: Sequence[EditedMatrix],
    eps: float,
    indices: Sequence[np.ndarray] | None = None,
) -> list[Update]:
    """The updates that scale the edited directions by 1 + eps times their proportions; with `indices`, those of each
    matrix in their place."""
    chosen = [one.indices for one in matrices] if indices is None else indices
    updates = []
    for one, which in zip(matrices, chosen, strict=True):
        scales = eps * torch.from_numpy(one.proportions)
        updates.append(direction_update(model, one.matrix, setting, one.layer, one.head, one.vectors[which], scales))
    return updates


def other_directions(matrices: Sequence[EditedMatrix], seed: int) -> list[list[Int[np.ndarray, " n"]]]:
    """Up to N_CONTROLS times as many other directions of each of these matrices, none twice: drawn from those that are
    stored, not edited and no null space."""
    random = np.random.default_rng(seed)
    drawn = []
    for one in matrices:
        live = np.flatnonzero(~null_space(one.values)[: len(one.vectors)])
        others = random.permutation(np.setdiff1d(live, one.indices))
        n = len(one.indices)
        drawn.append([others[start : start + n] for start in range(0, len(others) - n + 1, n)][:N_CONTROLS])
    return [list(choice) for choice in zip(*drawn, strict=False)]


def random_updates(updates: Sequence[Update], seed: int) -> list[list[Update]]:
    """N_CONTROLS times the same updates along random directions, each of which changes its weight by as much.

    What a weight writes is as strong at each position, and goes along a random unit vector; of a weight that reads,
    what it writes is kept, and a random direction of the same length read in place of the edited one.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(N_CONTROLS):
        changed = []
        for update in updates:
            writes = update.weight.endswith(("W_O", "W_out"))
            old = update.write if writes else update.read
            new = torch.randn(old.shape, generator=generator, dtype=torch.float64)
            new = new / new.norm(dim=1, keepdim=True) * old.norm(dim=1, keepdim=True)
            changed.append(replace(update, write=new) if writes else replace(update, read=new))
        drawn.append(changed)
    return drawn
