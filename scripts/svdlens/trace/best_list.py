"""A query that no one chooses: the words of the list that a labeller finds most coherent."""

from typing import Any

import pandas as pd

from svdlens.errors import SvdlensError
from svdlens.trace.queries import QueryTokens
from svdlens.trace.trace_table import KEYS

WORDS = 10
"""So many tokens of the list are the query."""


def best_list(lists: pd.DataFrame, labels: pd.DataFrame) -> tuple[QueryTokens, dict[str, Any]]:
    """The first WORDS tokens of the interpretable list of meaning (kind `semantic`) with the highest score of the
    labeller, and which direction it is of: KEYS, sign and label. Among equals the first by these keys.

    Raises SvdlensError where there is no such list.
    """
    chosen = labels[labels["interpretable"].eq(True) & labels["kind"].eq("semantic")]
    if chosen.empty:
        raise SvdlensError(
            "trace.best_list: no list of this model and setting is labelled as interpretable and semantic. Write words "
            "under trace.queries instead, such as {fire: [fire, flame, burning]}, and best_list: false."
        )
    best = chosen.sort_values(["score", *KEYS, "sign"], ascending=[False, *[True] * 6], kind="stable").iloc[0]
    row = chosen.loc[[best.name]].merge(lists, on=[*KEYS, "sign"]).iloc[0]
    words = QueryTokens(list(row["tokens"][:WORDS]), [[int(id)] for id in row["token_ids"][:WORDS]])
    [which] = chosen.loc[[best.name], [*KEYS, "sign", "label"]].to_dict("records")
    return words, {str(name): None if pd.isna(value) else value for name, value in which.items()}
