"""Rule embed_labels: sentence embeddings of what the labels of a model's lists are made of, to score them with."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import LABEL_EMBEDDINGS, write_table
from svdlens.evaluation.scores_table import distinct_labels, texts_to_embed
from svdlens.models.token_table import read_token_texts
from svdlens.runtime.script import run
from svdlens.vocabulary.sentence_embedding import SHA256, embed_texts


def main(smk):
    labels = distinct_labels([Path(path) for path in smk.input.labels])
    texts = texts_to_embed(labels, read_token_texts(Path(smk.input.tokens)))
    embeddings = embed_texts(texts, smk.threads) if texts else []
    columns = {"text": texts, "embedding": list(embeddings)}
    facts = table_facts(smk.input.provenance, minilm_sha256=SHA256, code=smk.params.code)
    write_table(Path(smk.output.embeddings), columns, LABEL_EMBEDDINGS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
