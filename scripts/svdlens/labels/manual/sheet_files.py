"""A sheet as files: the CSV to fill in, and a page that fills it in, which opens from disk."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping

from svdlens.labels.manual.lists import cell_of
from svdlens.labels.manual.sampling import Sheet

COLUMNS = ("number", "of", "id", "tokens", "interpretable", "kind", "label")
"""The columns of a sheet; people fill in the last three."""
FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a text begins with that a spreadsheet would run (OWASP, CSV injection); as in resources/explorer/csv.js."""
QUOTED = re.compile(r'[",\r\n]|^\s|\s$')
SCRIPTS = ("dom.js", "text.js", "csv.js", "sheet.js")
"""The scripts of the page, in the order in which they are loaded; all but the last are the explorer's."""


def sheet_csv(sheet: Sheet) -> str:
    """The sheet, empty. It begins with the mark that tells spreadsheets that it is UTF-8."""
    n = len(sheet.ids)
    rows = [
        [str(number), str(n), id, cell_of(texts), "", "", ""]
        for number, (id, texts) in enumerate(zip(sheet.ids, sheet.texts, strict=True), start=1)
    ]
    return "\ufeff" + "".join(",".join(map(csv_cell, row)) + "\r\n" for row in [COLUMNS, *rows])


def csv_cell(text: str) -> str:
    """A cell, with an apostrophe before what a spreadsheet would run. As in resources/explorer/csv.js."""
    guarded = f"'{text}" if FORMULA.match(text) else text
    return '"{}"'.format(guarded.replace('"', '""')) if QUOTED.search(guarded) else guarded


def sheet_page(sheet: Sheet, static: Mapping[str, str]) -> str:
    """The page, one file that asks for no other. `static` has the texts of sheet.html, sheet.css and SCRIPTS by name.

    It runs its own scripts and nothing else: the policy names them by their hashes.
    """
    lists = [[id, texts, cell_of(texts)] for id, texts in zip(sheet.ids, sheet.texts, strict=True)]
    data = {"sheet": sheet_name(sheet), "columns": COLUMNS, "lists": lists}
    style, scripts = static["sheet.css"], [static[name] for name in SCRIPTS]
    policy = f"default-src 'none'; script-src {hashes(scripts)}; style-src {hashes([style])}; img-src data:; "
    parts = {
        "policy": policy + "base-uri 'none'; form-action 'none'",
        "style": style,
        # No "<" of a token ends the element that has the data.
        "data": json.dumps(data).replace("<", "\\u003c"),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], static["sheet.html"])


def sheet_name(sheet: Sheet) -> str:
    """A name for the lists on a sheet, under which a browser keeps what was filled in."""
    return hashlib.sha256(" ".join(sheet.ids).encode()).hexdigest()[:12]


def hashes(texts: Iterable[str]) -> str:
    """Texts of elements as a content security policy names them."""
    digests = (hashlib.sha256(text.encode("utf-8")).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
