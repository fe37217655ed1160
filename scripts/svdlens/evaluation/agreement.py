"""How far two labellers agree, and how far the frequency of tokens alone explains what each says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import AGREEMENT
from svdlens.errors import SvdlensError
from svdlens.evaluation.intervals import CONFIDENCE
from svdlens.labels.labeller import NOT_INTERPRETABLE, NULL_SPACE
from svdlens.spec.controls import RANDOM_UNIT

KEYS = ("matrix", "layer", "head", "index", "side", "sign", "readout", "id")
"""A row of two labels tables is the same where those that both tables have agree."""
DECISION = ("decision", "score", "mean_log_rank", "common")
CELLS = ("both", "only_first", "only_second", "neither")
"""Rows on which two labellers decided, by who calls them interpretable."""
RESAMPLES = 2000


def read_decisions(path: Path) -> pd.DataFrame:
    """The rows of singular directions (`control` is null) and of random unit directions in a file of labels, without
    null space, with the columns of compare()."""
    control = pc.field("control").cast("string")
    wanted = (control.is_null() | (control == RANDOM_UNIT)) & (pc.field("status").cast("string") != NULL_SPACE)
    columns = ["control", *KEYS[:-1], "interpretable", "kind", "status", "score", "mean_log_rank"]
    return pq.read_table(path, columns=columns, filters=wanted, partitioning=None).to_pandas()


def singular(labels: pd.DataFrame) -> pd.DataFrame:
    """The rows of singular directions; all of a table that does not tell."""
    return labels[labels["control"].isna()] if "control" in labels else labels


def random_unit(labels: pd.DataFrame) -> pd.DataFrame:
    """The rows of random unit directions; none of a table that does not tell."""
    return labels[labels["control"] == RANDOM_UNIT] if "control" in labels else labels.iloc[:0]


def agreement_of_sweep(files: Sequence[Path], places: Sequence[tuple[str, str, str, str]]) -> pd.DataFrame:
    """The table of agreement of the sweep, from what compare() says of each of `places` (model, setting, matrix,
    labeller).

    For each model, setting, matrix and read-out every labeller by itself, and then each two of them. Of a file that
    equivalent settings share, only pairs are taken whose second labels the setting, too.
    """
    pieces = []
    for path, (model, setting, matrix, first) in zip(files, places, strict=True):
        rows = pq.ParquetFile(path).read().to_pandas()
        # Labellers in the order of `places`.
        numbers = {
            second: number for number, (*others, second) in enumerate(places) if others == [model, setting, matrix]
        }
        rows = rows[rows["second"].isna() | rows["second"].isin(numbers)].assign(model=model, setting=setting)
        number_of_second = rows["second"].map(numbers).astype(float).fillna(-1)
        pieces.append(rows.assign(number_of_first=numbers[first], number_of_second=number_of_second))
    table = pd.concat(pieces, ignore_index=True)
    ranks = {
        "group": table.groupby(["model", "setting", "matrix", "readout"], sort=False, observed=True).ngroup(),
        "pair": table["second"].notna(),
        "first": table.pop("number_of_first"),
        "second": table.pop("number_of_second"),
    }
    return table.iloc[np.lexsort(tuple(ranks.values())[::-1])]


def compare(labels: pd.DataFrame, others: Mapping[str, pd.DataFrame], seed: int = 0) -> list[dict[str, Any]]:
    """Rows of the table agreement from `readout` on, but for `first`, for a labels table of one model and matrix.

    For each read-out the labeller by itself (`second` is None), and with each of the `others`, tables by labeller.
    """
    records = []
    for readout in singular(labels)["readout"].unique():
        own = labels[labels["readout"] == readout]
        records.append({"readout": readout, "second": None, **alone(own)})
        for second, table in others.items():
            through_readout = table[table["readout"] == readout]
            if len(singular(through_readout)):
                records.append({"readout": readout, "second": second, **agreement(own, through_readout, seed)})
    return records


def alone(labels: pd.DataFrame) -> dict[str, Any]:
    """Columns n_joined to second_log_rank_auc of the table agreement for one labeller by itself: n_joined are all its
    rows of singular directions, n those on which it decided; what is about a second labeller is None.
    """
    labels = singular(labels)
    record = dict.fromkeys(AGREEMENT.names[AGREEMENT.get_field_index("n_joined") :])
    rows = decisions_of(labels).dropna(subset="decision")
    frequency = frequency_columns("first", *(rows[name].to_numpy() for name in DECISION))
    return record | {"n_joined": len(labels), "n": len(rows), **frequency}


def agreement(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Columns n_joined to second_log_rank_auc of the table agreement, for two labels tables of the same lists. All but
    control_* are about singular directions.

    n_joined                            rows that are in both tables
    n                                   of these, rows on which both decided (status ok, interpretable not null)
    both, only_first, only_second,      rows by who calls them interpretable; lists of frequent and of glitch tokens
    neither                             are not interpretable, as in the fractions
    kappa, kappa_low, kappa_high        Cohen 1960, and the 95 % percentile bootstrap over rows
    control_n, control_both, ...        random unit directions on which both decided, and the four cells of these: what
                                        each calls interpretable there is its rate of false positives on the same rows
    first_auc                           area under the ROC curve of the first's score for the second's decision
    first_spearman                      rank correlation of the first's score with the mean log rank of the tokens
    first_log_rank_interpretable, _not  mean log rank (natural, 0 = most frequent) of rows that the first calls
                                        interpretable, and of the others, both without lists of frequent and of glitch
                                        tokens, which are never interpretable because of their frequency
    first_log_rank_auc                  area under the ROC curve of the mean log rank alone for the first's decision:
                                        above 0.5 where lists of rarer tokens are called interpretable; without the
                                        same lists

    and the same of the second. What cannot be said is None: a score or a mean_log_rank that no row has, only one
    class, only one value. Raises SvdlensError if the tables have no keys in common, or several rows with the same.
    """
    keys = [key for key in KEYS if key in first and key in second]
    if not keys:
        raise SvdlensError(
            f"labels to compare share none of the columns {', '.join(KEYS)}. Give two labels tables of the same lists."
        )
    joined = join(singular(first), singular(second), keys)
    rows = joined[joined["decision_first"].notna() & joined["decision_second"].notna()]
    # Both tables are of the same lists; one of them may be from a labeller that does not look at frequency.
    log_rank = rows["mean_log_rank_first"].fillna(rows["mean_log_rank_second"]).to_numpy()
    decisions = {name: rows[f"decision_{name}"].to_numpy() for name in ("first", "second")}
    scores = {name: rows[f"score_{name}"].to_numpy() for name in ("first", "second")}
    cells = cells_of(rows)
    low, high = kappa_interval(cells, seed)
    record: dict[str, Any] = {"n_joined": len(joined), "n": len(rows)}
    record |= dict(zip(CELLS, cells, strict=True))
    record |= {"kappa": kappa(cells), "kappa_low": low, "kappa_high": high}
    random = cells_of(join(random_unit(first), random_unit(second), keys))
    record |= {"control_n": sum(random)}
    record |= {f"control_{cell}": number for cell, number in zip(CELLS, random, strict=True)}
    for name, its_reference in (("first", "second"), ("second", "first")):
        record[f"{name}_auc"] = area_under_roc(scores[name], decisions[its_reference] > 0)
        common = rows[f"common_{name}"].to_numpy()
        record |= frequency_columns(name, decisions[name], scores[name], log_rank, common)
    return record


