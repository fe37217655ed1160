"""Measure what the bundled models learned: `python resources/training/measure_models.py`.

Mean coherence (mean cosine of MiniLM embeddings within the first 15 distinct tokens, mean of the vocabulary taken out)
of the first 40 directions of MLP-out and the first 8 of each OV head on the write side, both signs, raw weights, read
through W_U; against 1,000 random unit directions through the same W_U, and against the same network before training
through its own W_U. Tokens are distinct up to case and surrounding spaces. Writes coherence.csv,
sampled_directions.csv and, with both as tables, measured.md into resources/models/.

The labeller scores lists otherwise (svdlens.labels.coherence). This statistic is defined here, so that models that were
measured at different times can be compared.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from tokenizers import Tokenizer
from train_models import MODELS, SEED, initial_model, save_model
from train_tokenizer import save_tokenizer

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from svdlens.models.token_texts import read_vocabulary
from svdlens.readout.control_directions import random_unit_directions
from svdlens.readout.readout_matrix import readout_matrix
from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.svd.matrix_svd import decompose, fix_signs
from svdlens.vocabulary.sentence_embedding import embed_texts
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile

MODELS_DIRECTORY = Path(__file__).parents[1] / "models"
DIRECTIONS = {"mlp_out": 40, "ov": 8}
RANDOM_DIRECTIONS = 1000
TOKENS_READ = 50  # enough that 15 of them are distinct
LIST_LENGTH = 15
SAMPLED = 10


def centred(embeddings: Float[np.ndarray, "d_vocab d"]) -> Float[np.ndarray, "d_vocab d"]:
    """Embeddings with their mean taken out, normalised. What is left with nothing is zero."""
    moved = embeddings - embeddings.mean(axis=0)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > 1e-6)


def token_groups(texts: list[str]) -> Int[np.ndarray, " d_vocab"]:
    """A number for each token id, which tokens share that differ in case or surrounding spaces alone."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text.strip().lower(), len(numbers)) for text in texts])


def first_distinct(ids: Int[np.ndarray, " k"], groups: Int[np.ndarray, " d_vocab"]) -> Int[np.ndarray, " m"]:
    """The first LIST_LENGTH tokens of a list, or as many as it has, without those of which a variant came before."""
    _, first = np.unique(groups[ids], return_index=True)
    return ids[np.sort(first)[:LIST_LENGTH]]


def mean_cosine(vectors: Float[np.ndarray, "m d"]) -> float:
    """Mean cosine over all pairs of vectors of length 1 (or 0, whose cosines count as 0); NaN for fewer than two."""
    n = len(vectors)
    if n < 2:
        return float("nan")
    vectors = vectors.astype(np.float64)
    # The square of the sum has every pair twice, and each vector with itself.
    return float((np.square(vectors.sum(axis=0)).sum() - np.square(vectors).sum()) / (n * (n - 1)))


def weight_files(model: Path, scratch: Path) -> dict[str, WeightFile]:
    outputs = {group: scratch / f"{group}.safetensors" for group in GROUPS}
    extract_weights(model, outputs)
    return {group: WeightFile(path) for group, path in outputs.items()}


def rows_of(files: dict[str, WeightFile], matrix: str) -> tuple[Float[torch.Tensor, "n d_model"], pd.DataFrame]:
    """Directions on the write side, and which they are: matrix, layer, head (-1: an MLP), index."""
    group = files["attention" if MATRIX_KINDS[matrix].per_head else "mlp"]
    directions, places = [], []
    for layer in range(group.layers):
        parts = factors(group, matrix, layer, Setting())
        matrices = list(zip(*parts, strict=True)) if MATRIX_KINDS[matrix].per_head else [parts]
        for head, one in enumerate(matrices):
            right = fix_signs(decompose(list(one), DIRECTIONS[matrix]), matrix).right
            directions.append(right)
            places += [
                (matrix, layer, head if MATRIX_KINDS[matrix].per_head else -1, index) for index in range(len(right))
            ]
    return torch.cat(directions), pd.DataFrame(places, columns=["matrix", "layer", "head", "index"])


