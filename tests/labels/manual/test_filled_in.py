"""Reading back a sheet: what can be understood is taken, all else is said with file, line, value and what to do."""

import codecs
import csv
import io
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_up_lists import rows_of, small_sheet, write_lists, write_rows
from svdlens.errors import SvdlensError
from svdlens.labels.manual.filled_in import KINDS, NO, YES, Judgement, read_filled_in
from svdlens.labels.manual.sampling import Sheet
from svdlens.labels.manual.sheet_files import csv_cell, sheet_csv

Rows = list[dict[str, str]]
FILLED = {
    0: ("yes", "semantic", "words about fire"),
    1: ("no", "", ""),
    2: ("yes", "", ""),
    3: ("yes", "orthographic", "-ing, at the end; a, b"),
    5: ("yes", "grammatical", "Größe é"),
}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Sheet:
    return small_sheet(write_lists(tmp_path_factory.mktemp("lists") / "mlp_in.parquet"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "anna.csv"


def lists_of(sheet: Sheet) -> dict[str, list[str]]:
    return dict(zip(sheet.ids, sheet.texts, strict=True))


def filled(sheet: Sheet) -> Rows:
    rows = rows_of(sheet)
    for place, said in FILLED.items():
        rows[place] |= dict(zip(("interpretable", "kind", "label"), said, strict=True))
    return rows


def expected(sheet: Sheet) -> list[Judgement]:
    return [
        Judgement(sheet.ids[place], said == "yes", kind or None, label or None)
        for place, (said, kind, label) in FILLED.items()
    ]


def mapped(rows: Rows, column: str, change: Callable[[str], str]) -> Rows:
    return [row | {column: change(row[column])} for row in rows]


def guarded(rows: Rows) -> Rows:
    """As the sheet and the page write texts that a spreadsheet would run."""
    apostrophe = {text: f"'{text}" for row in rows for text in row.values() if text[:1] in {*"=+-@"}}
    return [{name: apostrophe.get(text, text) for name, text in row.items()} for row in rows]


SPREADSHEETS: dict[str, Callable[[Rows, Path], Path]] = {
    "as it was made": lambda rows, path: write_rows(path, guarded(rows), encoding="utf-8-sig"),
    "without guards": lambda rows, path: write_rows(path, rows),
    "semicolons": lambda rows, path: write_rows(path, guarded(rows), ";", "utf-8-sig"),
    "tabs in UTF-16": lambda rows, path: write_rows(path, guarded(rows), "\t", "utf-16"),
    "UTF-16 without a mark": lambda rows, path: write_rows(path, rows, "\t", "utf-16-le"),
    "big-endian UTF-16 without a mark": lambda rows, path: write_rows(path, rows, ";", "utf-16-be"),
    # Tokens that this encoding lacks are question marks.
    "Windows-1252": lambda rows, path: write_rows(path, rows, ";", "cp1252"),
    "a line with the separator": lambda rows, path: with_line(write_rows(path, rows, ";"), "sep=;\r\n"),
    "Unix line ends": lambda rows, path: replaced(write_rows(path, rows), b"\r\n", b"\n"),
    "old Macintosh line ends": lambda rows, path: replaced(write_rows(path, rows), b"\r\n", b"\r"),
    "upside down": lambda rows, path: write_rows(path, rows[::-1]),
    "other columns first": lambda rows, path: write_rows(path, [dict(reversed(row.items())) for row in rows]),
    "a column more": lambda rows, path: write_rows(path, [{"notes": "?", **row} for row in rows]),
    "capitals in the header": lambda rows, path: write_rows(
        path, [{name.upper(): text for name, text in row.items()} for row in rows]
    ),
    "German truth": lambda rows, path: write_rows(
        path, mapped(rows, "interpretable", lambda text: {"yes": "WAHR", "no": "FALSCH", "": ""}[text])
    ),
    "truth": lambda rows, path: write_rows(
        path, mapped(rows, "interpretable", lambda text: {"yes": "TRUE", "no": "FALSE", "": ""}[text])
    ),
    "numbers and crosses": lambda rows, path: write_rows(
        path, mapped(rows, "interpretable", lambda text: {"yes": " X ", "no": "'0", "": " "}[text])
    ),
    "numbers with a fraction": lambda rows, path: write_rows(
        path, mapped(mapped(rows, "number", lambda text: f"{text}.0"), "of", lambda text: f"{text},0")
    ),
    "an apostrophe before every text": lambda rows, path: write_rows(
        path, mapped(mapped(rows, "id", lambda text: f"'{text}"), "kind", lambda text: f"'{text}" if text else "")
    ),
    "capitals in kinds": lambda rows, path: write_rows(path, mapped(rows, "kind", str.title)),
    "a row twice": lambda rows, path: write_rows(path, [*rows, rows[3]]),
    "empty rows": lambda rows, path: write_rows(path, [*rows[:4], dict.fromkeys(rows[0], ""), *rows[4:]]),
    "empty cells at the end left out": lambda rows, path: without_last_cells(write_rows(path, rows)),
    "tokens taken for formulas": lambda rows, path: write_rows(
        path, mapped(rows, "tokens", lambda text: "#NAME?" if text[0] in "=+-@" else text)
    ),
    "a line break in a label": lambda rows, path: write_rows(
        path, mapped(rows, "label", lambda text: text.replace("words about", "words\r\n about "))
    ),
}


def with_line(path: Path, line: str) -> Path:
    path.write_bytes(line.encode() + path.read_bytes())
    return path


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def without_last_cells(path: Path) -> Path:
    lines = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join(line.rstrip(b",") if line.endswith(b",,,") else line for line in lines))
    return path


@pytest.mark.parametrize("saved", SPREADSHEETS)
def test_a_sheet_is_read_however_it_was_saved(saved: str, sheet: Sheet, path: Path) -> None:
    SPREADSHEETS[saved](filled(sheet), path)
    judged = sorted(read_filled_in(path, lists_of(sheet)), key=lambda one: sheet.ids.index(one.id))
    assert judged == expected(sheet)


@pytest.mark.parametrize(("words", "means"), [(YES, True), (NO, False)])
def test_yes_and_no_in_many_words(words: tuple[str, ...], means: bool, sheet: Sheet, path: Path) -> None:
    for word in words:
        rows = rows_of(sheet)
        rows[2]["interpretable"] = word.upper()
        assert read_filled_in(write_rows(path, rows), lists_of(sheet)) == [Judgement(sheet.ids[2], means, None, None)]
    assert not set(YES) & set(NO)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.tuples(st.booleans(), st.sampled_from([None, *KINDS]), TEXTS), min_size=1, max_size=17))
