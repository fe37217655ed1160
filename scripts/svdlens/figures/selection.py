"""Choosing rows of a table by their keys, with an error that says what there is to choose from."""

import pandas as pd

from svdlens.errors import SvdlensError, did_you_mean


def select(frame: pd.DataFrame, figure: str, **wanted: object) -> pd.DataFrame:
    """The rows of `frame` in which every column of `wanted` has the value given; None stands for an empty cell.

    `figure` names the figure in the error. Raises SvdlensError when nothing is left, naming the first value that
    emptied the selection and the values that the remaining rows have instead.
    """
    rows = frame
    chosen: list[str] = []
    for column, value in wanted.items():
        matching = rows[rows[column].isna()] if value is None else rows[rows[column] == value]
        if matching.empty:
            where = f" among the rows with {', '.join(chosen)}" if chosen else ""
            raise SvdlensError(
                f"the figure {figure} has nothing to draw: no row has {column} {shown(value)}{where}. "
                f"{existing(rows, column, value)}"
            )
        rows = matching
        chosen.append(f"{column} {shown(value)}")
    return rows


def existing(rows: pd.DataFrame, column: str, value: object) -> str:
    """The values of a column that the remaining rows have, with the closest to `value`, as a sentence."""
    if rows.empty:
        return (
            "The table is empty. Fractions are empty when no token list could be labelled: see the column status of "
            "the labels."
        )
    values = sorted({None if pd.isna(cell) else cell for cell in rows[column]}, key=lambda cell: (cell is None, cell))
    hint = did_you_mean(value, [cell for cell in values if isinstance(cell, str)]) if isinstance(value, str) else ""
    return f"Choose from {', '.join(map(shown, values))}.{hint}"


def shown(value: object) -> str:
    """A value as a message shows it."""
    return "(none)" if value is None else repr(value) if isinstance(value, str) else str(value)


def as_text(column: pd.Series) -> pd.Series:
    """A dictionary-encoded column as plain text, so that values that the selection dropped are forgotten."""
    return column.astype(str)


def whole_numbers(column: pd.Series) -> pd.Series:
    """A key column (layer, head, index) as whole numbers with gaps: an integer column with nulls arrives as floats."""
    return column.astype("Int64")
