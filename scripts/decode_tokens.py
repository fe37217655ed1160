"""Rule decode_tokens: the text of each token of a vocabulary."""

from pathlib import Path

from svdlens.artefacts.fetched_files import check_files_are_there
from svdlens.models.token_table import write_token_texts
from svdlens.models.token_texts import read_vocabulary
from svdlens.runtime.script import run


def main(smk):
    check_files_are_there(Path(smk.params.directory))
    texts = read_vocabulary(Path(smk.params.directory))
    write_token_texts(Path(smk.output.tokens), texts, {"code": smk.params.code})


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
