"""Rule embed_vocabulary: an embedding of each token of a model and the classes it is in, once for all settings."""

from pathlib import Path

from svdlens.models.token_texts import read_vocabulary
from svdlens.runtime.script import run
from svdlens.vocabulary.sentence_embedding import know_vocabulary
from svdlens.vocabulary.token_frequency import log_ranks
from svdlens.vocabulary.wordnet import load_lexicon


def main(smk):
    directory = Path(smk.input.provenance).parent
    texts = read_vocabulary(directory)
    lexicon = load_lexicon(Path(smk.input.words).parent)
    # A list of one file, or of none: then the model's own counts, or what stands in for them.
    counts = [Path(path) for path in smk.input.token_counts]
    ranks = log_ranks(directory, len(texts), *counts)
    outputs = Path(smk.output.embeddings), Path(smk.output.classes)
    know_vocabulary(texts, ranks, lexicon, *outputs, smk.threads)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
