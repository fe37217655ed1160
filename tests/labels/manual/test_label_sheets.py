"""A sheet for people: which lists are on it, that it tells nothing of them, and that no spreadsheet runs it."""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest

from made_up_lists import rows_of, small_sheet, source_of, write_lists
from svdlens.errors import SvdlensError
from svdlens.labels.label_table import Choice
from svdlens.labels.manual.lists import ID, cell_of, list_id, list_key
from svdlens.labels.manual.sampling import draw_sheet
from svdlens.labels.manual.sheet_files import COLUMNS, sheet_csv, sheet_name, sheet_page

RESOURCES = Path(__file__).parents[3] / "resources"
STATIC = {
    path.name: path.read_text("utf-8")
    for path in [*(RESOURCES / "label_sheet").glob("*"), *(RESOURCES / "explorer").glob("*.js")]
}


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lists(tmp_path_factory.mktemp("lists") / "mlp_in.parquet")


def test_a_sheet_has_so_many_lists_of_each_matrix_and_controls(lists: Path) -> None:
    sheet = small_sheet(lists, n=4, random_lists=5)
    singular = [row for row in sheet.key if row["control"] is None]
    assert Counter(row["layer"] for row in singular) == {0: 4, 1: 4, 2: 4}
    assert [row["control"] for row in sheet.key if row["control"]] == ["random_unit"] * 5
    assert len({(row["layer"], row["index"]) for row in singular}) == 12
    for row in sheet.key:
        assert (row["sign"], row["readout"], row["model"], row["setting"]) == (1, "W_U", "a model", "raw")
        assert row["index"] < 5 or row["control"]
    # Numbers, ids and texts belong together, and are those of the lists in the file.
    table = source_of(lists).lists
    for row in sheet.key:
        control = pc.field("control").cast("string")
        of_row = control.is_null() if row["control"] is None else control == row["control"]
        for name in ("layer", "index", "sign", "readout"):
            of_row &= pc.field(name).is_null() if row[name] is None else pc.field(name) == row[name]
        [tokens] = table.filter(of_row)["tokens"].to_pylist()
        assert sheet.texts[row["number"] - 1] == tokens[:15]
        assert sheet.ids[row["number"] - 1] == row["id"] == list_id(list_key(tokens[:15]))


def test_all_lists_are_taken_where_there_are_fewer_and_null_space_never(lists: Path) -> None:
    sheet = draw_sheet([source_of(lists)], Choice(), 1000, 1000, 15, 0)
    assert Counter((row["control"], row["layer"]) for row in sheet.key) == {
        **{(None, layer): 2 * 5 for layer in range(3)},  # the sixth is null space
        ("random_unit", None): 2 * 10,
    }


def test_a_list_that_two_directions_have_is_on_the_sheet_once(tmp_path: Path, lists: Path) -> None:
    twice = [source_of(lists), source_of(lists, model="its twin")]
    sheet = draw_sheet(twice, Choice(signs=[1]), 1000, 1000, 15, 0)
    assert len(set(sheet.ids)) == len(sheet.ids) == 3 * 5 + 10
    assert Counter(row["model"] for row in sheet.key if not row["control"]) == {"a model": 15, "its twin": 15}
    assert sum(row["control"] is not None for row in sheet.key) == 10


def test_controls_come_from_every_source_in_turn(tmp_path: Path, lists: Path) -> None:
    other = write_lists(tmp_path / "other.parquet", seed=1)
    sheet = draw_sheet([source_of(lists), source_of(other, model="other")], Choice(signs=[1]), 1, 8, 15, 0)
    assert Counter(row["model"] for row in sheet.key if row["control"]) == {"a model": 4, "other": 4}


def test_the_same_seed_draws_the_same_whatever_else_there_is(tmp_path: Path, lists: Path) -> None:
    other = write_lists(tmp_path / "other.parquet", seed=1)
    choice = Choice(signs=[1])
    alone = draw_sheet([source_of(lists)], choice, 3, 0, 15, 0)
    beside = draw_sheet([source_of(other, model="other"), source_of(lists)], choice, 3, 0, 15, 0)
    assert set(alone.ids) < set(beside.ids)
    assert small_sheet(lists) == small_sheet(lists)
    assert set(small_sheet(lists, seed=1).ids) != set(small_sheet(lists).ids)


def test_the_order_tells_neither_layers_nor_controls(lists: Path) -> None:
    """Over seeds, a control stands everywhere, and so does every layer."""
    places: dict[object, list[float]] = {}
    for seed in range(60):
        sheet = small_sheet(lists, seed=seed)
        for row in sheet.key:
            places.setdefault(row["control"] or row["layer"], []).append((row["number"] - 0.5) / len(sheet.ids))
    for where in places.values():
        assert abs(sum(where) / len(where) - 0.5) < 0.08  # five standard deviations of 240
        assert min(where) < 0.1 and max(where) > 0.9


def test_neither_csv_nor_page_tells_more_than_the_words(lists: Path) -> None:
    sheet = small_sheet(lists)
    for text in (sheet_csv(sheet), sheet_page(sheet, STATIC)):
        for secret in ("a model", "mlp_in", "random_unit", "W_U", "raw"):
            assert secret not in text.replace("draw", "")


def test_nothing_to_label_is_said(tmp_path: Path, lists: Path) -> None:
    with pytest.raises(SvdlensError, match=r"there is no list for people to label.*`sides`"):
        draw_sheet([source_of(lists)], Choice(sides=["write"]), 4, 5, 15, 0)


def test_the_csv_has_every_row_and_no_formula(lists: Path) -> None:
    sheet = draw_sheet([source_of(lists)], Choice(), 1000, 1000, 3, 0)
    text = sheet_csv(sheet)
    assert text.startswith("\ufeff") and text.count("\r\n") == len(sheet.ids) + 1
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert tuple(rows[0]) == COLUMNS
    dangerous = 0
    for row, expected in zip(rows, rows_of(sheet), strict=True):
        tokens = row["tokens"]
        assert tokens[0] not in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
        dangerous += tokens.startswith("'") and not expected["tokens"].startswith("'")
        assert row == expected | {"tokens": tokens}
        assert tokens in (expected["tokens"], f"'{expected['tokens']}")
    assert dangerous  # some lists begin with such a token
    assert all(ID.fullmatch(id) for id in sheet.ids)


def test_what_cannot_be_seen_is_shown_by_its_number() -> None:
    cell = cell_of([" fire", "\n", "\u202egnp", "\u2028", "a\u00adb", "\ufeff", "火"])
    assert cell == " fire | U+000A | U+202Egnp | U+2028 | aU+00ADb | U+FEFF | 火"


def test_the_page_is_one_file_with_its_lists_and_asks_for_nothing(lists: Path) -> None:
    sheet = small_sheet(lists)
    page = sheet_page(sheet, STATIC)
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    read = json.loads(data)
    assert [id for id, _, _ in read["lists"]] == sheet.ids and [texts for _, texts, _ in read["lists"]] == sheet.texts
    assert read["sheet"] == sheet_name(sheet)
    assert "{{" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "default-src 'none'" in page and "unsafe" not in page
