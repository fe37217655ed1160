"""Rows of the table of scores: the tests of label_tests.py on whole labels tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float
from safetensors import safe_open

from svdlens.errors import SvdlensError
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
from svdlens.vocabulary.word_forms import text_key

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


def parts_of(label: str) -> list[str]:
    """A label of several names ("fire / flame / ash") in parts, which are embedded each by itself."""
    return label.split(" / ")


def texts_to_embed(labels: Iterable[str], token_texts: Iterable[str]) -> list[str]:
    """The keys of the parts of labels, each once, in alphabetical order, without those of tokens: these are embedded
    already, and most labels of a sweep are made of them."""
    parts = {text_key(part) for label in labels for part in parts_of(label)}
    return sorted(parts - set(map(text_key, token_texts)))


def read_judged_model(files: Mapping[str, Path], labels: Sequence[str]) -> Judged:
    """judged_model from the files of a model's vocabulary, and from `label_embeddings`, a table of texts."""
    table = pq.ParquetFile(files["label_embeddings"]).read()
    further = {
        text: np.asarray(embedding.values, dtype=np.float32)
        for text, embedding in zip(table["text"].to_pylist(), table["embedding"], strict=True)
    }
    with safe_open(files["embeddings"], framework="numpy") as file:
        embeddings = file.get_tensor("embeddings")
    features = load_features(files["features"], files["classes"])
    return judged_model(read_token_texts(files["tokens"]), features, embeddings, labels, further)


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
    labels: Sequence[str],
    further: Mapping[str, Float[np.ndarray, " d"]],
) -> Judged:
    """For the model whose tokens have these texts, features and embeddings, and for these distinct labels.

    A label has the mean embedding of its parts (parts_of): that of a token with this text, or that of the text in
    `further`, by the same network. Tokens and labels are centred on the mean of the vocabulary. Classes judge labels
    that are their names, embeddings all others. Raises SvdlensError for a part without an embedding.
    """
    mean = embeddings.mean(axis=0)
    vectors = token_vectors(embeddings, mean, np.ones(len(texts)))
    of_labels = mean_embeddings_of_parts(labels, texts, embeddings, further)
    label_vectors = dict(zip(labels, token_vectors(of_labels, mean, np.ones(len(labels))), strict=True))
    judge = ClassJudge(features.classes, EmbeddingJudge(vectors, label_vectors, texts))
    return Judged(Vocabulary(texts, features.classes.groups, features.log_ranks), vectors, judge)


def mean_embeddings_of_parts(
    labels: Sequence[str],
    texts: Sequence[str],
    embeddings: Float[np.ndarray, "d_vocab d"],
    further: Mapping[str, Float[np.ndarray, " d"]],
) -> Float[np.ndarray, "labels d"]:
    """See judged_model; float32."""
    row_of_text = {text_key(text): row for row, text in enumerate([*texts, *further])}
    all_embeddings = np.concatenate([embeddings, *(vector[None] for vector in further.values())])
    means = np.empty((len(labels), embeddings.shape[1]), np.float32)
    for number, label in enumerate(labels):
        try:
            rows = [row_of_text[text_key(part)] for part in parts_of(label)]
        except KeyError as error:
            raise SvdlensError(
                f"{error} in the label {label!r} has no embedding. Embed every label that is to be scored."
            ) from None
        means[number] = all_embeddings[rows].mean(axis=0)
    return means


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
