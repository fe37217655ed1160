"""Rule embed_tokenizer: an embedding of each token of a tokenizer and its classes, for lists from elsewhere."""

from pathlib import Path

from svdlens.embedding import know_vocabulary
from svdlens.frequency import log_ranks
from svdlens.job import run
from svdlens.lexicon import load_lexicon
from svdlens.vocabulary import read_vocabulary


def main(smk):
    directory = Path(smk.params.tokenizer)
    texts = read_vocabulary(directory)
    ranks, lexicon = log_ranks(directory, len(texts)), load_lexicon(Path(smk.input.words).parent)
    outputs = Path(smk.output.embeddings), Path(smk.output.classes)
    know_vocabulary(texts, ranks, lexicon, *outputs, smk.threads)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
