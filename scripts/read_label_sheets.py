"""Rule read_label_sheets: what people say of lists of the sweep, and how far they agree."""

from pathlib import Path

import pandas as pd

from svdlens.artefacts.atomic_files import sha256_of, write_text
from svdlens.artefacts.table_schemas import JUDGEMENTS, write_table
from svdlens.evaluation.people import people_table
from svdlens.labels.manual.judgements import judgement_columns, known_lists
from svdlens.runtime.script import run


def main(smk):
    people, tokens = list(smk.params.people), smk.params.tokens
    sheets = dict(zip(people, map(Path, smk.input.sheets), strict=True))
    columns = judgement_columns(sheets, known_lists([Path(path) for path in smk.input.lists], tokens))
    table = people_table(pd.DataFrame(columns), people, smk.params.seed)
    write_text(Path(smk.output.people), table.to_csv(index=False, lineterminator="\n"))
    digests = {person: sha256_of(path) for person, path in sheets.items()}
    facts = {"people": people, "tokens": tokens, "sheets_sha256": digests, "code": smk.params.code}
    write_table(Path(smk.output.judgements), columns, JUDGEMENTS, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
