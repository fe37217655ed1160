"""Rule embed_tokens: a sentence embedding of each token of a vocabulary, and of the names of its classes."""

from pathlib import Path

from svdlens.models.token_table import read_token_texts
from svdlens.runtime.script import run
from svdlens.vocabulary.sentence_embedding import embed_vocabulary
from svdlens.vocabulary.token_features import load_features


def main(smk):
    texts = read_token_texts(Path(smk.input.tokens))
    features = load_features(Path(smk.input.features), Path(smk.input.classes))
    path = Path(smk.output.embeddings)
    others = sorted(path.parent.parent.glob(f"*/{path.name}"))
    embed_vocabulary(texts, features.classes, path, smk.threads, smk.params.code, others)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
