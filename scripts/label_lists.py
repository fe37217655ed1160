"""Rule label_lists: token lists from elsewhere, labelled by the labeller `coherence`."""

import logging
from pathlib import Path

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.artefacts.table_schemas import LABELLED_LISTS, write_table
from svdlens.labels.external_lists import label_lists, read_lists
from svdlens.models.token_texts import read_vocabulary
from svdlens.runtime.script import run
from svdlens.vocabulary.token_features import load_vocabulary

logger = logging.getLogger(__name__)


def main(smk):
    lists = read_lists(Path(smk.input.lists))
    texts = read_vocabulary(Path(smk.params.tokenizer))
    vocabulary = load_vocabulary(Path(smk.input.embeddings), Path(smk.input.classes), texts)
    columns, facts = label_lists(lists, vocabulary, smk.params.level, smk.params.seed)
    logger.info("%d lists: %s", len(lists), facts)
    facts |= {"lists_sha256": sha256_of(Path(smk.input.lists)), "code": smk.params.code, **vocabulary.facts}
    write_table(Path(smk.output.labels), columns, LABELLED_LISTS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
