"""The explorer of matrices that are of no layer, in a browser: one cell, with lists and links as others have."""

import csv
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from browser import act, go
from made_up_sweep import Shape, write_sweep
from svdlens.explorer.build import build_explorer

pytest_plugins = ["explorer_fixtures"]

STATIC = sorted((Path(__file__).parents[2] / "resources/explorer").glob("*"))
MATRICES = ("mlp_in", "unembed", "embed")
TABLES = (("raw", 0), ("fold", 1))
MODELS = {
    "first": Shape(matrices=MATRICES, tables=TABLES, vocabulary=200),
    "second": Shape(matrices=("unembed",), tables=TABLES, vocabulary=200),
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return write_sweep(tmp_path_factory.mktemp("sweep"), MODELS, labels_of=MATRICES)


@pytest.fixture(scope="module")
def index(sweep, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("explorer")
    build_explorer(sweep, sweep[0].tokens.parents[3] / "tables/fractions.parquet", STATIC, target)
    return target / "index.html"


def title(page) -> str:
    return page.locator("#detail-title").inner_text()


def downloads(page) -> list[list[dict[str, str]]]:
    """The rows of the grid, then of the lists."""
    files = []
    for button in page.get_by_role("button", name="Download CSV").all():
        with page.expect_download() as waiting:
            button.click()
        text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
        files.append(list(csv.DictReader(io.StringIO(text, newline=""))))
    return files


def test_the_buttons_lead_to_the_one_matrix_and_its_lists(page, index, sweep):
    go(page, index, "#matrix=mlp_in&layer=1&open=2")
    for matrix, side in (("unembed", "read"), ("embed", "write")):
        act(page, lambda matrix=matrix: page.check(f"#matrix-{matrix}", force=True))
        assert title(page) == "The matrix" and "layer" not in page.locator("main").inner_text().lower()
        assert page.locator(".grid tbody button").count() == 1
        [cell], lists = downloads(page)
        assert (cell["layer"], cell["head"]) == ("", "")
        [source] = [one for one in sweep if (one.model, one.setting, one.tokens.stem) == ("first", "raw", matrix)]
        assert len(lists) == pq.ParquetFile(source.tokens).metadata.num_rows
        assert {(row["matrix"], row["layer"], row["head"], row["side"]) for row in lists} == {(matrix, "", "", side)}
    # One cell, so that arrow keys stay where they are.
    page.locator(".grid tbody button").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "Home", "End"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.id") == "cell-0--1--1"


def test_a_search_leads_to_its_lists_and_back(page, index):
    go(page, index, "#view=search&q=fire")
    links = page.locator(".found > tbody > tr a")
    wanted = links.filter(has_text="Unembed").first
    name = wanted.locator(".place").inner_text()
    assert name.startswith("Unembed, direction ")
    act(page, wanted.click)
    assert title(page) == "The matrix" and page.locator("#matrix-unembed").is_checked()
    assert page.locator(f"#direction-{name.split()[-1]}").get_attribute("aria-expanded") == "true"
    assert page.locator(".column .searched").count() >= 1
    act(page, lambda: page.click("a.back"))
    assert page.locator("#results-title").is_visible()


@pytest.mark.parametrize("other", ["&setting2=fold", "&model2=second"])
def test_two_of_them_stand_side_by_side(page, index, other):
    go(page, index, f"#matrix=unembed{other}")
    assert page.locator(".grid").count() == 2 and title(page) == "The matrix"
    _, lists = downloads(page)
    assert len(lists) == 2 * 2 * MODELS["first"].directions
    assert {row["layer"] for row in lists} == {""}


def test_a_model_without_the_matrix_and_a_layer_in_the_address_are_said(page, index):
    go(page, index, "#matrix=embed&model2=second")
    assert "second has no Embed in raw" in page.locator("main").inner_text()
    go(page, index, "#matrix=unembed&layer=1")
    said = page.locator(".problems").inner_text()
    assert "Unembed of first has no layers, and the address has layer 1; here is the matrix." in said


def test_random_directions_are_not_taken_for_the_matrix(page, index, sweep):
    go(page, index, "#matrix=unembed")
    act(page, lambda: page.get_by_role("link", name="Random directions").click())
    assert title(page) == "Random directions"
    [source] = [one for one in sweep if (one.model, one.setting, one.tokens.stem) == ("first", "raw", "unembed")]
    control = pq.ParquetFile(source.random).read().to_pandas()
    expected = control[control["index"] < 32].assign(order=-control["sign"]).sort_values(["index", "order"])
    _, rows = downloads(page)
    assert [row["token_2"].lstrip("'") for row in rows] == [words[1].lstrip("'") for words in expected["tokens"]]
    act(page, page.locator(".grid tbody button").click)
    assert title(page) == "The matrix"
