"""The queries of a sweep in one model and setting, from its files to a table."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor

from svdlens.artefacts.table_schemas import LABELS
from svdlens.readout.control_directions import seeded
from svdlens.readout.projection import residual_vectors
from svdlens.readout.readout_matrix import reading_gains
from svdlens.spec.matrix_kinds import MATRIX_KINDS, numbered_layers, stored_numbers
from svdlens.spec.settings import Setting
from svdlens.spec.token_vectors import TOKEN_VECTORS
from svdlens.trace.cosines import Cosines, null_group, null_queries, query_vector, trace
from svdlens.trace.queries import QueryTokens
from svdlens.trace.trace_table import KEYS, all_directions, direction_keys, round_trip
from svdlens.weights.weight_files import WeightFile

SAMPLE = 500
"""So many directions are looked for by their own tokens."""
LIST_COLUMNS = ("token_ids", "tokens", "null_space", "label", "kind", "interpretable", "score")
"""What is read of tables of tokens and of labels."""
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
        matrices[matrix] = numbered_layers(shape, matrix, stored_numbers(arrays))
    return Directions(all_directions(vectors), direction_keys(vectors, matrices))


def live_directions(directions: Directions, lists: pd.DataFrame) -> Directions:
    """Those that are no null space, by the table of their lists."""
    known = lists.loc[lists["sign"] == 1, [*KEYS, "null_space"]]
    live = ~directions.keys.merge(known, on=KEYS, how="left")["null_space"].fillna(True).to_numpy(bool)
    return Directions(directions.vectors[torch.from_numpy(live)], directions.keys[live].reset_index(drop=True))


def load_lists(paths: Sequence[str], readout: str) -> pd.DataFrame:
    """Tables of tokens, or of labels, through one read-out, one below the other; without `paths` nothing."""
    wanted = [*KEYS, "sign", "readout", *LIST_COLUMNS]
    # Columns that a table lacks are left out.
    tables = [pq.ParquetFile(path).read(columns=wanted) for path in paths] or [LABELS.empty_table()]
    table = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
    table = table[table["readout"].astype(str) == readout].drop(columns="readout")
    return table.astype({"head": "Int32", "matrix": str, "side": str})


def compare(
    queries: Mapping[str, QueryTokens],
    vectors: Float[Tensor, "d_vocab d_model"],
    bands: Int[np.ndarray, " d_vocab"],
    directions: Directions,
    *,
    null: int,
    seed: int,
    threads: int,
) -> Iterator[tuple[list[str], Cosines]]:
    """Names of queries that are alike in what null_group says, and their cosines beside `null` random queries."""
    groups: dict[tuple[int, int], list[str]] = {}
    for name, tokens in queries.items():
        groups.setdefault(null_group(tokens.ids, bands), []).append(name)
    for group, names in groups.items():
        asked = torch.stack([query_vector(vectors, queries[name].ids) for name in names])
        random = null_queries(vectors, bands, group, null, seed)
        yield names, trace(asked, random, directions.vectors, threads)


def find_again(
    directions: Directions, vectors: Float[Tensor, "d_vocab d_model"], lists: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """round_trip of SAMPLE of the directions, each at one sign, chosen at random, by its OWN_TOKENS best tokens."""
    known = directions.keys.reset_index(names="number").merge(lists, on=KEYS)
    generator = seeded(seed, "round trip")
    chosen = known.iloc[np.sort(generator.permutation(len(known))[:SAMPLE])]
    ids = [list(tokens[:OWN_TOKENS]) for tokens in chosen["token_ids"]]
    return round_trip(directions.vectors, chosen["number"].tolist(), vectors, ids, chosen["sign"].tolist())
