"""Rule embed_vocabulary: a sentence embedding of each token of a model, once for all settings."""

from pathlib import Path

from torch import from_numpy

from svdlens.embedding import SHA256, embed_texts
from svdlens.job import run
from svdlens.vocabulary import read_vocabulary
from svdlens.weights import save_tensors


def main(smk):
    texts = read_vocabulary(Path(smk.input.provenance).parent)
    embeddings = from_numpy(embed_texts(texts, smk.threads))
    save_tensors(Path(smk.output.embeddings), {"embeddings": embeddings}, {"minilm_sha256": SHA256})


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