def test_what_is_written_is_read(said: list[tuple[bool, str | None, str]], sheet: Sheet, path: Path) -> None:
    """Whatever a label is, but for the spaces around and within it."""
    rows, judged = rows_of(sheet), []
    for row, (yes, kind, text) in zip(rows, said, strict=False):
        label = " ".join(text.split())
        label = "" if label.startswith("'") or label.startswith("#") else label
        row |= {"interpretable": "yes" if yes else "no", "kind": (kind or "") if yes else "", "label": label}
        judged.append(Judgement(row["id"], yes, kind if yes else None, (label or None) if yes else None))
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    path.write_bytes("".join(",".join(map(csv_cell, line)) + "\r\n" for line in lines).encode("utf-8-sig"))
    assert read_filled_in(path, lists_of(sheet)) == judged


def test_lists_that_the_sweep_no_longer_has_are_left_out(sheet: Sheet, path: Path, caplog) -> None:
    write_rows(path, filled(sheet))
    left = {id: texts for id, texts in lists_of(sheet).items() if id != sheet.ids[0]}
    with caplog.at_level(logging.WARNING):
        assert read_filled_in(path, left) == expected(sheet)[1:]
    assert f"1 of its {len(sheet.ids)} lists are none of the sweep any more" in caplog.text


def changed(place: int, **cells: str) -> Callable[[Rows], Rows]:
    return lambda rows: [row | cells if number == place else row for number, row in enumerate(rows)]


def sorted_tokens(rows: Rows) -> Rows:
    return [row | {"tokens": tokens} for row, tokens in zip(rows, sorted(row["tokens"] for row in rows), strict=True)]


def without(*columns: str) -> Callable[[Rows], Rows]:
    return lambda rows: [{name: text for name, text in row.items() if name not in columns} for row in rows]


