"""A made-up vocabulary, of which everything is known: clusters in embedding space, and classes of tokens.

Tokens are numbered cluster by cluster. Every second cluster has a concept of its name; the others have their
embeddings alone. Forms, frequent, rare and glitch tokens go across all clusters. The last clusters are no words.
"""

from pathlib import Path

import numpy as np
import scipy.sparse

from svdlens.models.token_table import write_token_texts
from svdlens.vocabulary.token_classes import TokenClasses
from svdlens.vocabulary.token_features import KnownVocabulary, TokenFeatures, save_embeddings, save_features

CLUSTERS, PER_CLUSTER, WIDTH = 40, 30, 64
N_TOKENS = CLUSTERS * PER_CLUSTER
FORMS = 10
FREQUENT, RARE, GLITCHES = 40, 24, 20
NO_WORDS = range(36, 40)  # clusters


def tiny_vocabulary(seed: int = 0, no_classes: bool = False) -> KnownVocabulary:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((CLUSTERS, WIDTH))
    spread = rng.standard_normal((CLUSTERS, PER_CLUSTER, WIDTH))
    log_ranks = np.log(1 + rng.permutation(N_TOKENS))
    by_rank = np.argsort(log_ranks)
    cluster, member = np.divmod(np.arange(N_TOKENS), PER_CLUSTER)
    members = {
        **{("semantic", f"concept {one}"): np.flatnonzero(cluster == one) for one in range(0, CLUSTERS, 2)},
        **{("grammatical", f"form {one}"): np.flatnonzero(member % FORMS == one) for one in range(0, FORMS, 2)},
        **{("orthographic", f"form {one}"): np.flatnonzero(member % FORMS == one) for one in range(1, FORMS, 2)},
        ("frequency", "frequent tokens"): np.sort(by_rank[:FREQUENT]),
        ("frequency", "rare tokens"): np.sort(by_rank[-RARE:]),
        ("glitch", "glitches"): np.sort(rng.permutation(N_TOKENS)[:GLITCHES]),
    }
    if no_classes:
        members = {}
    membership = np.zeros((N_TOKENS, len(members)), np.float32)
    for column, ids in enumerate(members.values()):
        membership[ids, column] = 1
    classes = TokenClasses(
        [name for _, name in members],
        [kind for kind, _ in members],
        scipy.sparse.csr_matrix(membership),
        np.arange(N_TOKENS),
        ~np.isin(cluster, NO_WORDS),
    )
    name_vectors = np.zeros((len(members), WIDTH), np.float32)
    for column, (kind, name) in enumerate(members):
        if kind == "semantic":
            name_vectors[column] = unit(centres[int(name.split()[1])])
    vectors = unit((centres[:, None] + 0.7 * spread).reshape(-1, WIDTH)).astype(np.float32)
    texts = [f" word{number}" for number in range(N_TOKENS)]
    facts = {"minilm_sha256": "00ff", "token_frequency": "made up"}
    return KnownVocabulary(texts, vectors, classes, name_vectors, log_ranks, facts)


def features_of(vocabulary: KnownVocabulary) -> TokenFeatures:
    return TokenFeatures(vocabulary.classes, vocabulary.log_ranks, vocabulary.facts["token_frequency"])


def write_vocabulary(
    directory: Path, vocabulary: KnownVocabulary, embeddings: np.ndarray, name_embeddings: np.ndarray
) -> dict[str, Path]:
    """The files of results/vocabulary/{model}, by the names that rules and labellers have for them."""
    files = {name: directory / f"{name}.parquet" for name in ("tokens", "features", "classes")}
    files["embeddings"] = directory / "embeddings.safetensors"
    write_token_texts(files["tokens"], vocabulary.texts, {"code": "0"})
    save_features(files["features"], files["classes"], features_of(vocabulary))
    save_embeddings(files["embeddings"], embeddings, name_embeddings, vocabulary.facts)
    return files


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def tokens_of(vocabulary: KnownVocabulary, name: str) -> np.ndarray:
    """Ids of the tokens in a class."""
    column = vocabulary.classes.names.index(name)
    return np.flatnonzero(vocabulary.classes.membership[:, [column]].toarray().ravel())


def random_lists(n: int, seed: int, length: int = 50) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(N_TOKENS)[:length] for _ in range(n)])


def clustered_lists(n: int, members: int, seed: int, clusters: range = range(CLUSTERS)) -> np.ndarray:
    """Lists of which the first tokens are `members` of one cluster."""
    rng = np.random.default_rng(seed)
    lists = random_lists(n, seed)
    for row in lists:
        cluster = rng.choice(clusters)
        planted = cluster * PER_CLUSTER + rng.permutation(PER_CLUSTER)[:members]
        rest = np.setdiff1d(row, planted, assume_unique=True)
        row[:] = np.append(planted, rng.permutation(rest)[: len(row) - members])
    return lists
