"""The queries of a sweep in one model and setting, from its files to a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from svdlens.readout.control_directions import seeded
from svdlens.readout.projection import residual_vectors
from svdlens.readout.readout_matrix import reading_gains
from svdlens.spec.matrix_kinds import MATRIX_KINDS, layers_and_heads, stored_numbers
from svdlens.spec.settings import Setting
from svdlens.spec.token_vectors import TOKEN_VECTORS
from svdlens.trace.cosines import (
    frequency_classes,
    null_group,
    null_queries,
    query_vector,
    trace,
)
from svdlens.trace.queries import QueryTokens
from svdlens.trace.trace_table import KEYS, all_directions, direction_keys, round_trip, trace_rows
from svdlens.weights.weight_files import WeightFile

SAMPLE = 500
"""So many directions are looked for by their own tokens."""
OWN_TOKENS = 10
"""By so many of these."""


class Directions(NamedTuple):
    """vectors: of a model in one setting, one below the other. keys: what each is."""

    vectors: Float[Tensor, "directions d_model"]
    keys: pd.DataFrame


def load_directions(files: Mapping[str, str], gains: str, setting: Setting, token_vectors: str) -> Directions:
    """The directions in SVD files, by kind of matrix, as they are compared with `token_vectors` (TOKEN_VECTORS)."""
    weights, readout = WeightFile(Path(gains)), TOKEN_VECTORS[token_vectors].readout
    vectors, matrices = {}, {}
    for matrix, path in files.items():
        arrays = load_file(path)
        sides = residual_vectors(arrays, matrix, readout, setting, reading_gains(weights, matrix))
        vectors[matrix] = {side: directions.float() for side, directions in sides.items()}
        shape = arrays[MATRIX_KINDS[matrix].sign_array].shape
        matrices[matrix] = layers_and_heads(shape, matrix, stored_numbers(arrays))
    return Directions(all_directions(vectors), direction_keys(vectors, matrices))


def live_directions(directions: Directions, lists: pd.DataFrame) -> Directions:
    """Those that are no null space, by the table of their lists."""
    known = lists.loc[lists["sign"] == 1, [*KEYS, "null_space"]].astype({"matrix": str, "side": str})
    live = ~directions.keys.merge(known, on=KEYS, how="left")["null_space"].fillna(True).to_numpy(bool)
    return Directions(directions.vectors[torch.from_numpy(live)], directions.keys[live].reset_index(drop=True))


def load_lists(paths: Sequence[str], columns: Sequence[str], readout: str) -> pd.DataFrame:
    """`columns` of tables of tokens or labels, through one read-out."""
    tables = [pq.ParquetFile(path).read(columns=[*KEYS, "sign", "readout", *columns]).to_pandas() for path in paths]
    table = pd.concat(tables, ignore_index=True)
    return table[table["readout"].astype(str) == readout].drop(columns="readout")


def log_ranks(features: str) -> Float[np.ndarray, " d_vocab"]:
    """The natural logarithm of the frequency rank of each token."""
    return pq.ParquetFile(features).read(columns=["log_rank"])["log_rank"].to_numpy()


def trace_queries(
    queries: Mapping[str, QueryTokens],
    vectors: Float[Tensor, "d_vocab d_model"],
    ranks: Float[np.ndarray, " d_vocab"],
    directions: Directions,
    *,
    null: int,
    seed: int,
    level: float,
    least_cosine: float,
    threads: int,
) -> pd.DataFrame:
    """The rows of trace_rows for each query, beside `null` random queries that are like it (null_group)."""
    classes = frequency_classes(ranks)
    groups: dict[tuple[int, int], list[str]] = {}
    for name, tokens in queries.items():
        groups.setdefault(null_group(tokens.ids, classes), []).append(name)
    rows = {}
    for group, names in groups.items():
        asked = torch.stack([query_vector(vectors, queries[name].ids) for name in names])
        random = null_queries(vectors, classes, group, null, seed)
        cosines = trace(asked, random, directions.vectors, threads)
        for number, name in enumerate(names):
            rows[name] = trace_rows(name, directions.keys, cosines, number, level, least_cosine)
    return pd.concat([rows[name] for name in queries], ignore_index=True)


def find_again(
    directions: Directions, vectors: Float[Tensor, "d_vocab d_model"], lists: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """round_trip of SAMPLE of the directions, each at one sign, chosen at random, by its OWN_TOKENS best tokens."""
    known = directions.keys.reset_index(names="number").merge(lists, on=KEYS)
    generator = seeded(seed, "round trip")
    chosen = known.iloc[np.sort(generator.permutation(len(known))[:SAMPLE])]
    ids = [list(tokens[:OWN_TOKENS]) for tokens in chosen["token_ids"]]
    return round_trip(directions.vectors, chosen["number"].tolist(), vectors, ids, chosen["sign"].tolist())