WRONG: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "missing rows": (lambda rows: [*rows[:3], *rows[5:]], "anna.csv: 2 of its 17 rows are missing, number 4, 5. Put"),
    "cut short": (lambda rows: rows[:2], "15 of its 17 rows are missing, number 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and"),
    "an added row": (
        lambda rows: [*rows, rows[0] | {"id": "mine", "number": "18"}],
        "line 19: 'mine' is no id of a list. Take rows out that were added",
    ),
    "an edited id": (changed(2, id="w12"), "line 4: 'w12' is no id"),
    "a row twice that says two things": (
        lambda rows: [*rows, rows[0] | {"interpretable": "no", "kind": "", "label": ""}],
        "line 19: is number 1, and so is line 2, which says something else. Take out the one that is not meant",
    ),
    "an id twice": (lambda rows: [*rows[:-1], rows[0] | {"number": "17"}], "line 18: has the id 'w"),
    "a number beyond": (changed(1, number="99"), "line 3: is number 99 of 17"),
    "a number of nothing": (changed(1, number="second"), "line 3: number is 'second', and no whole number"),
    "another sheet among them": (changed(4, of="16"), "line 6: is number 5 of 16, and line 2 of 17. Each file has"),
    "tokens of another": (sorted_tokens, "and its list is"),
    "edited tokens": (changed(6, tokens="fire | flame"), "line 8: w"),
    "no yes and no no": (changed(3, interpretable="maybe"), "line 5: interpretable is 'maybe'. Write yes or no"),
    "another kind": (changed(0, kind="semantics"), "kind is 'semantics'. Write semantic, grammatical, orthographic"),
    "a kind of nothing": (changed(1, kind="semantic"), "line 3: interpretable is 'no', and kind 'semantic'"),
    "a label without a yes": (changed(4, label="birds"), "line 6: interpretable is empty, and label 'birds'. Write"),
    "a kind without a yes": (changed(4, kind="semantic"), "interpretable is empty, and kind 'semantic'"),
    "a long label": (changed(0, label="b" * 101), "line 2: label has 101 characters"),
    "a label taken for a formula": (changed(0, label="#NAME?"), "line 2: label is '#NAME?', which a spreadsheet shows"),
    "a German one": (changed(0, label="#WERT!"), "label is '#WERT!'"),
    "a column less": (without("id"), "line 1: has no column 'id', but number, of, tokens"),
    "two columns less": (without("of", "label"), "has no column 'of'"),
    "a column by another name": (
        lambda rows: [{"tokns" if name == "tokens" else name: text for name, text in row.items()} for row in rows],
        "Did you mean 'tokns'?",
    ),
    "nothing filled in": (
        lambda rows: [row | dict.fromkeys(["interpretable", "kind", "label"], "") for row in rows],
        "no row that is filled in",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case: str, sheet: Sheet, path: Path) -> None:
    change, message = WRONG[case]
    with pytest.raises(SvdlensError) as raised:
        read_filled_in(write_rows(path, change(filled(sheet))), lists_of(sheet))
    text = str(raised.value)
    assert message in text and text.startswith(str(path)) and text.endswith((".", "?")) and "\n" not in text


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty. A sheet begins with the line number,of,id"),
    "just a mark": (codecs.BOM_UTF8, "is empty"),
    "just spaces": (b" \r\n\r\n", "has no column 'number'"),
    "just a header": (b"number,of,id,tokens,interpretable,kind,label\r\n", "has no rows below its header"),
    "a spreadsheet": (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00\x21\x00\x90", "Save it as CSV in UTF-8"),
    "neither encoding": (b"number,\x81\x8d\n", "is no text"),
    "half of UTF-16": (codecs.BOM_UTF16_LE + b"n\0u", "is no text"),
    "an open quote": (b'number,of,id,tokens,interpretable,kind,label\r\n1,1,"w0\r\n', "line 2: is no CSV"),
    "something else": (b"<html><body>Sign in</body></html>", "has no column 'number'"),
}


@pytest.mark.parametrize("case", FILES)
def test_what_is_no_sheet_is_said(case: str, sheet: Sheet, path: Path) -> None:
    content, message = FILES[case]
    path.write_bytes(content)
    with pytest.raises(SvdlensError) as raised:
        read_filled_in(path, lists_of(sheet))
    assert message in str(raised.value) and str(raised.value).startswith(str(path))


def test_a_cell_too_many_is_said(sheet: Sheet, path: Path) -> None:
    """A comma in a label that somebody typed without quotes."""
    lines = sheet_csv(sheet).split("\r\n")
    lines[3] = lines[3].removesuffix(",,") + "yes,semantic,fire, ice"
    path.write_text("\r\n".join(lines), "utf-8", newline="")
    with pytest.raises(SvdlensError, match=r"line 4: has a cell more than there are columns, ' ice'\. Put quotes"):
        read_filled_in(path, lists_of(sheet))


def test_a_sheet_of_another_sweep_is_said(sheet: Sheet, path: Path, tmp_path: Path) -> None:
    other = small_sheet(write_lists(tmp_path / "other.parquet", seed=9))
    write_rows(path, filled(sheet))
    with pytest.raises(
        SvdlensError, match=r"line 2: none of its 17 lists is one of this sweep.*another sweep, or of another number"
    ):
        read_filled_in(path, lists_of(other))


def test_lines_are_those_of_the_file(sheet: Sheet, path: Path) -> None:
    """Where a cell before has line breaks in it, too."""
    rows = changed(3, interpretable="perhaps")(filled(sheet))
    rows[0]["label"] = "one\r\ntwo\r\nthree"
    with pytest.raises(SvdlensError) as raised:
        read_filled_in(write_rows(path, rows), lists_of(sheet))
    text = path.read_bytes().decode().split("perhaps")[0]
    assert f"line {text.count(chr(10)) + 1}: interpretable is 'perhaps'" in str(raised.value)


def test_the_empty_sheet_is_what_a_page_would_hand_over(sheet: Sheet) -> None:
    rows = list(csv.reader(io.StringIO(sheet_csv(sheet).removeprefix("\ufeff"), newline="")))
    assert [row[4:] for row in rows[1:]] == [["", "", ""]] * len(sheet.ids)


def test_a_file_that_may_not_be_read_is_said(sheet: Sheet, tmp_path: Path) -> None:
    with pytest.raises(SvdlensError, match="cannot be read"):
        read_filled_in(tmp_path, lists_of(sheet))
