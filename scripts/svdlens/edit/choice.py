"""Which directions an edit scales: those that are named, one that labels choose, or those that a query lies along; with
their lists and clusters."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from svdlens.errors import SvdlensError
from svdlens.spec.determined import DETERMINED
from svdlens.spec.matrix_kinds import MATRIX_KINDS

logger = logging.getLogger(__name__)

LAST_LAYERS = 2 / 3
"""Of `best`: from this share of the layers on, at least the last."""
KEYS = ["matrix", "layer", "head", "index"]


def read_kinds(files: Sequence[str]) -> pd.DataFrame | None:
    """Tables of several kinds of matrices as one; None for no files."""
    tables = [pd.read_parquet(path, partitioning=None) for path in files]
    return pd.concat(tables, ignore_index=True) if tables else None


def best_direction(labels: pd.DataFrame) -> list[dict[str, Any]]:
    """The direction of the last third of layers with the highest score among interpretable, semantic lists of the write
    side, first read-out; of equal ones the first of the table. One entry, as the configuration names directions.

    Raises SvdlensError where there is no such list.
    """
    rows = labels[(labels["side"] == "write") & labels["interpretable"].eq(True) & (labels["kind"] == "semantic")]
    last = labels["layer"].max()
    rows = rows[rows["layer"] >= min(LAST_LAYERS * (last + 1), last)]
    rows = rows[rows["readout"] == labels["readout"].iloc[0]]
    if rows.empty:
        raise SvdlensError(
            "directions: best: the labeller finds no semantic list on the write side in the last third of layers. "
            "Name a direction, such as {matrix: ov, layer: 0, head: 0, index: 0}."
        )
    row = rows.loc[rows["score"].idxmax()]
    return [{"matrix": str(row["matrix"])} | {key: int(row[key]) for key in ("layer", "head", "index", "sign")}]


def traced_directions(trace: pd.DataFrame, query: str, top: int, matrices: Sequence[str]) -> list[dict[str, Any]]:
    """The first `top` directions that a query finds in these kinds of matrices, each once although both of its sides
    can be found: entries as the configuration names directions, with the cosine of the nearer side.

    trace: the table of the model and setting (TRACE in artefacts/table_schemas.py). Of fewer than `top` all, which is
    logged. Raises SvdlensError where none is found.
    """
    rows = trace[(trace["query"] == query) & trace["matrix"].isin(matrices)].sort_values("rank")
    found = rows[rows["found"]].drop_duplicates(KEYS).head(top)
    if found.empty:
        nearest = f": the smallest q_value is {rows['q_value'].min():.3g}" if len(rows) else ", nor is any near"
        raise SvdlensError(
            f"directions: the query {query!r} finds no direction of {', '.join(matrices)}{nearest}. Ask for other "
            "words, or raise trace.level."
        )
    if len(found) < top:
        logger.warning("the query %r finds %d directions, fewer than `top`: %d.", query, len(found), top)
    return [
        {"matrix": str(row["matrix"]), "head": None if pd.isna(row["head"]) else int(row["head"])}
        | {key: int(row[key]) for key in ("layer", "index", "sign")}
        | {"cosine": float(row["cosine"])}
        for row in found.to_dict("records")
    ]


def chosen_directions(
    named: Iterable[Mapping[str, Any]],
    groups: bool,
    spectra: pd.DataFrame,
    tokens: pd.DataFrame,
    labels: pd.DataFrame | None,
    proportional: bool = False,
) -> pd.DataFrame:
    """A row for each direction of an edit (EDIT_DIRECTIONS in artefacts/table_schemas.py).

    named: as the configuration has them, or traced_directions. groups: whether the others of a near-degenerate cluster
    are edited, too. spectra, tokens, labels: tables of the model and setting. proportional: whether each is scaled in
    proportion to its cosine with a query, others of a cluster to that of the direction that is named. What is not
    determined by the weights is logged.
    Raises SvdlensError for a direction that does not exist, is null space, or has no vector that is kept.
    """
    rows: list[dict[str, Any]] = []
    for entry in named:
        cluster = cluster_of(entry, spectra)
        with_lists = lists_of(entry, tokens)
        kept = cluster[cluster["index"].isin(with_lists["index"])]
        if entry["index"] not in set(kept["index"]):
            raise SvdlensError(
                f"the direction {words(entry)} has no vector that is kept: of each matrix the first "
                f"{with_lists['index'].max() + 1} have. Write `directions: {entry['index'] + 1}`."
            )
        warn(entry, cluster, kept, groups)
        for _, spectrum in kept.iterrows() if groups else [*kept[kept["index"] == entry["index"]].iterrows()]:
            one = {**entry, "index": int(spectrum["index"]), "sign": entry.get("sign", 1)}
            if any(all(row[key] == one.get(key) for key in KEYS) for row in rows):
                continue
            rows.append(
                {**{key: one.get(key) for key in (*KEYS, "sign")}, "named": one["index"] == entry["index"]}
                | {"cosine": entry.get("cosine"), "value": spectrum["value"], "cluster_size": len(cluster)}
                | {"stability_noise": spectrum["stability_noise"]}
                | list_columns(one, with_lists, labels)
            )
    table = pd.DataFrame(rows).astype({"cosine": float})
    return table.assign(proportion=table["cosine"] / table["cosine"].max() if proportional else 1.0)


def words(entry: Mapping[str, Any]) -> str:
    head = f", head {entry['head']}" if entry.get("head") is not None else ""
    return f"{entry['matrix']} layer {entry['layer']}{head}, index {entry['index']}"


def of_matrix(table: pd.DataFrame, entry: Mapping[str, Any]) -> pd.DataFrame:
    head = entry.get("head")
    rows = table[(table["matrix"] == entry["matrix"]) & (table["layer"] == entry["layer"])]
    return rows[rows["head"].isna() if head is None else rows["head"] == head]


def cluster_of(entry: Mapping[str, Any], spectra: pd.DataFrame) -> pd.DataFrame:
    """The rows of the near-degenerate cluster that a direction is in."""
    rows = of_matrix(spectra, entry)
    found = rows[rows["index"] == entry["index"]]
    if found.empty:
        of_kind = spectra[spectra["matrix"] == entry["matrix"]]
        numbers = {
            name: sorted({int(number) for number in of_kind[name].dropna()}) for name in ("layer", "head", "index")
        }
        has = ", ".join(f"{name} {values[0]} to {values[-1]}" for name, values in numbers.items() if values)
        raise SvdlensError(
            f"there is no direction {words(entry)}: {entry['matrix']} of this model has {has}. Take one."
        )
    cluster = found["cluster"].iloc[0]
    if pd.isna(cluster):
        raise SvdlensError(
            f"the direction {words(entry)} is null space: the matrix neither reads nor writes there. Take a smaller "
            f"index, below {int(rows['cluster'].notna().sum())}."
        )
    return rows[rows["cluster"] == cluster]


def lists_of(entry: Mapping[str, Any], tokens: pd.DataFrame) -> pd.DataFrame:
    """The lists of a matrix on the side that an edit is said of, that which writes where there are two, first
    read-out."""
    sides = MATRIX_KINDS[entry["matrix"]].sides
    rows = of_matrix(tokens, entry)
    return rows[
        (rows["side"] == ("write" if "write" in sides else "read")) & (rows["readout"] == rows["readout"].iloc[0])
    ]


def list_columns(entry: Mapping[str, Any], lists: pd.DataFrame, labels: pd.DataFrame | None) -> dict[str, Any]:
    """Tokens and labels of a direction with its sign, and of the opposite one as antipode_*."""
    columns: dict[str, Any] = {}
    labelled = lists if labels is None else of_matrix(labels, entry)
    for prefix, sign in (("", entry["sign"]), ("antipode_", -entry["sign"])):
        [row] = lists[(lists["index"] == entry["index"]) & (lists["sign"] == sign)].to_dict("records")
        label = labelled[
            (labelled["index"] == entry["index"])
            & (labelled["sign"] == sign)
            & (labelled["side"] == row["side"])
            & (labelled["readout"] == row["readout"])
        ]
        has_label = labels is not None and len(label) and isinstance(label["label"].iloc[0], str)
        columns |= {
            f"{prefix}token_ids": list(row["token_ids"]),
            f"{prefix}tokens": list(row["tokens"]),
            f"{prefix}label": label["label"].iloc[0] if has_label else None,
        }
    return columns


def warn(entry: Mapping[str, Any], cluster: pd.DataFrame, kept: pd.DataFrame, groups: bool) -> None:
    """Say in the log where a direction is not unique."""
    if len(cluster) > 1 and not groups:
        others = ", ".join(str(index) for index in cluster["index"] if index != entry["index"])
        logger.warning(
            "%s is not unique: its singular value nearly coincides with that of index %s, and only their common space "
            "is determined. `groups: true` edits all of them.", words(entry), others,
        )  # fmt: skip
    if groups and len(kept) < len(cluster):
        logger.warning(
            "the cluster of %s has %d directions, of which %d are kept and edited; raise `directions` for all.",
            words(entry), len(cluster), len(kept),
        )  # fmt: skip
    stability = cluster.loc[cluster["index"] == entry["index"], "stability_noise"].iloc[0]
    if stability < DETERMINED:
        logger.warning(
            "%s is not determined by the weights: noise turns it (stability_noise %.2f, below %.1f).",
            words(entry), stability, DETERMINED,
        )  # fmt: skip
