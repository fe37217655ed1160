"""Rows of the table of scores: the tests of label_tests.py on whole labels tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float
from safetensors import safe_open

from svdlens.evaluation.counted_rows import counted_rows, cut_p
from svdlens.evaluation.label_tests import false_positives, score_labels
from svdlens.evaluation.scored_lists import Vocabulary, lists_of_tables
from svdlens.evaluation.token_label_fit import ClassJudge, EmbeddingJudge, Judge
from svdlens.labels.external_lists import find_tokens, read_lists
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.models.token_table import read_token_texts
from svdlens.spec.controls import RANDOM_UNIT
from svdlens.vocabulary.list_similarity import token_vectors
from svdlens.vocabulary.token_features import TokenFeatures, load_features

ROW = ["layer", "head", "index", "side", "sign", "readout"]
"""Columns that tell the rows of one tokens or labels table apart."""


class Judged(NamedTuple):
    """What labels of a model's lists are scored with: its vocabulary, and unit vectors and a judge of its tokens."""

    vocabulary: Vocabulary
    vectors: Float[np.ndarray, "d_vocab d"]
    judge: Judge


def distinct_labels(paths: Iterable[Path]) -> list[str]:
    """The labels to score in labels tables, each once, in alphabetical order."""
    labels: set[str] = set()
    for path in paths:
        rows = pq.ParquetFile(path).read(columns=["label", "kind", "control"]).to_pandas()
        scored = rows["control"].isna() & ~rows["kind"].isin(NOT_INTERPRETABLE)
        labels.update(rows.loc[scored, "label"].dropna())
    return sorted(labels)


def read_judged_model(files: Mapping[str, Path]) -> Judged:
    """judged_model from the files of a model's vocabulary, and from `label_embeddings`, a table of labels."""
    labels = pq.ParquetFile(files["label_embeddings"]).read()
    label_embeddings = {
        label: np.asarray(embedding.values, dtype=np.float32)
        for label, embedding in zip(labels["label"].to_pylist(), labels["embedding"], strict=True)
    }
    with safe_open(files["embeddings"], framework="numpy") as file:
        embeddings = file.get_tensor("embeddings")
    features = load_features(files["features"], files["classes"])
    return judged_model(read_token_texts(files["tokens"]), features, embeddings, label_embeddings)


def score_table(labels_file: Path, lists_file: Path, judged: Judged, seed: int) -> list[dict[str, Any]]:
    """Scores of the labels in a file, of singular directions, and where it has them of random unit directions.

    For `lists_file` see rows_to_score.
    """
    labels = pq.ParquetFile(labels_file).read().to_pandas()
    singular, controls = labels[labels["control"].isna()], labels[labels["control"] == RANDOM_UNIT]
    rows = rows_to_score(singular, lists_file, judged.vocabulary.texts)
    return [*scores_of_rows(rows, judged, seed), *scores_of_controls(controls, singular)]


def judged_model(
    texts: list[str],
    features: TokenFeatures,
    embeddings: Float[np.ndarray, "d_vocab d"],
    label_embeddings: Mapping[str, Float[np.ndarray, " d"]],
) -> Judged:
    """For the model whose tokens have these texts, features and embeddings; labels are embedded by the same network.

    Tokens and labels are centred on the mean of the vocabulary. Classes judge labels that are their names, embeddings
    all others.
    """
    mean = embeddings.mean(axis=0)
    vectors = token_vectors(embeddings, mean, np.ones(len(texts)))
    stacked = np.array(list(label_embeddings.values()), np.float32).reshape(len(label_embeddings), embeddings.shape[1])
    label_vectors = dict(zip(label_embeddings, token_vectors(stacked, mean, np.ones(len(stacked))), strict=True))
    judge = ClassJudge(features.classes, EmbeddingJudge(vectors, label_vectors, texts))
    return Judged(Vocabulary(texts, features.classes.groups, features.log_ranks), vectors, judge)


def rows_to_score(labels: pd.DataFrame, lists_file: Path, texts: list[str]) -> pd.DataFrame:
    """Columns ROW, token_ids, label and evidence of all lists in `lists_file`, labelled or not.

    `labels` are rows of a labels table. The file is a table of tokens, or, where it ends on .jsonl, a labeller's own
    lists, whose tokens are found by their texts; then there is a row for each of the labels, without tokens where the
    list is not known. Lists of null space are left out. Lists of frequent and of glitch tokens have no label here.
    """
    labels = labels[[*ROW, "label", "kind", "evidence"]].copy()
    labels.loc[labels["kind"].isin(NOT_INTERPRETABLE), "label"] = None
    if lists_file.suffix == ".jsonl":
        lists = read_lists(lists_file)
        ids_of_list = dict(zip((given.id for given in lists), find_tokens(lists, texts), strict=True))
        ids = (f"L{layer}_I{index}" for layer, index in zip(labels["layer"], labels["index"], strict=True))
        return labels.assign(token_ids=pd.Series([ids_of_list.get(id, []) for id in ids], index=labels.index))
    singular = pc.field("control").is_null() & ~pc.field("null_space")
    tokens = pq.read_table(lists_file, columns=[*ROW, "token_ids"], filters=singular, partitioning=None).to_pandas()
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


def scores_of_controls(controls: pd.DataFrame, labels: pd.DataFrame) -> list[dict[str, Any]]:
    """False positives of a labeller on a control, for each read-out, beside where it cuts the `labels` of singular
    directions through the same read-out."""
    return [
        {
            "readout": readout,
            "side": "all",
            **false_positives(part, cut_p(counted_rows(labels[labels["readout"] == readout])))._asdict(),
        }
        for readout, part in controls.groupby("readout", sort=False, observed=True)
    ]
