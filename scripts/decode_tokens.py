"""Rule decode_tokens: the text of each token of a vocabulary."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.models.token_table import write_token_texts
from svdlens.models.token_texts import read_vocabulary
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run


def main(smk):
    directory = Path(smk.input.source[0]).parent
    if smk.params.source:
        restore_lost_files(directory, "fetch_model", smk.params.source)
    texts = read_vocabulary(directory)
    facts = {"code": smk.params.code}
    if smk.params.source:
        facts = table_facts(smk.input.source[0], **facts)
    write_token_texts(Path(smk.output.tokens), texts, facts)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
