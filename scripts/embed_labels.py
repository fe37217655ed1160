"""Rule embed_labels: a sentence embedding of each label that the lists of a model have, for the tests of labels."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import LABEL_EMBEDDINGS, write_table
from svdlens.evaluation.scores_table import distinct_labels
from svdlens.runtime.script import run
from svdlens.vocabulary.sentence_embedding import SHA256, embed_texts


def main(smk):
    labels = distinct_labels([Path(path) for path in smk.input.labels])
    embeddings = embed_texts(labels, smk.threads) if labels else []
    columns = {"label": labels, "embedding": list(embeddings)}
    facts = table_facts(smk.input.provenance, minilm_sha256=SHA256, code=smk.params.code)
    write_table(Path(smk.output.embeddings), columns, LABEL_EMBEDDINGS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
