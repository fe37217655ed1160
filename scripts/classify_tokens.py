"""Rule classify_tokens: how frequent each token of a vocabulary is, and the classes that it is in."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.models.token_table import read_token_texts
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run
from svdlens.vocabulary.token_classes import classify_tokens
from svdlens.vocabulary.token_features import TokenFeatures, save_features
from svdlens.vocabulary.token_frequency import log_ranks
from svdlens.vocabulary.wordnet import load_lexicon


def main(smk):
    directory = Path(smk.input.source[0]).parent
    facts = {"code": smk.params.code}
    if smk.params.source:
        facts = table_facts(smk.input.source[0], **facts)
        restore_lost_files(directory, "fetch_model", smk.params.source)
    texts = read_token_texts(Path(smk.input.tokens))
    # Each is a list of one file, or of none: then the model's own counts, or what stands in for them.
    counts, weights = (next(map(Path, files), None) for files in (smk.input.token_counts, smk.input.weights))
    ranks, token_frequency = log_ranks(directory, len(texts), counts, weights)
    classes = classify_tokens(texts, load_lexicon(Path(smk.input.words).parent), ranks)
    features = TokenFeatures(classes, ranks, token_frequency)
    save_features(Path(smk.output.features), Path(smk.output.classes), features, counts, facts)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
