"""The table of effects of one kind of matrix of a model in a setting, a row for each direction and sign."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svdlens.artefacts.table_schemas import EFFECTS
from svdlens.edit.updates import Update, direction_update
from svdlens.effects.slopes import Effects, direct_effects
from svdlens.errors import SvdlensError
from svdlens.models.token_windows import first_token, positions_of, token_windows
from svdlens.spec.matrix_kinds import MATRIX_KINDS, numbered_layers, stored_numbers
from svdlens.spec.settings import Setting
from svdlens.svd.null_space import null_space

OWN_TOKENS = 15
"""So many tokens of its list are a direction's own, as many as the labeller reads."""
WINDOW = 256
"""Tokens of a text that the model sees at a time, at most."""


def effect_windows(text: str, model: nn.Module, directory: Path, tokens: int) -> Int[Tensor, "n length"]:
    """The first `tokens` of a text in windows of WINDOW tokens, fewer where the model takes no more.

    Raises SvdlensError for a text in which no token follows another.
    """
    length = min(WINDOW + len(first_token(model)), positions_of(model))
    windows = token_windows(text, model, directory, length, tokens)
    if windows.shape[1] < 2:
        raise SvdlensError(
            f"effects.text: {text[:40]!r} is a single token of the model, and nothing follows it to be predicted. Give "
            "a text with at least a sentence."
        )
    return windows


def updates_of_svd(model: nn.Module, matrix: str, setting: Setting, svd: Mapping[str, np.ndarray]) -> list[Update]:
    """All directions of a file of results/svd as updates, one for each matrix, in the file's order.

    svd: its arrays. Raises what direction_update raises.
    """
    layers, heads = numbered_layers(svd["values"].shape, matrix, stored_numbers(svd))
    array = svd["right" if "write" in MATRIX_KINDS[matrix].sides else "left"]
    vectors = torch.from_numpy(np.ascontiguousarray(array)).reshape(len(layers), *array.shape[-2:])
    return [
        direction_update(model, matrix, setting, layer, head, own)
        for layer, head, own in zip(layers, heads, vectors, strict=True)
    ]


def own_tokens(lists: pd.DataFrame, updates: int, directions: int) -> Int[np.ndarray, "updates 2 directions n"]:
    """The OWN_TOKENS best tokens of each matrix, sign (positive first) and direction, as far as lists go, by the first
    read-out on the side that writes. lists: a table of tokens."""
    rows = lists[(lists["readout"] == lists["readout"].iloc[0]) & (lists["side"] == "write")]
    rows = rows.sort_values(["layer", "head", "sign", "index"], ascending=[True, True, False, True])
    ids = np.stack([np.asarray(one[:OWN_TOKENS]) for one in rows["token_ids"]])
    return ids.reshape(updates, 2, directions, -1)


def effect_columns(
    model: nn.Module,
    matrix: str,
    svd: Mapping[str, np.ndarray],
    updates: Sequence[Update],
    effects: Sequence[Effects],
    lists: pd.DataFrame,
) -> dict[str, Any]:
    """The columns of EFFECTS. updates: of updates_of_svd; effects: what measure_effects says of them."""
    layers, heads = numbered_layers(svd["values"].shape, matrix, stored_numbers(svd))
    k = len(updates[0].write)
    nothing = null_space(svd["values"].reshape(len(layers), -1))[:, :k]
    # matrix, direction, sign: the order in which a reader looks for them
    shape = (len(layers), k, 2)

    def rows(of_matrices: Sequence[Float[Tensor, " k"]] | Float[Tensor, "n k"], signs: bool = False) -> np.ndarray:
        values = np.stack([one.numpy() for one in of_matrices])
        values = np.where(nothing, np.nan, values)[:, :, None] * np.array([1.0, -1.0 if signs else 1.0])
        flat: np.ndarray = values.reshape(-1)
        return flat

    direct = np.full(shape, np.nan)
    if "write" in MATRIX_KINDS[matrix].sides:
        ids = torch.from_numpy(own_tokens(lists, len(layers), k))
        for at, (update, effect) in enumerate(zip(updates, effects, strict=True)):
            for sign in range(2):
                direct[at, :, sign] = direct_effects(model, update, effect, ids[at, sign]).numpy()
    direct[nothing] = np.nan
    n = len(layers) * k * 2
    columns: dict[str, Any] = {
        "matrix": [matrix] * n,
        "layer": np.repeat(layers, 2 * k),
        "head": [head for head in heads for _ in range(2 * k)],
        "index": np.tile(np.repeat(np.arange(k), 2), len(layers)),
        "sign": np.tile([1, -1], n // 2),
        "first_order": rows([one.slope for one in effects]),
        "direct_effect": direct.reshape(-1),
        "mean_activation": rows([one.activation for one in effects], signs=True),
        "rms_activation": rows([one.square.sqrt() for one in effects]),
    }
    assert list(columns) == EFFECTS.names
    return columns
