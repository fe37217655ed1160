"""What is known of the tokens of a vocabulary before any list of them is seen: made once, kept in two files."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse
from jaxtyping import Float
from safetensors import safe_open
from safetensors.numpy import save_file

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.artefacts.table_schemas import with_metadata
from svdlens.vocabulary.list_similarity import UNKNOWN_WEIGHT, token_vectors
from svdlens.vocabulary.token_classes import TokenClasses


class KnownVocabulary(NamedTuple):
    """Of tokens: texts, vectors [d_vocab, d] (list_similarity.token_vectors), classes and log_ranks [d_vocab]. Of names
    of classes: name_vectors [n_classes, d]. facts: whose embeddings these are, and what the ranks rest on."""

    texts: list[str]
    vectors: Float[np.ndarray, "d_vocab d"]
    classes: TokenClasses
    name_vectors: Float[np.ndarray, "n_classes d"]
    log_ranks: Float[np.ndarray, " d_vocab"]
    facts: dict[str, str]


def save_vocabulary(
    embeddings_file: Path,
    classes_file: Path,
    embeddings: Float[np.ndarray, "d_vocab d"],
    name_embeddings: Float[np.ndarray, "n_classes d"],
    classes: TokenClasses,
    log_ranks: Float[np.ndarray, " d_vocab"],
    facts: dict[str, str],
) -> None:
    """Embeddings and classes of tokens to a safetensors file, names of classes to a parquet file.

    `log_ranks` as token_frequency.log_ranks has them; `facts` go into the metadata of both.
    """
    text = json.dumps(facts, sort_keys=True)
    arrays = {
        "embeddings": embeddings,
        "name_embeddings": name_embeddings,
        "groups": classes.groups,
        "is_word": classes.is_word,
        "log_ranks": log_ranks,
        "class_starts": classes.membership.indptr.astype(np.int64),
        "class_of_token": classes.membership.indices.astype(np.int32),
    }
    with atomic_path(embeddings_file) as temporary:
        # One key: safetensors writes several in no fixed order.
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, {"facts": text})
    table = pa.table({"name": classes.names, "kind": pa.array(classes.kinds).dictionary_encode()})
    with atomic_path(classes_file) as temporary:
        pq.write_table(with_metadata(table, dict(facts)), temporary, compression="zstd")


def load_vocabulary(embeddings_file: Path, classes_file: Path, texts: list[str]) -> KnownVocabulary:
    """The vocabulary with these texts (by id), as save_vocabulary wrote it."""
    names = pq.ParquetFile(classes_file).read().to_pydict()
    with safe_open(embeddings_file, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        facts = json.loads(file.metadata()["facts"])
    indices, starts = arrays["class_of_token"], arrays["class_starts"]
    shape = len(texts), len(names["name"])
    membership = scipy.sparse.csr_matrix((np.ones(len(indices), np.float32), indices, starts), shape=shape)
    classes = TokenClasses(names["name"], names["kind"], membership, arrays["groups"], arrays["is_word"])
    mean = arrays["embeddings"].mean(axis=0)
    return KnownVocabulary(
        texts,
        token_vectors(arrays["embeddings"], mean, np.where(classes.is_word, 1.0, UNKNOWN_WEIGHT)),
        classes,
        token_vectors(arrays["name_embeddings"], mean, np.ones(len(names["name"]))),
        arrays["log_ranks"],
        facts,
    )
