"""Two tables of the same name, row by row by their keys."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Int

from svdlens import SCHEMA_VERSION
from svdlens.artefacts.table_schemas import read_metadata
from svdlens.errors import SvdlensError

KEYS = (
    *("model", "setting", "query", "targets", "control", "matrix", "layer", "head", "index", "side", "sign", "readout"),
    *("labeller", "criterion", "unit", "group", "test", "first", "second", "person", "list_key"),
    *("number", "prompt", "edited", "eps", "language_model", "n_examples", "ratio", "id", "name", "data_set", "path"),
)
"""Columns that say what a row is of, in any table; rows that agree in all of them are taken in their order."""
KEYS_OF = {"fractions": ("kind",), "trace": ("rank",), "effect": ("token_id",)}
"""More such columns, where they are a value elsewhere; by the name of the data set or of the file."""
DETERMINED = ("value", "energy")
"""Columns that crowded singular values do not make uncertain."""

COUNTED = {"p_value": 1e-3, "p_direction": 1e-3, "q_value": 0.02, "q_direction": 0.02}
"""How far apart shares of the lists of a null may be. One list whose score is as near as rounding moves p by a step, at
most 5e-4 (2,000 lists), and q by a step of p times all lists over the rank."""


class Compared(NamedTuple):
    """What the comparison of two files found. Rows are of tables; of arrays, numbers or vectors; a text is one.

    apart: rows that two machines need not have in common; apart_differ: those of them that differ. first: where the
    first difference is, with both values.
    """

    rows: int = 0
    differ: int = 0
    apart: int = 0
    apart_differ: int = 0
    first: str | None = None


def read_table(path: Path) -> pa.Table:
    """A table of the schema version of today. Raises SvdlensError where it is none."""
    try:
        table = pq.ParquetFile(path).read().combine_chunks()
        version = read_metadata(path).get("schema_version")
    except (pa.ArrowInvalid, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SvdlensError(f"{path} is no table of svdlens: {reason}. Make it again, or delete it.") from error
    if version != SCHEMA_VERSION:
        raise SvdlensError(
            f"{path} has schema version {version}, and this svdlens compares version {SCHEMA_VERSION}: columns of two "
            "versions do not mean the same. Make the results again, or compare with the svdlens that made both."
        )
    for number, name in enumerate(table.column_names):
        if pa.types.is_dictionary(table.column(number).type):
            table = table.set_column(number, name, table.column(number).cast(pa.string()))
    return table


def key_columns(path: Path, columns: list[str]) -> list[str]:
    more = [name for part in (path.parts[0], path.stem) for name in KEYS_OF.get(part, ())]
    return [name for name in columns if name in KEYS or name in more]


def pair_rows(
    first: pd.DataFrame, second: pd.DataFrame
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Int[np.ndarray, " a"], Int[np.ndarray, " b"]]:
    """Positions of the rows of two tables that have the same keys, and of those of each that the other lacks."""
    names = list(first.columns)
    both = pd.concat([first, second], ignore_index=True)
    if names:
        number = both.groupby(names, dropna=False, sort=False, observed=True).ngroup().to_numpy()
    else:
        number = np.zeros(len(both), dtype=np.int64)
    halves = number[: len(first)], number[len(first) :]
    ids = [pd.DataFrame({"key": half, "again": pd.Series(half).groupby(half).cumcount()}) for half in halves]
    joined = ids[0].reset_index().merge(ids[1].reset_index(), on=["key", "again"], how="outer")
    paired = joined.dropna()
    only_first = joined.loc[joined["index_y"].isna(), "index_x"]
    only_second = joined.loc[joined["index_x"].isna(), "index_y"]
    ordered = paired.sort_values("index_x")
    columns = ordered["index_x"], ordered["index_y"], only_first.sort_values(), only_second.sort_values()
    a, b, c, d = (column.to_numpy().astype(np.int64) for column in columns)
    return a, b, c, d


def differing_rows(first: pa.Array, second: pa.Array, tolerance: float) -> Bool[np.ndarray, " rows"]:
    """Which rows of two columns of one type differ: floats by more than far_apart allows, all else at all."""
    nulls = np.asarray(first.is_null()), np.asarray(second.is_null())
    differ = nulls[0] != nulls[1]
    both = np.flatnonzero(~nulls[0] & ~nulls[1])
    if not len(both):
        return differ
    first, second = first.take(pa.array(both)), second.take(pa.array(both))
    if pa.types.is_list(first.type):
        lengths = [np.asarray(pc.list_value_length(column)) for column in (first, second)]
        same = np.flatnonzero(lengths[0] == lengths[1])
        differ[both[lengths[0] != lengths[1]]] = True
        first, second = first.take(pa.array(same)), second.take(pa.array(same))
        elements = differing_rows(first.flatten(), second.flatten(), tolerance)
        owners = np.repeat(same, lengths[0][same])
        differ[both[owners[elements]]] = True
    elif pa.types.is_floating(first.type):
        differ[both] = far_apart(first.to_numpy(), second.to_numpy(), tolerance)
    else:
        differ[both] = np.asarray(pc.not_equal(first, second).to_numpy(zero_copy_only=False), dtype=bool)
    return differ


def far_apart(first: np.ndarray, second: np.ndarray, tolerance: float) -> Bool[np.ndarray, "..."]:
    """Where floats differ by more than tolerance * max(1, |a|, |b|). NaN is NaN, and an infinity itself alone."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        near = np.abs(first - second) <= tolerance * np.maximum(1.0, np.maximum(np.abs(first), np.abs(second)))
    finite = np.isfinite(first) & np.isfinite(second)
    return ~((near & finite) | (first == second) | (np.isnan(first) & np.isnan(second)))


