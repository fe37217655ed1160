"""How frequent each token of a vocabulary is: known from counts, or guessed from the unembedding or the tokenizer.

The rank is a covariate of labels (docs/labels.md): lists of frequent and of rare tokens look alike for no reason of
meaning.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int, Shaped
from safetensors import safe_open

from svdlens.errors import SvdlensError
from svdlens.models.safetensors_files import read_json
from svdlens.models.token_texts import BYTE_PIECE

COUNTS = "counts"
UNEMBEDDING = "proxy: cosine with the mean of the unembedding"
MERGE_ORDER = "proxy: BPE merge order"
TOKEN_ID = "proxy: token id"


def log_ranks(
    directory: Path, d_vocab: int, token_counts: Path | None = None, weights: Path | None = None
) -> tuple[Float[np.ndarray, " d_vocab"], str]:
    """Natural logarithm of the frequency rank of each token id (1 = most frequent, ties share their mean rank), and
    what the rank rests on:

        counts                    token_counts, or else token_counts.parquet in the directory (columns id, count)
        proxy: cosine with the    weights (the file `unembed` of weights/extraction.py), where they have one matrix for
        mean of the unembedding   embedding and unembedding; see cosines_with_mean
        proxy: BPE merge order    merges.txt and vocab.json, or tokenizer.json: single bytes first, then what the
                                  merges make, in their order, last what neither explains (special tokens, unused ids)
        proxy: token id           any other tokenizer

    A merge is made early because its pair was frequent, so that the order stands in for counts that are not there; but
    of pieces that longer tokens have swallowed since it says nothing, and of single bytes neither. How good each is:
    benchmarks/token_frequency.py.
    Raises SvdlensError for counts that are not one number of at least 0 for each id, and for a damaged tokenizer.
    """
    counts = token_counts or directory / "token_counts.parquet"
    if token_counts or counts.exists():
        return log_rank(-read_counts(counts, d_vocab)), COUNTS
    unembedding = tied_unembedding(weights) if weights else None
    if unembedding is not None:
        return log_rank(cosines_with_mean(unembedding)), UNEMBEDDING
    vocabulary, merges, prefix = read_merges(directory)
    if merges:
        return log_rank(merge_order(vocabulary, merges, prefix, d_vocab, directory)), MERGE_ORDER
    return log_rank(np.arange(d_vocab)), TOKEN_ID


def tied_unembedding(weights: Path) -> Float[np.ndarray, "d_vocab d_model"] | None:
    """The unembedding in a file of weights, a row for each token, where the embedding is the same; else None.

    Of one that is not the same the mean says nothing for certain: the gradients of a softmax add up to 0 over the
    vocabulary, so that plain gradient descent leaves the mean where it was drawn.
    """
    with safe_open(weights, framework="numpy") as file:
        if "unembed.W_U" not in file.keys():  # noqa: SIM118
            return None
        unembedding = file.get_tensor("unembed.W_U").T
        tied = np.array_equal(unembedding, file.get_tensor("embed.W_E"))
    return unembedding.astype(np.float64) if tied else None


def cosines_with_mean(vectors: Float[np.ndarray, "d_vocab d_model"]) -> Float[np.ndarray, " d_vocab"]:
    """The cosine of each token's vector with the mean of all: the higher, the rarer the token; 0 for a vector of 0.

    A softmax pushes the vectors of all tokens that do not come next away from the state of the model, and that is all
    that happens to a rare token's. So they share a direction, which most of a vocabulary being rare is that of the
    mean, and frequent tokens stand apart from it (Gao et al. 2019, representation degeneration, section 4).
    """
    mean = vectors.mean(axis=0)
    # Sums in an order of their own: a product of BLAS may differ with the number of threads.
    along, squared = np.einsum("ij,j->i", vectors, mean), np.einsum("ij,ij->i", vectors, vectors)
    lengths = np.sqrt(squared * np.sum(mean**2))
    return np.divide(along, lengths, out=np.zeros_like(along), where=lengths > 0)


def mean_log_rank(
    ids: Int[np.ndarray, "n k"], used: Bool[np.ndarray, "n k"], log_ranks: Float[np.ndarray, " d_vocab"]
) -> Float[np.ndarray, " n"]:
    """Mean log rank of the used tokens of each list; NaN for a list without any. Lower means more frequent."""
    used_ranks = np.where(used, log_ranks[np.where(used, ids, 0)], 0.0)
    n_used = used.sum(axis=1)
    return np.where(n_used > 0, used_ranks.sum(axis=1) / np.maximum(n_used, 1), np.nan)


def log_rank(order: Shaped[np.ndarray, " d_vocab"]) -> Float[np.ndarray, " d_vocab"]:
    """Natural logarithm of the rank of each number, 1 for the smallest, the mean rank for equal ones."""
    _, indices, counts = np.unique(order, return_inverse=True, return_counts=True)
    return np.log((np.cumsum(counts) - (counts - 1) / 2)[indices])


def read_counts(path: Path, d_vocab: int) -> Float[np.ndarray, " d_vocab"]:
    """The count of each token id, from a table with columns id and count.

    Raises SvdlensError for a file that is none, and for counts that are not one number of at least 0 for each id.
    """
    where, again = f"{path.parent.name}/{path.name}", "Count the tokens again, or remove the file to use a proxy."
    try:
        # As a file by itself: names of directories around it are no columns.
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise SvdlensError(f"{where} cannot be read as parquet ({error}). {again}") from error
    missing = [name for name in ("id", "count") if table.column_names.count(name) != 1]
    if missing:
        raise SvdlensError(f"{where} has columns {table.column_names}, but needs one column {missing[0]!r}. {again}")
    id_type, count_type = table.schema.field("id").type, table.schema.field("count").type
    if not pa.types.is_integer(id_type) or not (pa.types.is_integer(count_type) or pa.types.is_floating(count_type)):
        raise SvdlensError(f"{where} has ids of type {id_type} and counts of type {count_type}, not numbers. {again}")
    if table["id"].null_count or table["count"].null_count:
        raise SvdlensError(f"{where} has rows without an id or a count. Give every token a count, 0 if need be.")
    ids, counts = table["id"].to_numpy(), table["count"].to_numpy().astype(np.float64)
    outside = (ids < 0) | (ids >= d_vocab)
    if outside.any():
        raise SvdlensError(
            f"{where} counts the id {ids[outside][0]}, but the ids of this model go from 0 to {d_vocab - 1}. "
            f"It belongs to another tokenizer. {again}"
        )
    ids = ids.astype(np.int64)
    times = np.bincount(ids, minlength=d_vocab)
    if (times > 1).any():
        raise SvdlensError(f"{where} counts the id {np.argmax(times > 1)} more than once. {again}")
    if (times == 0).any():
        raise SvdlensError(
            f"{where} has no count for {np.sum(times == 0)} of the {d_vocab} ids, the first of them "
            f"{np.argmin(times)}. Give every id a row, with count 0 for tokens that never occur."
        )
    invalid = ~(np.isfinite(counts) & (counts >= 0))
    if invalid.any():
        raise SvdlensError(
            f"{where} has the count {counts[invalid][0]} for the id {ids[invalid][0]}, not 0 or more. {again}"
        )
    counts_by_id = np.empty(d_vocab)
    counts_by_id[ids] = counts
    return counts_by_id


def read_merges(directory: Path) -> tuple[Mapping[str, Any], list[tuple[str, str]], str]:
    """Ids by token, pairs in the order in which they are merged, and the prefix of pieces inside a word.

    No pairs where the tokenizer is none of byte pair encoding (Sennrich, Haddow & Birch 2016), or where there is none.
    Raises SvdlensError for a damaged one.
    """
    # merges.txt first: some tokenizer.json were made from it without the merges that begin with #, GPT-2's among them.
    if (directory / "merges.txt").exists() and (directory / "vocab.json").exists():
        where = f"{directory.name}/merges.txt"
        prefix = ""
        vocabulary: Any = read_json(directory / "vocab.json", directory.name)
        try:
            lines = (directory / "merges.txt").read_text(encoding="utf-8-sig").split("\n")
        except (OSError, ValueError) as error:
            raise SvdlensError(f"{where} cannot be read as UTF-8 text ({error}). Fetch or copy it again.") from error
        lines = lines[1:] if lines[0].startswith("#version") else lines
        listed = [line.rstrip("\r") for line in lines if line.strip()]
    elif (directory / "tokenizer.json").exists():
        where = f"{directory.name}/tokenizer.json"
        model = read_json(directory / "tokenizer.json", directory.name).get("model")
        if not isinstance(model, dict) or "merges" not in model:
            return {}, [], ""
        vocabulary, listed, prefix = model.get("vocab"), model["merges"], model.get("continuing_subword_prefix") or ""
        if not isinstance(listed, list):
            raise SvdlensError(f"{where} has merges that are no list. Fetch or copy it again.")
    else:
        return {}, [], ""
    if not isinstance(vocabulary, dict):
        raise SvdlensError(f"{where} has merges, but no ids of tokens. Fetch or copy the tokenizer again.")
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in listed]
    for number, pair in enumerate(pairs, start=1):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
            raise SvdlensError(f"{where}: merge {number} is {pair!r}, not two tokens. Fetch or copy it again.")
    return vocabulary, [(left, right) for left, right in pairs], prefix


def merge_order(
    vocabulary: Mapping[str, Any], merges: list[tuple[str, str]], prefix: str, d_vocab: int, directory: Path
) -> Int[np.ndarray, " d_vocab"]:
    """0 for single bytes and characters, i for what the i-th merge is the first to make, and for the rest one more
    than any merge has.

    Raises SvdlensError for an id that is not one of 0 to d_vocab - 1, and for a merge that makes no token.
    """
    for token, id in vocabulary.items():
        if type(id) is not int or not 0 <= id < d_vocab:
            raise SvdlensError(
                f"{directory.name}: its tokenizer has the id {id!r} for {token!r}, but the ids of this model go from "
                f"0 to {d_vocab - 1}. Put the tokenizer there that was saved with these weights."
            )
    order = np.full(d_vocab, len(merges) + 1)
    for number, (left, right) in reversed(list(enumerate(merges, start=1))):
        merged = left + right.removeprefix(prefix)
        if merged not in vocabulary:
            raise SvdlensError(
                f"{directory.name}: merge {number} of its tokenizer makes {merged!r}, which has no id. "
                f"Fetch or copy the tokenizer again."
            )
        order[vocabulary[merged]] = number
    for token, id in vocabulary.items():
        if len(token.removeprefix(prefix)) == 1 or BYTE_PIECE.fullmatch(token):
            order[id] = 0
    return order
