"""The table of a trace: the directions of a model that a query lies along, the nearest first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.stats import false_discovery_control
from torch import Tensor

from svdlens.readout.projection import Vectors
from svdlens.trace.cosines import Cosines, unit_rows

KEYS = ["matrix", "layer", "head", "index", "side"]
LABEL_COLUMNS = ["label", "kind", "interpretable"]
AT_LEAST = 50
"""So many directions of a query are in the table, whether they are found or not."""


def direction_keys(
    vectors: Mapping[str, Vectors], matrices: Mapping[str, tuple[Sequence[int], Sequence[int | None]]]
) -> pd.DataFrame:
    """KEYS of the rows of all_directions, one after the other. `matrices` are the layer and head of each of a kind
    (layers_and_heads)."""
    parts = []
    for matrix, sides in vectors.items():
        layers, heads = matrices[matrix]
        for side, directions in sides.items():
            n_matrices, k, _ = directions.shape
            parts.append(
                pd.DataFrame(
                    {
                        "matrix": matrix,
                        "layer": np.repeat(layers, k),
                        "head": pd.array(np.repeat(np.array(heads, object), k), "Int32"),
                        "index": np.tile(np.arange(k), n_matrices),
                        "side": side,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def all_directions(vectors: Mapping[str, Vectors]) -> Float[Tensor, "directions d_model"]:
    """The vectors of all kinds of matrices, sides and matrices, one below the other."""
    return torch.cat([directions.flatten(0, 1) for sides in vectors.values() for directions in sides.values()])


def trace_rows(
    query: str, keys: pd.DataFrame, cosines: Cosines, number: int, level: float, least_cosine: float
) -> pd.DataFrame:
    """A row for each direction that is found, and for the nearest AT_LEAST in any case, the nearest first.

    `number`: which of the queries of `cosines` it is. Columns: query, rank (1 for the largest |standard_score|), KEYS,
    sign (of the cosine: the direction times its sign is what the query lies along), cosine (not negative),
    standard_score (of the direction at that sign), p_value, q_value (Benjamini & Hochberg 1995, over all directions),
    found (q_value at most `level`), above_cosine (cosine at least `least_cosine`).
    """
    cosine, score = cosines.cosine[number].astype(float), cosines.standard_score[number].astype(float)
    p_value = cosines.p_value[number].astype(float)
    sign = np.where(cosine < 0, -1, 1)
    rows = keys.assign(
        query=query,
        sign=sign,
        cosine=np.abs(cosine),
        standard_score=score * sign,
        p_value=p_value,
        q_value=false_discovery_control(p_value),
    )
    rows["found"] = rows["q_value"] <= level
    rows["above_cosine"] = rows["cosine"] >= least_cosine
    rows = rows.iloc[np.argsort(-np.abs(score), kind="stable")].reset_index(drop=True)
    rows["rank"] = np.arange(1, len(rows) + 1)
    return rows[rows["found"] | rows["above_cosine"] | (rows["rank"] <= AT_LEAST)].reset_index(drop=True)


def with_lists(rows: pd.DataFrame, lists: pd.DataFrame, labels: pd.DataFrame | None) -> pd.DataFrame:
    """`rows` with the tokens of each direction at its sign, those of the other sign as antipode_tokens, and the same of
    the label, kind and interpretable of a table of labels; without one these are empty."""
    for name in ("tokens", *LABEL_COLUMNS):
        table = lists if name == "tokens" else labels
        if table is None:
            rows[[name, f"antipode_{name}"]] = None
            continue
        known = table[[*KEYS, "sign", name]].astype({"head": "Int32", "matrix": str, "side": str})
        rows = rows.merge(known, on=[*KEYS, "sign"], how="left", validate="many_to_one")
        other = known.assign(sign=-known["sign"]).rename(columns={name: f"antipode_{name}"})
        rows = rows.merge(other, on=[*KEYS, "sign"], how="left", validate="many_to_one")
    return rows


def round_trip(
    directions: Float[Tensor, "directions d_model"],
    numbers: Sequence[int],
    vectors: Float[Tensor, "d_vocab d_model"],
    token_ids: Sequence[Sequence[int]],
    signs: Sequence[int],
) -> dict[str, Any]:
    """Are directions found by their own tokens? Each of those with the `numbers`, at its sign, against the sum of the
    vectors of its best tokens. Returned are the median cosine with it (round_trip_cosine; the post has about 0.5 for
    reading a direction and embedding what was read), the share for which no other direction is nearer (recall), and n.
    """
    queries = torch.stack([vectors[list(ids)].sum(0) for ids in token_ids])
    cosines = unit_rows(queries) @ unit_rows(directions).T
    own = cosines[range(len(numbers)), list(numbers)] * torch.as_tensor(signs)
    found = own >= cosines.abs().max(1).values
    return {"round_trip_cosine": float(own.median()), "recall": float(found.double().mean()), "n": len(numbers)}