def compare_tables(
    name: Path, tables: tuple[pa.Table, pa.Table], apart: tuple[np.ndarray, np.ndarray], tolerance: float
) -> tuple[Compared, Bool[np.ndarray, " rows"]]:
    """Compare two tables of the path `name`; `apart` says of the rows of each whether they are set apart.

    Returns what was found, and which rows of the first table are set apart and differ.
    """
    first, second = tables
    if first.schema.names != second.schema.names or first.schema.types != second.schema.types:
        fields = [{field.name: str(field.type) for field in table.schema} for table in tables]
        column = next(key for key in {**fields[0], **fields[1]} if fields[0].get(key) != fields[1].get(key))
        what = (
            f"{name}: column {column} is {fields[0].get(column, 'not there')} and {fields[1].get(column, 'not there')}"
        )
        return Compared(len(first), 1, first=what), np.zeros(len(first), dtype=bool)
    keys = key_columns(name, first.column_names)
    frames = [table.select(keys).to_pandas() for table in tables]
    a, b, only_a, only_b = pair_rows(*frames)
    loose = apart[0][a] | apart[1][b]
    failed, turned = np.zeros(len(a), dtype=bool), np.zeros(len(a), dtype=bool)
    message = None
    for column in [name for name in first.column_names if name not in keys]:
        one, other = (
            table.column(column).combine_chunks().take(pa.array(at)) for table, at in ((first, a), (second, b))
        )
        allowed = max(tolerance, COUNTED.get(column, 0.0)) if tolerance > 0 else 0.0
        differ = differing_rows(one, other, allowed)
        strict = differ if column in DETERMINED else differ & ~loose
        turned |= differ & ~strict
        if strict.any() and message is None:
            at = int(np.flatnonzero(strict)[0])
            message = f"{name}: {described(frames[0].iloc[a[at]], keys)}{column} is {shown(one[at], other[at])}"
        failed |= strict
    n_failed, n_apart, n_turned = int(failed.sum()), int(loose.sum()), int(turned.sum())
    for which, frame, alone, loose_rows in (
        ("first", frames[0], only_a, apart[0]),
        ("second", frames[1], only_b, apart[1]),
    ):
        missing = alone[~loose_rows[alone]]
        n_failed += len(missing)
        n_apart += len(alone) - len(missing)
        n_turned += len(alone) - len(missing)
        if len(missing) and message is None:
            message = f"{name}: {described(frame.iloc[missing[0]], keys)}only the {which} has this row"
    differing = np.zeros(len(first), dtype=bool)
    differing[a[turned]] = True
    return Compared(len(a) + len(only_a) + len(only_b), n_failed, n_apart, n_turned, message), differing


def described(row: Mapping[str, object], keys: list[str]) -> str:
    """A row by its keys, for people; a key that is null says nothing."""
    parts = [f"{key} {short(row[key])}" for key in keys if not pd.isna(row[key])]  # type: ignore[call-overload]
    return f"{', '.join(parts)}: " if parts else ""


def short(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(first: pa.Scalar, second: pa.Scalar) -> str:
    """Both values; of lists, the first element that differs, and where."""
    one, other = first.as_py(), second.as_py()
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"of length {len(one)} and {len(other)}"
        at = next(number for number, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
        return f"{one[at]!r} and {other[at]!r} at place {at}"
    return f"{one!r} and {other!r}"
