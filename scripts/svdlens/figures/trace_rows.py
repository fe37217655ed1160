"""What the pictures of a trace share: the rows of one query, and what their captions say of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.figures.style import tick_name
from svdlens.spec.token_vectors import BEST_LIST, TOKEN_VECTORS

FIRST_WORDS = 12
"""So many words of a query are in a caption."""


def read_query(path: Path, query: str) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    """The rows of one query in a table of a trace, and the metadata of the table."""
    table = pq.ParquetFile(path).read().to_pandas()
    rows = table[table["query"].astype(str) == query].astype({"query": str, "matrix": str, "side": str})
    return rows.reset_index(drop=True), read_metadata(path)


def query_sentence(query: str, facts: Mapping[str, Any]) -> str:
    """Which words were looked for, and as what."""
    words = [word.strip() for word in facts["rounds"][query][0]["words"]]
    more = " and so on" if len(words) > FIRST_WORDS else ""
    said = f"Query: {', '.join(words[:FIRST_WORDS])}{more}; the sum of the {TOKEN_VECTORS[facts['vectors']].what}."
    # The words of `query` on the command line can be called so, too.
    chosen_by_rule = query == BEST_LIST and BEST_LIST in facts
    return said + (f" {best_list_sentence(facts[BEST_LIST])}" if chosen_by_rule else "")


def best_list_sentence(origin: Mapping[str, Any]) -> str:
    """By which rule the query was chosen."""
    return (
        "Chosen by a rule: of all lists of this model and setting that are labelled as interpretable and semantic, the "
        f"one with the highest score, of {direction_name(origin)}, which so finds itself."
    )


def direction_name(row: Mapping[str, Any]) -> str:
    """Matrix, layer, head, index, sign and side, in one short line."""
    head = "" if pd.isna(row["head"]) else f" H{int(row['head'])}"
    sign = "+" if row["sign"] > 0 else "−"
    matrix = tick_name(row["matrix"]).replace("\n", " ")
    return f"{matrix} L{row['layer']}{head} #{row['index']} {row['side']} {sign}"


def null_sentence(level: float, n_random: int) -> str:
    """What a direction is held against, and when it is found."""
    return (
        f"Score: standard deviations of the cosine from those of {n_random:,} random queries of as many tokens, as "
        f"frequent, with the same direction; found: false discovery rate up to {100 * level:g} %."
    )