def join(first: pd.DataFrame, second: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows that are in both tables, with what each says of them."""
    return comparable(first, keys).merge(comparable(second, keys), on=keys, suffixes=("_first", "_second"))


def cells_of(joined: pd.DataFrame) -> list[int]:
    """The counts CELLS of the rows on which both decided."""
    one, other = joined["decision_first"].to_numpy(), joined["decision_second"].to_numpy()
    return [int(np.sum((one == a) & (other == b))) for a in (1, 0) for b in (1, 0)]


def frequency_columns(
    name: str, decision: np.ndarray, score: np.ndarray, log_rank: np.ndarray, common: np.ndarray
) -> dict[str, Any]:
    """How far the frequency of tokens goes with what the labeller `name` says: {name}_spearman to {name}_log_rank_auc,
    as agreement() describes them. `common` are lists of frequent and of glitch tokens."""
    open_to_both = ~common.astype(bool)
    interpretable, rank = decision[open_to_both] > 0, log_rank[open_to_both]
    return {
        f"{name}_spearman": rank_correlation(score, log_rank),
        f"{name}_log_rank_interpretable": mean_or_none(rank[interpretable]),
        f"{name}_log_rank_not": mean_or_none(rank[~interpretable]),
        f"{name}_log_rank_auc": area_under_roc(rank, interpretable),
    }


def comparable(labels: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Keys as text, and the columns DECISION."""
    table = pd.DataFrame({key: [key_text(value) for value in labels[key]] for key in keys}, index=labels.index)
    twice = table.duplicated()
    if twice.any():
        row = ", ".join(f"{key} {value or 'none'}" for key, value in table[twice].iloc[0].items())
        raise SvdlensError(
            f"labels to compare have {int(twice.sum())} rows with the keys of an earlier row, the first of them {row}. "
            f"Compare one model, setting, labeller and control at a time."
        )
    return pd.concat([table, decisions_of(labels)], axis=1)


def decisions_of(labels: pd.DataFrame) -> pd.DataFrame:
    """decision (1 interpretable, 0 not, NaN none), score and mean_log_rank of each row as numbers, and common: whether
    it is a list of frequent or of glitch tokens."""
    decided = (labels["status"] == "ok") & labels["interpretable"].notna()
    common = labels["kind"].isin(NOT_INTERPRETABLE)
    interpretable = labels["interpretable"].eq(True).fillna(False).astype(bool) & ~common
    table = pd.DataFrame({"decision": interpretable.astype(float).where(decided), "common": common})
    for name in ("score", "mean_log_rank"):
        table[name] = labels[name].astype(float) if name in labels else np.nan
    return table


def key_text(value: Any) -> str:
    """The same text for a key whatever the type of its column: whole numbers come as floats where some are null."""
    if pd.isna(value):
        return ""
    is_whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)


