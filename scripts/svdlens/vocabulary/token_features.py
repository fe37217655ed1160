"""What is known of the tokens of a vocabulary before any list of them is seen: made once, kept in three files.

features.parquet         per token: group, is_word, log_rank, classes
classes.parquet          name and kind of each class
embeddings.safetensors   sentence embeddings of tokens, and of the names of classes
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse
from jaxtyping import Float
from safetensors import safe_open
from safetensors.numpy import save_file

from svdlens.artefacts.atomic_files import atomic_path, sha256_of
from svdlens.artefacts.metadata import metadata_of
from svdlens.artefacts.provenance import arrays_metadata
from svdlens.artefacts.table_schemas import CLASSES, TOKEN_FEATURES, read_metadata, write_table
from svdlens.vocabulary.list_similarity import UNKNOWN_WEIGHT, token_vectors
from svdlens.vocabulary.token_classes import TokenClasses


class TokenFeatures(NamedTuple):
    """classes, and log_ranks [d_vocab], the natural logarithm of frequency ranks (token_frequency.py), which rest on
    `token_frequency`."""

    classes: TokenClasses
    log_ranks: Float[np.ndarray, " d_vocab"]
    token_frequency: str


class KnownVocabulary(NamedTuple):
    """texts, vectors [d_vocab, d] (list_similarity.token_vectors), classes and log_ranks [d_vocab] of tokens,
    name_vectors [n_classes, d] of the names of classes, and facts: whose embeddings these are, and what the ranks rest
    on."""

    texts: list[str]
    vectors: Float[np.ndarray, "d_vocab d"]
    classes: TokenClasses
    name_vectors: Float[np.ndarray, "n_classes d"]
    log_ranks: Float[np.ndarray, " d_vocab"]
    facts: dict[str, str]


def save_features(
    features_file: Path,
    classes_file: Path,
    features: TokenFeatures,
    token_counts: Path | None = None,
    facts: Mapping[str, object] = {},
) -> None:
    """Write features.parquet and classes.parquet; the metadata have the sha256 of the file of `token_counts` that the
    configuration names, and further `facts`. Raises SvdlensError where that cannot be done."""
    classes = features.classes
    facts = {**facts, "token_frequency": features.token_frequency}
    if token_counts:
        facts["token_counts_sha256"] = sha256_of(token_counts)
    membership = pa.ListArray.from_arrays(
        pa.array(classes.membership.indptr, pa.int32()), pa.array(classes.membership.indices, pa.int32())
    )
    columns = {
        "id": np.arange(len(classes.groups)),
        "group": classes.groups,
        "is_word": classes.is_word,
        "log_rank": features.log_ranks,
        "classes": membership,
    }
    write_table(features_file, columns, TOKEN_FEATURES, facts)
    write_table(classes_file, {"name": classes.names, "kind": classes.kinds}, CLASSES, facts)


def load_features(features_file: Path, classes_file: Path) -> TokenFeatures:
    """What save_features wrote."""
    table = pq.ParquetFile(features_file).read().combine_chunks()
    names = pq.ParquetFile(classes_file).read().to_pydict()
    lists = table["classes"].chunk(0) if len(table) else pa.array([], pa.list_(pa.int32()))
    indices, starts = lists.flatten().to_numpy(), lists.offsets.to_numpy()
    membership = scipy.sparse.csr_matrix(
        (np.ones(len(indices), np.float32), indices, starts), shape=(len(table), len(names["name"]))
    )
    groups, is_word = table["group"].to_numpy(), table["is_word"].to_numpy()
    classes = TokenClasses(names["name"], names["kind"], membership, groups, is_word)
    return TokenFeatures(classes, table["log_rank"].to_numpy(), str(read_metadata(features_file)["token_frequency"]))


def save_embeddings(
    path: Path,
    embeddings: Float[np.ndarray, "d_vocab d"],
    name_embeddings: Float[np.ndarray, "n_classes d"],
    facts: Mapping[str, str],
) -> None:
    """Write embeddings.safetensors: of tokens and of names of classes, with `facts`: minilm_sha256 of the network."""
    arrays = {"embeddings": embeddings, "name_embeddings": name_embeddings}
    with atomic_path(path) as temporary:
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(contiguous, temporary, metadata_of(facts))


def load_vocabulary(embeddings_file: Path, features: TokenFeatures, texts: list[str]) -> KnownVocabulary:
    """The vocabulary with these `texts` and `features`, and embeddings as save_embeddings wrote them."""
    with safe_open(embeddings_file, framework="numpy") as file:
        embeddings, name_embeddings = (file.get_tensor(name) for name in ("embeddings", "name_embeddings"))
    facts = {"minilm_sha256": arrays_metadata(embeddings_file)["minilm_sha256"]}
    classes = features.classes
    mean = embeddings.mean(axis=0)
    return KnownVocabulary(
        texts,
        token_vectors(embeddings, mean, np.where(classes.is_word, 1.0, UNKNOWN_WEIGHT)),
        classes,
        token_vectors(name_embeddings, mean, np.ones(len(classes.names))),
        features.log_ranks,
        {**facts, "token_frequency": features.token_frequency},
    )
