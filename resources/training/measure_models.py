"""Measure what the bundled models learned: `python resources/training/measure_models.py`.

Mean coherence (svdlens.coherence: MiniLM, mean cosine within the first 15 distinct tokens, mean of the vocabulary
taken out) of the first 40 directions of MLP-out and the first 8 of each OV head on the write side, both signs, raw
weights, read through W_U; against 1,000 random unit directions through the same W_U, and against the same network
before training through its own W_U. Writes coherence.csv, sampled_directions.csv and, with both as tables,
measured.md into resources/models/.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer
from train_models import MODELS, SEED, initial_model, save_model
from train_tokenizer import save_tokenizer

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from svdlens.coherence import centred, coherence, first_distinct, token_groups
from svdlens.decompose import decompose_layer
from svdlens.embedding import embed_texts
from svdlens.readout import random_unit_directions, top_tokens
from svdlens.settings import Setting
from svdlens.threads import single_threaded_pool
from svdlens.vocabulary import read_vocabulary
from svdlens.weights import WeightFile, extract_weights, unembed

MODELS_DIRECTORY = Path(__file__).parents[1] / "models"
DIRECTIONS = {"mlp_out": 40, "ov": 8}
RANDOM_DIRECTIONS = 1000
SAMPLED = 10


def weight_files(model: Path, scratch: Path) -> dict[str, WeightFile]:
    outputs = {group: scratch / f"{group}.safetensors" for group in ("attention", "mlp", "unembed")}
    extract_weights(model, outputs)
    return {group: WeightFile(path) for group, path in outputs.items()}


def rows_of(files: dict[str, WeightFile], matrix: str) -> tuple[torch.Tensor, pd.DataFrame]:
    """Directions [n, d_model] on the write side, and which they are."""
    group = files["attention" if matrix == "ov" else "mlp"]
    directions, places = [], []
    with single_threaded_pool(2) as pool:
        for layer in range(group.layers):
            for head, one in enumerate(decompose_layer(group, matrix, layer, Setting(), DIRECTIONS[matrix], pool)):
                directions.append(one.right)
                places += [(matrix, layer, head if matrix == "ov" else -1, index) for index in range(len(one.right))]
    return torch.cat(directions), pd.DataFrame(places, columns=["matrix", "layer", "head", "index"])


def measure(model: Path, texts: list[str], embeddings: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coherence of every row, by matrix, layer, head, index and sign, with its tokens; and of the random directions."""
    groups = token_groups(texts)
    with tempfile.TemporaryDirectory() as scratch:
        files = weight_files(model, Path(scratch))
        W_U = unembed(files["unembed"], Setting())
        sets = [rows_of(files, matrix) for matrix in ("mlp_out", "ov")]
    random = random_unit_directions(RANDOM_DIRECTIONS, len(W_U), SEED)
    nowhere = pd.DataFrame({"matrix": "random", "layer": -1, "head": -1, "index": range(RANDOM_DIRECTIONS)})
    tables = []
    for directions, places in [*sets, (random, nowhere)]:
        for sign, found in top_tokens(directions, W_U, 50).items():
            lists = first_distinct(found.ids, groups)
            tokens = [" ".join(texts[id].strip() for id in ids[used]) for ids, used in zip(*lists, strict=True)]
            scores = coherence(lists, embeddings)
            tables.append(places.assign(sign=sign, coherence=scores, tokens=tokens))
    table = pd.concat(tables, ignore_index=True)
    return table[table["matrix"] != "random"], table[table["matrix"] == "random"]


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
    facts, samples = [], []
    for name in MODELS:
        directory = MODELS_DIRECTORY / name
        texts = read_vocabulary(directory)
        if not samples:  # one tokenizer for all three
            embeddings = centred(embed_texts(texts, threads=2))
        rows, random = measure(directory, texts, embeddings)
        with tempfile.TemporaryDirectory() as scratch:
            save_model(initial_model(name, len(texts)), Path(scratch))
            save_tokenizer(Tokenizer.from_file(str(directory / "tokenizer.json")), Path(scratch), 128)
            before, _ = measure(Path(scratch), texts, embeddings)
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