def kappa(cells: list[int]) -> float | None:
    """Cohen's kappa for the counts both, only first, only second, neither; None where chance alone agrees always."""
    value = float(kappas(np.array([cells], dtype=float))[0])
    return None if np.isnan(value) else value


def kappas(cells: np.ndarray) -> np.ndarray:
    """Cohen's kappa of each row of counts [m, 4]; NaN where it is not defined."""
    both, only_first, only_second, neither = cells.T
    n = cells.sum(axis=1)
    expected = (both + only_first) * (both + only_second) + (neither + only_first) * (neither + only_second)
    # In whole numbers, so that what is not defined is exactly 0: n^2 times (observed - expected, 1 - expected).
    above, possible = n * (both + neither) - expected, n * n - expected
    return np.divide(above, possible, out=np.full(len(cells), np.nan), where=possible > 0)


def kappa_interval(cells: list[int], seed: int) -> tuple[float | None, float | None]:
    """Percentile bootstrap over rows, which are drawn by drawing their counts.

    None where there is no kappa, and where every resample has the same: one of the two gives one answer throughout, or
    they never differ. Such rows cannot tell how far off their kappa is.
    """
    if kappa(cells) is None:
        return None, None
    n = sum(cells)
    drawn = kappas(np.random.default_rng(seed).multinomial(n, np.array(cells) / n, size=RESAMPLES).astype(float))
    # Resamples of one class only have no kappa.
    known = drawn[~np.isnan(drawn)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return (None, None) if known.min() == known.max() else (float(low), float(high))


def area_under_roc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """The chance that a positive row has a higher score than another, ties counting half; None for one class only.

    From ranks (Mann & Whitney 1947), over the rows that have a score. As scipy.stats.mannwhitneyu, the oracle in the
    tests, which takes longer to import than two tables to compare.
    """
    known = ~np.isnan(scores)
    positive = positive[known]
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return None
    ranks = pd.Series(scores[known]).rank().to_numpy()
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's correlation over the rows that have both; None for fewer than two distinct values of either."""
    known = ~np.isnan(one) & ~np.isnan(other)
    ranks, other_ranks = (pd.Series(values[known]).rank().to_numpy() for values in (one, other))
    if len(np.unique(ranks)) < 2 or len(np.unique(other_ranks)) < 2:
        return None
    return float(np.corrcoef(ranks, other_ranks)[0, 1])


def mean_or_none(values: np.ndarray) -> float | None:
    """The mean of the values that are there."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
