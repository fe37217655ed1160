"""Rule embed_tokenizer: an embedding of each token of a tokenizer and its classes, for lists from elsewhere."""

from pathlib import Path

from svdlens.models.token_texts import read_vocabulary
from svdlens.runtime.script import run
from svdlens.vocabulary.sentence_embedding import know_vocabulary
from svdlens.vocabulary.token_frequency import log_ranks
from svdlens.vocabulary.wordnet import load_lexicon


def main(smk):
    directory = Path(smk.params.tokenizer)
    texts = read_vocabulary(directory)
    ranks, lexicon = log_ranks(directory, len(texts)), load_lexicon(Path(smk.input.words).parent)
    outputs = Path(smk.output.embeddings), Path(smk.output.classes)
    know_vocabulary(texts, ranks, lexicon, *outputs, smk.threads)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
