"""Read-write cards: what each direction of a matrix with two sides in the residual stream reads and writes.

M = sum_i s_i u_i v_i^T writes along v_i what it reads along u_i, so the positive lists of both sides belong together,
and the negative ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from svdlens.artefacts.table_schemas import CARDS, READ_WRITE_GAPS
from svdlens.evaluation.counted_rows import counted_rows
from svdlens.evaluation.fractions import by_matrix, counts_of_matrices, units_of
from svdlens.evaluation.intervals import paired_excess
from svdlens.spec.matrix_kinds import numbered_layers, stored_numbers

SIDES = ("read", "write")
COMPARED = 15
"""So many tokens of each list are compared, as many as the labeller reads."""
KEYS = ["layer", "head", "index", "sign"]
GROUPS = {"all": "matrix", "layer": "layer"}
"""What gaps are of, and the column that tells these apart."""


def card_columns(
    matrix: str, svd: Mapping[str, np.ndarray], lists: pd.DataFrame, labels: pd.DataFrame
) -> dict[str, Any]:
    """The columns of CARDS, a row for each direction and sign, by the first read-out.

    svd: the arrays of a file of results/svd. lists, labels: tables of tokens and labels; a list may have no label.
    """
    first = lists["readout"].iloc[0]
    rows = lists[lists["readout"] == first].merge(
        labels[labels["readout"] == first][[*KEYS, "side", "label", "kind", "interpretable", "score"]],
        on=[*KEYS, "side"],
        how="left",
    )
    rows = rows.sort_values([*KEYS[:3], "sign"], ascending=[True, True, True, False])
    sides = {side: rows[rows["side"] == side].reset_index(drop=True) for side in SIDES}
    assert all((sides["read"][key].fillna(-1) == sides["write"][key].fillna(-1)).all() for key in KEYS)
    read = sides["read"]
    columns: dict[str, Any] = {"matrix": [matrix] * len(read)}
    columns |= {key: read[key].astype("Int32") for key in KEYS}
    for side, own in sides.items():
        for name in ("label", "kind"):
            columns[f"{side}_{name}"] = own[name].astype(object).where(own[name].notna(), None)
        columns[f"{side}_interpretable"] = own["interpretable"].astype("boolean")
        columns[f"{side}_score"] = own["score"].astype(float)
        columns[f"{side}_tokens"] = [list(tokens[:COMPARED]) for tokens in own["tokens"]]
    cosines = read[KEYS].merge(side_cosines(matrix, svd), on=KEYS[:3], how="left")["cosine"]
    columns["cosine"] = cosines.where(~read["null_space"])
    ids = {side: [set(found[:COMPARED]) for found in own["token_ids"]] for side, own in sides.items()}
    # Within a direction the signs stand one after the other: the opposite is the neighbour.
    opposite = [at ^ 1 for at in range(len(read))]
    columns["overlap"] = overlaps(ids["read"], ids["write"], read["null_space"])
    columns["opposite_overlap"] = overlaps(ids["read"], [ids["write"][at] for at in opposite], read["null_space"])
    return {name: columns[name] for name in CARDS.names}


def side_cosines(matrix: str, svd: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The cosine of what each direction reads with what it writes, as the setting has both, by its keys."""
    layers, heads = numbered_layers(svd["values"].shape, matrix, stored_numbers(svd))
    left, right = (svd[side].astype(np.float64) for side in ("left", "right"))
    cosines: Float[np.ndarray, "n k"] = (left * right).sum(axis=-1).reshape(len(layers), -1)
    n, k = cosines.shape
    places = pd.DataFrame({"layer": layers, "head": heads}).loc[np.repeat(np.arange(n), k)].reset_index(drop=True)
    return places.assign(index=np.tile(np.arange(k), n), cosine=cosines.reshape(-1))


def overlaps(first: Sequence[set[int]], second: Sequence[set[int]], left_out: pd.Series) -> list[float | None]:
    """The share of tokens that two lists have in common, row by row; None where a row is left out."""
    return [
        None if out else len(one & other) / max(len(one), len(other))
        for one, other, out in zip(first, second, left_out, strict=True)
    ]


def gap_rows(matrix: str, labels: pd.DataFrame, labeller: str, criteria: Sequence[str]) -> pd.DataFrame:
    """How much more of the written than of the read lists is interpretable, with the interval over matrices, in all
    and by layer: the rows of READ_WRITE_GAPS.

    labels: a table of labels. Both shares are of the same matrices, so that the interval is that of paired ones
    (paired_excess). criteria: when a list counts as interpretable (evaluation/counted_rows.py).
    """
    pieces = []
    for criterion in criteria:
        rows = counted_rows(labels[labels["readout"] == labels["readout"].iloc[0]], criterion)
        counts = counts_of_matrices(units_of(rows, "row"), ["k_all"]).assign(matrix=matrix)
        for group, key in GROUPS.items():
            sides = {side: by_matrix(counts[counts["side"] == side], [key], "k_all") for side in SIDES}
            gaps = paired_excess(sides["write"], sides["read"], [key]).sort_values(key)
            gaps = gaps.rename(columns={"excess": "gap", "low": "gap_low", "high": "gap_high"})
            for side, own in sides.items():
                sums = own.groupby(key, as_index=False)[["n", "k"]].sum()
                sums[f"{side}_fraction"] = sums["k"] / sums["n"]
                gaps = gaps.merge(sums.rename(columns={"n": f"{side}_n", "k": f"{side}_k"}), on=key, how="left")
            sizes = sides["write"].groupby(key, as_index=False).size().rename(columns={"size": "n_matrices"})
            pieces.append(gaps.merge(sizes, on=key).assign(group=group, criterion=criterion))
    table = pd.concat(pieces, ignore_index=True).assign(matrix=matrix, labeller=labeller)
    table["layer"] = table["layer"].astype("Int32")
    whole = ["n_matrices", "read_n", "read_k", "write_n", "write_k"]
    table[whole] = table[whole].fillna(0).astype(int)
    return table[READ_WRITE_GAPS.names]
