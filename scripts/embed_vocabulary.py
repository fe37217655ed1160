"""Rule embed_vocabulary: an embedding of each token of a model and the classes it is in, once for all settings."""

from pathlib import Path

from svdlens.embedding import know_vocabulary
from svdlens.frequency import log_ranks
from svdlens.job import run
from svdlens.lexicon import load_lexicon
from svdlens.vocabulary import read_vocabulary


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
