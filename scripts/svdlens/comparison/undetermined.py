"""Which rows two machines need not have in common: those of singular vectors that their matrix does not determine.

Vectors of a near-degenerate cluster are determined only together, those of null space not at all, and where the sign
margin is nil the sign may be either. What else svdlens promises is the same on every machine.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Float

from svdlens.svd.spectrum import describe_spectrum

DIRECTION = ["model", "setting", "matrix", "layer", "head", "index"]
MATRIX = DIRECTION[:-1]
PLACE = DIRECTION[:3]
TURNED = ("rotated", "varimax")
"""Controls that are made of singular vectors."""


def place_of(path: Path) -> dict[str, str]:
    """The model, setting and other values that the directories of a data set name: model=gpt2/setting=raw."""
    return dict(part.split("=", 1) for part in path.parts[:-1] if "=" in part)


def undetermined_directions(spectra: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """The rows of DIRECTION that a table of spectra of the whole sweep says are not determined by the weights."""
    cluster = spectra["cluster"]
    crowded = spectra.duplicated([*MATRIX, "cluster"], keep=False)
    loose = crowded | cluster.isna() | (spectra["sign_margin"] < tolerance)
    return spectra.loc[loose, DIRECTION].drop_duplicates(ignore_index=True)


def is_among(rows: pd.DataFrame, known: pd.DataFrame) -> Bool[np.ndarray, " rows"]:
    """Which rows are among those of `known`, by the columns of `known`; none where a column is missing."""
    names = list(known.columns)
    if not len(known) or not set(names) <= set(rows.columns):
        return np.zeros(len(rows), dtype=bool)
    merged = rows[names].merge(known.drop_duplicates(), on=names, how="left", indicator=True)
    return np.asarray(merged["_merge"] == "both")


def rows_set_apart(keys: pd.DataFrame, undetermined: pd.DataFrame) -> Bool[np.ndarray, " rows"]:
    """Which rows of a table are of undetermined directions, or of controls that are made of such ones."""
    apart = is_among(keys, undetermined)
    if "control" in keys:
        turned = np.asarray(keys["control"].isin(TURNED))
        apart = np.where(keys["control"].notna(), turned & is_among(keys, undetermined[MATRIX]), apart)
    return apart


def keys_of(table: pa.Table, place: dict[str, str]) -> pd.DataFrame:
    """The columns of a table that say what its rows are of, with the model and setting of its path. No head is -1."""
    names = [name for name in (*DIRECTION, "control") if name in table.column_names]
    keys = table.select(names).to_pandas()
    for name in ("model", "setting"):
        if name in place:
            keys[name] = place[name]
    for name in set(keys.columns) & {"layer", "head", "index"}:
        keys[name] = keys[name].fillna(-1).astype("int64")
    for name in set(keys.columns) & {"model", "setting", "matrix", "control"}:
        keys[name] = keys[name].astype(object)
    return keys


def undetermined_vectors(values: Float[np.ndarray, "... rank"], crowding: float) -> Bool[np.ndarray, "... rank"]:
    """The same of the singular values of an SVD file: neighbours less than `crowding` (relative) apart, null space."""
    rows = [describe_spectrum(row, crowding).cluster for row in values.reshape(-1, values.shape[-1])]
    loose = [(row < 0) | (np.bincount(row + 1)[row + 1] > 1) for row in rows]
    return np.stack(loose).reshape(values.shape)
