"""How well frequency ranks can be told without counts (docs/models.md): rank correlation with true frequencies.

    python benchmarks/token_frequency.py [DIRECTORY ...]

Of the bundled models, with how often each token was in their training text. Of other models, directories such as
results/models/smollm2-135m, with the frequencies of English words in wordfreq (Speer 2022), a Python package that
nothing else here needs; these can be compared for tokens that are a lower-case word with a space before it, and that
the list has. Every measure is taken such that a right one goes up with the frequency (Spearman; 1 is perfect).
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from scipy.stats import spearmanr

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.models.token_texts import read_vocabulary  # noqa: E402
from svdlens.report.pages import markdown_table  # noqa: E402
from svdlens.vocabulary.token_frequency import cosines_with_mean, merge_order, read_counts, read_merges  # noqa: E402

BUNDLED = [PROJECT / f"resources/models/wordnet-{layers}layer" for layers in (2, 4, 6)]
EMBEDDINGS = ("wte.weight", "embed_tokens.weight", "word_embeddings.weight")
GAINS = ("ln_f.weight", "model.norm.weight")
BIASES = ("ln_f.bias",)


def tensor(tensors: dict[str, np.ndarray], ends: tuple[str, ...]) -> np.ndarray | None:
    """The tensor whose name ends so, float64; None if there is none."""
    found = [name for name in tensors if name.endswith(ends)]
    return tensors[found[0]].astype(np.float64) if found else None


def measures(directory: Path, d_vocab: int) -> dict[str, np.ndarray]:
    """What may stand in for the frequency of each token, by name: from the tokenizer, and from the embedding, which in
    all of these models is the unembedding as well."""
    tensors = load_file(directory / "model.safetensors")
    vectors = tensor(tensors, EMBEDDINGS)
    assert vectors is not None
    vectors = vectors[:d_vocab]
    gain, bias = tensor(tensors, GAINS), tensor(tensors, BIASES)
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    variances, axes = np.linalg.eigh(centred.T @ centred)
    found = {"token id": -np.arange(d_vocab)}
    vocabulary, merges, prefix = read_merges(directory)
    if merges:
        found["merge order"] = -merge_order(vocabulary, merges, prefix, d_vocab, directory)
    found |= {
        "length of the vector": -np.linalg.norm(vectors, axis=1),
        "length of the centred vector": np.linalg.norm(centred, axis=1),
        "length of the whitened vector": np.linalg.norm(centred @ (axes / np.sqrt(variances)), axis=1),
        "projection on the mean": -(vectors @ mean),
        "cosine with the mean": -cosines_with_mean(vectors),
        # Which of its ends is which only the mean can tell.
        "first principal component": -(centred @ axes[:, -1]) * np.sign(axes[:, -1] @ mean),
    }
    if gain is not None:
        found["length of the vector, after the final gain"] = -np.linalg.norm(vectors * gain, axis=1)
        found["cosine with the mean, after the final gain"] = -cosines_with_mean(vectors * gain)
    if bias is not None:
        found["logit of the final norm's bias"] = vectors @ bias
    return found


def word_frequencies(directory: Path) -> np.ndarray:
    """The frequency of each token that is a word of English (see above); NaN for all others."""
    from wordfreq import get_frequency_dict

    frequencies = get_frequency_dict("en", "large")
    tokens = read_vocabulary(directory)
    pieces = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))["model"]["type"] == "WordPiece"
    starts = "" if pieces else " "
    words = [token.removeprefix(starts) if token.startswith(starts) else "" for token in tokens]
    plain = [word if word.isascii() and word.isalpha() and word.islower() else "" for word in words]
    return np.array([frequencies.get(word, np.nan) for word in plain])


def correlations(directory: Path, frequencies: np.ndarray) -> pd.Series:
    """Spearman's correlation of each measure with the frequencies that are known."""
    known = ~np.isnan(frequencies)
    found = {
        name: spearmanr(values[known], frequencies[known]).statistic
        for name, values in measures(directory, len(frequencies)).items()
    }
    return pd.Series(found, name=f"{directory.name} ({known.sum()} tokens)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="*", type=Path, help="directories of other models")
    columns = []
    for directory in BUNDLED:
        counts = read_counts(directory / "token_counts.parquet", len(read_vocabulary(directory)))
        columns.append(correlations(directory, counts))
    columns += [correlations(directory, word_frequencies(directory)) for directory in parser.parse_args().directories]
    table = pd.concat(columns, axis=1)
    shown = table.map(lambda value: "" if pd.isna(value) else f"{value:.3f}")
    print(markdown_table(shown.rename_axis("measure").reset_index()))


if __name__ == "__main__":
    main()
