"""A sheet that somebody has filled in: what the rows of the file say, or what is wrong with it.

Spreadsheets save other separators, encodings, truth values and line ends than they were given, and put apostrophes
before texts or take them away. What can be understood without doubt is taken; for all else there is one message.
"""

import codecs
import csv
import io
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.labels.manual.lists import ID, cell_of
from svdlens.labels.manual.sheet_files import COLUMNS, FORMULA

log = logging.getLogger(__name__)

YES = ("yes", "y", "true", "1", "x", "ja", "j", "wahr", "oui", "vrai", "sí", "si", "verdadero", "sim", "vero")
NO = ("no", "n", "false", "0", "nein", "falsch", "non", "faux", "falso", "não", "nao")
"""How spreadsheets and people write yes and no; beside them capitals and spaces do not matter."""
KINDS = ("semantic", "grammatical", "orthographic")
LONGEST = 100
"""Characters of a label."""
SEPARATORS = (",", ";", "\t")
SPREADSHEET_ERROR = re.compile(r"#\S{1,12}[!?]|#N/?[AV]|Err:\d+", re.IGNORECASE)
"""What a spreadsheet shows in place of a text that it took for a formula."""


class Judgement(NamedTuple):
    """What a person says of a list: whether its tokens belong together, which kind of list it is, and what they share;
    kind and label are None where that was not said."""

    id: str
    interpretable: bool
    kind: str | None
    label: str | None


class Row(NamedTuple):
    """A row of the file as text, by column, and the line on which it begins."""

    line: int
    cells: dict[str, str]


def read_filled_in(path: Path, lists: Mapping[str, Sequence[str]]) -> list[Judgement]:
    """The judgements in a sheet, in its order; rows that were left empty are none.

    `lists` are the lists of the sweep by id, each its first texts. Rows about lists that the sweep no longer has, where
    it has others of the sheet, are left out, and the log says how many. Raises SvdlensError for a file that is no
    table, and for one whose rows are not those of a sheet of this sweep: missing, added, doubled, or with the tokens of
    another; and for a cell that cannot be understood.
    """
    rows = whole_sheet(path, read_rows(path))
    known = [row for row in rows if row.cells["id"] in lists]
    if not known:
        raise wrong(
            path,
            rows[0].line,
            f"none of its {len(rows)} lists is one of this sweep, the first of them {rows[0].cells['id']!r}",
            "It is a sheet of another sweep, or of another number of `tokens`: give the configuration with which "
            "`make label-sheet` made it",
        )
    if len(known) < len(rows):
        log.warning(
            "%s: %d of its %d lists are none of the sweep any more, and left out",
            path,
            len(rows) - len(known),
            len(rows),
        )
    for row in known:
        check_tokens(path, row, lists[row.cells["id"]])
    judged = [one for row in known if (one := judgement(path, row)) is not None]
    if not judged:
        raise wrong(
            path, None, "has no row that is filled in", "Give the file that was downloaded from the page, or saved"
        )
    return judged


