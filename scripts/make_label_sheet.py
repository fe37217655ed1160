"""Rule make_label_sheet: lists of the sweep for people to label, as a CSV and as a page, and the key to them."""

import sys
from pathlib import Path

from svdlens.artefacts.atomic_files import write_text
from svdlens.artefacts.table_schemas import SHEET_KEY, read_metadata, write_table
from svdlens.labels.label_table import Choice
from svdlens.labels.manual.lists import read_lists
from svdlens.labels.manual.sampling import Source, draw_sheet
from svdlens.labels.manual.sheet_files import sheet_csv, sheet_page
from svdlens.runtime.script import run

LISTS_AN_HOUR = 200


def main(smk):
    params = smk.params
    sources = [
        Source(*place, read_lists(Path(path))) for path, place in zip(smk.input.lists, params.places, strict=True)
    ]
    sheet = draw_sheet(sources, Choice(**params.choice), params.n, params.random_lists, params.tokens, params.seed)
    write_text(Path(smk.output.csv), sheet_csv(sheet))
    write_text(
        Path(smk.output.page),
        sheet_page(sheet, {Path(path).name: Path(path).read_text("utf-8") for path in smk.input.static}),
    )
    columns = {name: [row[name] for row in sheet.key] for name in SHEET_KEY.names}
    facts = {
        f"{model}/{setting}/{Path(path).name}": read_metadata(path)
        for path, (model, setting, *_) in zip(smk.input.lists, params.places, strict=True)
    }
    facts = {"tokens": params.tokens, "sources": facts, "code": params.code}
    write_table(Path(smk.output.key), columns, SHEET_KEY, facts)
    n, hours = len(sheet.ids), len(sheet.ids) / LISTS_AN_HOUR
    print(
        f"svdlens: {n} lists, about {hours:.1f} hours for a person: {smk.output.page}, {smk.output.csv}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
