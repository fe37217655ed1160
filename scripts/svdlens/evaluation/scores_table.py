"""Rows of the table of scores: the tests of scoring.py on whole labels tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Float
from safetensors import safe_open

from svdlens.evaluation.fractions import NOT_INTERPRETABLE
from svdlens.evaluation.label_tests import false_positives, score_labels
from svdlens.evaluation.scored_lists import Vocabulary, lists_of_tables
from svdlens.evaluation.token_label_fit import ClassJudge, EmbeddingJudge, Judge
from svdlens.labels.external_lists import find_tokens, read_lists
from svdlens.models.token_texts import read_vocabulary
from svdlens.vocabulary.list_similarity import token_vectors
from svdlens.vocabulary.token_features import load_vocabulary

ROW = ["layer", "head", "index", "side", "sign", "readout"]
"""Columns that tell the rows of one tokens or labels table apart."""


class Judged(NamedTuple):
    """What labels of a model's lists are scored with: its vocabulary, and unit vectors and a judge of its tokens."""

    vocabulary: Vocabulary
    vectors: Float[np.ndarray, "d_vocab d"]
    judge: Judge


def distinct_labels(paths: Iterable[Path | str]) -> list[str]:
    """The labels to score in labels tables, each once."""
    found: set[str] = set()
    for path in paths:
        rows = pq.ParquetFile(path).read(columns=["label", "kind"]).to_pandas()
        found.update(rows.loc[~rows["kind"].isin(NOT_INTERPRETABLE), "label"].dropna())
    return sorted(found)


def judged_model(
    directory: Path, embeddings_file: Path, classes_file: Path, of_labels: Mapping[str, Float[np.ndarray, " d"]]
) -> Judged:
    """For the model in `directory`, its known vocabulary, and embeddings of labels from the same network.

    Tokens and labels are centred on the mean of the vocabulary. Classes judge labels that are their names, embeddings
    all others.
    """
    texts = read_vocabulary(directory)
    known = load_vocabulary(embeddings_file, classes_file, texts)
    with safe_open(embeddings_file, framework="numpy") as file:
        embeddings = file.get_tensor("embeddings")
    mean = embeddings.mean(axis=0)
    vectors = token_vectors(embeddings, mean, np.ones(len(texts)))
    stacked = np.array(list(of_labels.values()), np.float32).reshape(len(of_labels), embeddings.shape[1])
    label_vectors = dict(zip(of_labels, token_vectors(stacked, mean, np.ones(len(stacked))), strict=True))
    judge = ClassJudge(known.classes, EmbeddingJudge(vectors, label_vectors, texts))
    return Judged(Vocabulary(texts, known.classes.groups, known.log_ranks), vectors, judge)


def rows_to_score(labels_file: Path, lists_file: Path, texts: list[str]) -> pd.DataFrame:
    """Columns ROW, token_ids, label and evidence of all lists in `lists_file`, labelled or not.

    A tokens table, or, where it ends on .jsonl, published lists, whose tokens are found by their texts; then there is a
    row for each of the labels, without tokens where the list is not known. Lists of frequent and of glitch tokens have
    no label here.
    """
    labels = pq.ParquetFile(labels_file).read(columns=[*ROW, "label", "kind", "evidence"]).to_pandas()
    labels.loc[labels["kind"].isin(NOT_INTERPRETABLE), "label"] = None
    if lists_file.suffix == ".jsonl":
        lists = read_lists(lists_file)
        found = dict(zip((given.id for given in lists), find_tokens(lists, texts), strict=True))
        ids = (f"L{layer}_I{index}" for layer, index in zip(labels["layer"], labels["index"], strict=True))
        return labels.assign(token_ids=[found.get(id, []) for id in ids])
    tokens = pq.ParquetFile(lists_file).read(columns=[*ROW, "token_ids"]).to_pandas()
    rows = tokens.merge(labels, on=ROW, how="left", validate="one_to_one")
    return rows.assign(evidence=rows["evidence"].astype(object).where(rows["evidence"].notna(), None))


def scores_of_rows(rows: pd.DataFrame, judged: Judged, seed: int) -> list[dict[str, Any]]:
    """Intrusion, retrieval and held-out for each read-out and side of what rows_to_score returns."""
    records = []
    for (readout, side), part in rows.groupby(["readout", "side"], sort=False, observed=True):
        lists = lists_of_tables(part, part)
        for score in score_labels(lists, judged.vocabulary, judged.judge, judged.vectors, seed):
            records.append({"readout": readout, "side": side, **score._asdict()})
    return records


def scores_of_controls(control_labels_file: Path, level: float) -> list[dict[str, Any]]:
    """False positives of a labeller on a control, for each read-out; `level` is what the labeller promises."""
    columns = ["readout", "interpretable", "kind", "status"]
    controls = pq.ParquetFile(control_labels_file).read(columns=columns).to_pandas()
    return [
        {"readout": readout, "side": "all", **false_positives(part, level)._asdict()}
        for readout, part in controls.groupby("readout", sort=False, observed=True)
    ]