def read_rows(path: Path) -> list[Row]:
    """The rows of the file that are not empty, by the columns of a sheet; other columns are left out."""
    text = read_text(path)
    lines = text.splitlines()
    # Some spreadsheets write their separator into a line of its own.
    skipped = 1 if lines and re.fullmatch(r"sep=.", lines[0].strip('" ')) else 0
    table = parsed(path, text, separator_of(lines[skipped] if len(lines) > skipped else ""), skipped)
    if not table:
        raise wrong(path, None, "is empty", f"A sheet begins with the line {','.join(COLUMNS)}")
    heads = [plain(cell).lower() for cell in table[0][1]]
    for name in COLUMNS:
        if heads.count(name) != 1:
            there = ", ".join(filter(None, heads))[:200]
            raise wrong(
                path,
                table[0][0],
                f"has {heads.count(name) or 'no'} column{'s' * (heads.count(name) > 1)} {name!r}, but {there}",
                f"Give it the columns {', '.join(COLUMNS)}, each once.{did_you_mean(name, heads)}",
            )
    rows = []
    for line, cells in table[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        beyond = [cell for cell in cells[len(heads) :] if cell.strip()]
        if beyond:
            raise wrong(
                path,
                line,
                f"has a cell more than there are columns, {beyond[0]!r:.80}",
                "Put quotes around a cell with a comma in it",
            )
        padded = [*cells, *[""] * len(heads)]
        rows.append(Row(line, {name: padded[heads.index(name)] for name in COLUMNS}))
    if not rows:
        raise wrong(path, None, "has no rows below its header", "Give the sheet as it was made or downloaded")
    return rows


def read_text(path: Path) -> str:
    """The file as text, without the mark at its beginning: UTF-8, or UTF-16, or else Windows-1252."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SvdlensError(f"{path} cannot be read ({error.strerror}). Name a file that you may read.") from error
    encoding = "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif content[1:2] == b"\0" or content[:1] == b"\0":
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            if encoding != "utf-8-sig":
                raise
            text = content.decode("cp1252")
            log.warning("%s is no UTF-8; it is read as Windows-1252", path)
    except UnicodeDecodeError as error:
        raise wrong(path, None, f"is no text ({error.reason})", "Save it as CSV in UTF-8") from error
    if "\0" in text:
        raise wrong(path, None, "is no text: it has zero bytes", "Save it as CSV in UTF-8, not as a spreadsheet")
    return text


def separator_of(header: str) -> str:
    return max(SEPARATORS, key=header.count)


def parsed(path: Path, text: str, separator: str, skipped: int) -> list[tuple[int, list[str]]]:
    """The rows of a CSV, each with the line on which it begins, without the first `skipped` lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            if line > skipped and cells:
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise wrong(
            path, line, f"is no CSV: {error}", "Save it as CSV, with quotes around cells that have some"
        ) from error
    return rows


def plain(cell: str) -> str:
    """A cell that has one word, without the apostrophe with which spreadsheets tell a text from a number."""
    return cell.strip().removeprefix("'").strip()


def unguarded(cell: str) -> str:
    """A text without the apostrophe that keeps spreadsheets from running it."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell[1:]) else cell


def whole_sheet(path: Path, rows: list[Row]) -> list[Row]:
    """The rows, if they are all those of one sheet; one that is there twice and says the same counts once."""
    found: dict[int, Row] = {}
    sizes: dict[int, Row] = {}
    for row in rows:
        id = row.cells["id"] = plain(row.cells["id"])
        if not ID.fullmatch(id):
            raise wrong(
                path,
                row.line,
                f"{id!r:.80} is no id of a list",
                "Take rows out that were added, and leave ids as they are",
            )
        number, of = (whole_number(path, row, name) for name in ("number", "of"))
        other = next(iter(sizes.values()), row)
        if number > of or sizes.setdefault(of, row) is not other:
            raise wrong(
                path,
                row.line,
                f"is number {number} of {of}, and line {other.line} of {other.cells['of']}",
                "Each file has the rows of one sheet, numbered from 1: give the sheet that was filled in",
            )
        twin = found.setdefault(number, row)
        if twin.cells != row.cells:
            raise wrong(
                path,
                row.line,
                f"is number {number}, and so is line {twin.line}, which says something else",
                "Take out the one that is not meant",
            )
    ids: dict[str, Row] = {}
    for row in found.values():
        if ids.setdefault(row.cells["id"], row) is not row:
            raise wrong(
                path,
                row.line,
                f"has the id {row.cells['id']!r} of line {ids[row.cells['id']].line}",
                "Each list is on a sheet once: take the row from the sheet as it was made",
            )
    missing = [number for number in range(1, next(iter(sizes)) + 1) if number not in found]
    if missing:
        some = ", ".join(map(str, missing[:10])) + (" and so on" if len(missing) > 10 else "")
        raise wrong(
            path,
            None,
            f"{len(missing)} of its {next(iter(sizes))} rows are missing, number {some}",
            "Put them back from the sheet as it was made; a list that was not judged has empty cells",
        )
    return list(found.values())


def whole_number(path: Path, row: Row, name: str) -> int:
    text = plain(row.cells[name])
    # Some programs write every number with a fraction.
    found = re.fullmatch(r"(\d{1,9})([.,]0+)?", text, re.ASCII)
    if not found:
        raise wrong(path, row.line, f"{name} is {text!r:.80}, and no whole number", "Leave this column as it was made")
    return int(found[1])


def check_tokens(path: Path, row: Row, texts: Sequence[str]) -> None:
    """That the row has the tokens of its list: where one column was sorted without the others, it has not.

    Only letters and digits of ASCII are compared, which every encoding and spreadsheet leaves alone.
    """
    written, expected = row.cells["tokens"], cell_of(texts)
    if SPREADSHEET_ERROR.fullmatch(written.strip()):
        return
    if letters(written) != letters(expected):
        raise wrong(
            path,
            row.line,
            f"{row.cells['id']} has the tokens {written!r:.100}, and its list is {expected!r:.100}",
            "Tokens and ids stay as they are: a column may have been sorted without the others. Take the two from the "
            "sheet as it was made",
        )


def letters(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text)


def judgement(path: Path, row: Row) -> Judgement | None:
    """What a row says; None where nothing was filled in."""
    said, kind = (plain(row.cells[name]).lower() for name in ("interpretable", "kind"))
    label = " ".join(unguarded(row.cells["label"].strip()).split())
    if said not in ("", *YES, *NO):
        raise wrong(path, row.line, f"interpretable is {said!r:.80}", "Write yes or no, or leave it empty")
    if kind not in ("", *KINDS):
        raise wrong(
            path,
            row.line,
            f"kind is {kind!r:.80}",
            f"Write {', '.join(KINDS)}, or leave it empty.{did_you_mean(kind, KINDS)}",
        )
    if SPREADSHEET_ERROR.fullmatch(label):
        raise wrong(
            path,
            row.line,
            f"label is {label!r}, which a spreadsheet shows for a formula that is none",
            "Write the label again, with an apostrophe before it",
        )
    if len(label) > LONGEST:
        raise wrong(path, row.line, f"label has {len(label)} characters: {label!r:.60}", f"Write at most {LONGEST}")
    if kind and said in NO:
        raise wrong(
            path,
            row.line,
            f"interpretable is {said!r}, and kind {kind!r}",
            "Only lists that are have a kind: correct one",
        )
    if not said and (kind or label):
        what = f"kind {kind!r}" if kind else f"label {label!r:.60}"
        raise wrong(path, row.line, f"interpretable is empty, and {what}", "Write yes or no beside it")
    if not said:
        return None
    is_yes = said in YES
    return Judgement(row.cells["id"], is_yes, kind or None, (label or None) if is_yes else None)


def wrong(path: Path, line: int | None, what: str, fix: str) -> SvdlensError:
    where = f"{path}, line {line}" if line else f"{path}"
    return SvdlensError(f"{where}: {what}. {fix}{'' if fix.endswith(('?', '.')) else '.'}")
