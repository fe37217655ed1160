"""Which rows of a table of labels count, which of them as interpretable, and where the table cuts."""

import pandas as pd

from svdlens.labels.labeller import NOT_INTERPRETABLE

# The criteria of Millidge & Black (2022) by the column that each counts: what the labeller says by itself, what the
# verifier says, and both.
CRITERIA = {"P": "labelled", "V": "verified", "B": "interpretable"}


def counted_rows(labels: pd.DataFrame, criterion: str | None = None) -> pd.DataFrame:
    """Rows that count, and whether each `counts` as interpretable.

    By P, V and B those in which the column of the criterion is not null; by any other those with status ok.
    """
    column = CRITERIA.get(criterion or "", "interpretable")
    rows = labels[labels[column].notna() if criterion in CRITERIA else labels["status"] == "ok"]
    counts = rows[column].fillna(False).astype(bool) & ~rows["kind"].isin(NOT_INTERPRETABLE)
    return rows.assign(counts=counts)


def cut_p(rows: pd.DataFrame) -> float:
    """The largest p-value of the list null that a labelled row has, which is where Benjamini-Hochberg cuts the table: 0
    where no row is labelled, NaN where no row has a p-value."""
    p = rows["p_value"].astype(float)
    if p.isna().all():
        return float("nan")
    return float(p[rows["labelled"].eq(True).fillna(False)].max()) if rows["labelled"].eq(True).any() else 0.0
