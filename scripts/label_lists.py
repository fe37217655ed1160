"""Rule label_lists: token lists from elsewhere, labelled."""

import importlib
import logging
from pathlib import Path

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.artefacts.table_schemas import LABELLED_LISTS, write_table
from svdlens.labels.external_lists import read_lists
from svdlens.labels.registry import LABELLERS
from svdlens.runtime.script import run

logger = logging.getLogger(__name__)


def main(smk):
    entry = LABELLERS[smk.params.labeller]
    lists = read_lists(Path(smk.input.lists))
    files = {name: Path(smk.input[name]) for name in (*entry.files, *(["answers"] if entry.asks else []))}
    module = importlib.import_module(entry.external_module)
    columns, facts = module.label_external_lists(lists, files, smk.params.parameters, smk.params.seed)
    logger.info("%d lists: %s", len(lists), facts)
    named = {"lists_sha256": sha256_of(Path(smk.input.lists)), "tokenizer": smk.params.tokenizer}
    facts |= named | {"code": smk.params.code}
    write_table(Path(smk.output.labels), columns, LABELLED_LISTS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
