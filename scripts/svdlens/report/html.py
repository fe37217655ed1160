"""Pages of HTML with tables, for the report."""

from collections.abc import Sequence
from html import escape
from numbers import Integral
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
body { margin: 2em auto; max-width: 76em; padding: 0 1em; }
h1 { font-size: 1.5em; font-weight: 600; } h2 { font-size: 1.15em; font-weight: 600; margin-top: 1.6em; }
table { border-collapse: collapse; font-size: 0.92em; } caption { text-align: left; color: #555; padding: 0.3em 0; }
th, td { padding: 0.25em 0.55em; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e4; }
th { border-bottom: 2px solid #999; position: sticky; top: 0; background: #fff; } .number { text-align: right;
font-variant-numeric: tabular-nums; } td { white-space: nowrap; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12em; }
pre { background: #f5f5f5; padding: 1em; overflow-x: auto; }
code { background: #f5f5f5; padding: 0 0.2em; overflow-wrap: anywhere; } div.table { overflow-x: auto; }
""".strip()
LONG = 40  # characters; longer text takes several lines, anything else one


def html_page(title: str, parts: Sequence[str]) -> str:
    """A page of its own. `title` is text, `parts` are HTML."""
    heading = escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{heading}</title>\n'
        f"<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{heading}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def html_paragraph(text: str) -> str:
    """A text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def html_text(text: str) -> str:
    """Text with its lines as they are."""
    return f"<pre>{escape(text)}</pre>"


def html_table(frame: pd.DataFrame, caption: str, nothing: str = "There are no rows.") -> str:
    """`frame` as a table: names without underscores, numbers to three digits, empty cells for what is missing,
    `nothing` where it has no rows."""
    if frame.empty:
        return html_paragraph(nothing)
    names = {name: escape(str(name).replace("_", " ")) for name in frame.columns}
    head = "".join(
        f'<th scope="col"{" class=number" if is_numeric_dtype(frame[name]) else ""}>{text}</th>'
        for name, text in names.items()
    )
    body = "\n".join(
        "<tr>" + "".join(html_cell(value) for value in row) + "</tr>"
        for row in frame.itertuples(index=False, name=None)
    )
    return (
        f'<div class="table"><table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def html_cell(value: Any) -> str:
    """A value as a cell of a table: text, a number to three digits, or nothing."""
    if isinstance(value, str):
        return f"<td{' class=long' if len(value) > LONG else ''}>{escape(value)}</td>"
    if value is None or pd.isna(value):
        return "<td></td>"
    text = f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, Integral) else str(value)
    return f'<td class="number">{escape(text)}</td>'