def measure(
    files: dict[str, WeightFile], texts: list[str], embeddings: Float[np.ndarray, "d_vocab d"]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coherence of every row, by matrix, layer, head, index and sign, with its tokens; and of the random directions.

    `files` has weights by GROUPS; `texts` and `embeddings` (centred) are by token id.
    """
    groups = token_groups(texts)
    W_U = readout_matrix(files["unembed"], Setting(), "W_U")
    sets = [rows_of(files, matrix) for matrix in DIRECTIONS]
    random = random_unit_directions(RANDOM_DIRECTIONS, len(W_U), np.random.default_rng(SEED))
    nowhere = pd.DataFrame({"matrix": "random", "layer": -1, "head": -1, "index": range(RANDOM_DIRECTIONS)})
    readout = ReadoutMatrix(W_U)
    tables = []
    for directions, places in [*sets, (random, nowhere)]:
        for sign, found in top_tokens(directions, readout, TOKENS_READ).items():
            lists = [first_distinct(ids, groups) for ids in found.ids]
            tokens = [" ".join(texts[id].strip() for id in ids) for ids in lists]
            scores = [mean_cosine(embeddings[ids]) for ids in lists]
            tables.append(places.assign(sign=sign, coherence=scores, tokens=tokens))
    table = pd.concat(tables, ignore_index=True)
    return table[table["matrix"] != "random"], table[table["matrix"] == "random"]


def measure_model(
    model: Path, texts: list[str], embeddings: Float[np.ndarray, "d_vocab d"]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`measure` of a model's directory."""
    with tempfile.TemporaryDirectory() as scratch:
        return measure(weight_files(model, Path(scratch)), texts, embeddings)


def mean_and_interval(values: pd.Series) -> tuple[float, float, float]:
    """Mean with a normal 95 % interval. The two signs of a direction are nearly independent rows."""
    error = 1.96 * values.std(ddof=1) / np.sqrt(values.count())
    return values.mean(), values.mean() - error, values.mean() + error


def summary(name: str, rows: pd.DataFrame, random: pd.DataFrame, before: pd.DataFrame) -> list[dict[str, object]]:
    limit = random["coherence"].quantile(0.95)
    facts = []
    groups = [("random unit directions", random)]
    groups += [(f"{matrix}, block {layer}", part) for (matrix, layer), part in rows.groupby(["matrix", "layer"])]
    groups += [(f"{matrix}, all blocks", part) for matrix, part in rows.groupby("matrix")]
    groups += [(f"{matrix}, all blocks, before training", part) for matrix, part in before.groupby("matrix")]
    random_mean = mean_and_interval(random["coherence"])
    for label, part in groups:
        mean, low, high = mean_and_interval(part["coherence"])
        # Standard errors of the difference from the random directions.
        error = np.hypot((high - low) / 3.92, (random_mean[2] - random_mean[1]) / 3.92)
        facts.append(
            {
                "model": name,
                "rows": label,
                "n": len(part),
                "coherence": mean,
                "low": low,
                "high": high,
                "standard_errors_above_random": (mean - random_mean[0]) / error,
                "beyond_random_95": (part["coherence"] > limit).mean(),
            }
        )
    return facts


def main() -> None:
    torch.set_num_threads(1)  # on which the last bits of LAPACK depend
    facts, samples = [], []
    for name in MODELS:
        directory = MODELS_DIRECTORY / name
        texts = read_vocabulary(directory)
        if not samples:  # one tokenizer for all three
            embeddings = centred(embed_texts(texts, threads=1))
        rows, random = measure_model(directory, texts, embeddings)
        with tempfile.TemporaryDirectory() as scratch:
            save_model(initial_model(name, len(texts)), Path(scratch))
            save_tokenizer(Tokenizer.from_file(str(directory / "tokenizer.json")), Path(scratch), 128)
            before, _ = measure_model(Path(scratch), texts, embeddings)
        facts += summary(name, rows, random, before)
        samples.append(rows.sample(SAMPLED, random_state=SEED).assign(model=name))
    table = pd.DataFrame(facts).round(4)
    table.to_csv(MODELS_DIRECTORY / "coherence.csv", index=False)
    sampled = pd.concat(samples)[["model", "matrix", "layer", "head", "index", "sign", "coherence", "tokens"]].round(3)
    sampled.to_csv(MODELS_DIRECTORY / "sampled_directions.csv", index=False)
    training = pd.DataFrame(
        {name: json.loads((MODELS_DIRECTORY / name / "training.json").read_text()) for name in MODELS}
    )
    lines = [
        "# What the bundled models learned",
        "",
        "Written by `resources/training/measure_models.py`; its docstring says what is measured.",
        "",
        "## Training",
        "",
        training.to_markdown(disable_numparse=True),
        "",
        "Loss curves: `loss.csv` of each model.",
        "",
        "## Coherence of singular directions",
        "",
        "Means with 95 % intervals over rows (a direction with one sign). `beyond_random_95`: share of rows above the",
        "95 % quantile of the random directions of the same model.",
        "",
        table.to_markdown(index=False),
        "",
        "## Ten rows of each model",
        "",
        f"Drawn at random (seed {SEED}) from all rows measured above, not chosen. Head -1: an MLP.",
        "",
        sampled.to_markdown(index=False),
    ]
    (MODELS_DIRECTORY / "measured.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
