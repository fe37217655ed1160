"""How far people who label by hand agree, and how often each calls a list of a random direction interpretable."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from svdlens.evaluation.agreement import kappa, kappa_interval
from svdlens.evaluation.intervals import wilson_interval

COLUMNS = (
    *("first", "second", "n", "both", "only_first", "only_second", "neither", "kappa", "kappa_low", "kappa_high"),
    *(f"{of}{name}" for of in ("lists_", "control_") for name in ("n", "k", "fraction", "low", "high")),
)
"""Columns of results/manual/people.csv."""


def people_table(judgements: pd.DataFrame, people: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """A row for each person (`second` is empty) and for each two of them, with the columns COLUMNS.

    `judgements` has the columns JUDGEMENTS. Of a person: n, the lists that were judged; of these the lists of singular
    directions lists_n, how many lists_k the person calls interpretable, their share with its interval (Wilson 95 %),
    and the same of lists of random directions as control_*: the rate of false positives, if no such list means
    anything. Of two: n, the lists that both judged, controls too, by who calls them interpretable, and Cohen's kappa
    with its 95 % percentile bootstrap over lists (agreement.kappa_interval).
    """
    rows: list[dict[str, Any]] = []
    for person in people:
        own = judgements[judgements["person"] == person]
        row: dict[str, Any] = {"first": person, "n": len(own)}
        for prefix, part in (("lists_", own[~own["is_control"]]), ("control_", own[own["is_control"]])):
            row |= {f"{prefix}{name}": value for name, value in share(part["interpretable"]).items()}
        rows.append(row)
    said = {
        person: judgements[judgements["person"] == person].set_index("list_key")["interpretable"] for person in people
    }
    for first, second in combinations(people, 2):
        both = pd.concat([said[first].rename("first"), said[second].rename("second")], axis=1, join="inner")
        one, other = both["first"].astype(bool), both["second"].astype(bool)
        cells = [int(cell.sum()) for cell in (one & other, one & ~other, ~one & other, ~one & ~other)]
        low, high = kappa_interval(cells, seed)
        counts = dict(zip(("both", "only_first", "only_second", "neither"), cells, strict=True))
        agreed = {"kappa": kappa(cells), "kappa_low": low, "kappa_high": high}
        rows.append({"first": first, "second": second, "n": len(both), **counts, **agreed})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = ("n", "both", "only_first", "only_second", "neither", "lists_n", "lists_k", "control_n", "control_k")
    return table.astype(dict.fromkeys(whole, "Int64"))


def share(interpretable: pd.Series) -> dict[str, Any]:
    """n, k, fraction, low and high; the last three are empty for no lists."""
    n, k = len(interpretable), int(interpretable.sum())
    if not n:
        return {"n": 0, "k": 0}
    low, high = (float(end.iloc[0]) for end in wilson_interval(pd.Series([float(k)]), pd.Series([float(n)])))
    return {"n": n, "k": k, "fraction": k / n, "low": low, "high": high}
