"""The explorer as people use it: in a browser, from disk, with a pointer or with the keyboard alone.

One Chromium for the whole file. Screenshots go into the directory SVDLENS_SCREENSHOTS, or else into a temporary one;
docs/take_screenshots.py takes those of a real sweep.
"""

import csv
import io
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from browser import LAPTOP, TELEPHONE, act, go, wait
from made_up_sweep import ANYONES_LABELS, HOSTILE, Shape, label_again, write_agreement, write_examples, write_sweep
from svdlens.artefacts.table_schemas import LABELS, SPECTRA, read_metadata, write_table
from svdlens.explorer.build import TOKENS, Source, build_explorer

pytest_plugins = ["explorer_fixtures"]

STATIC = sorted((Path(__file__).parents[2] / "resources/explorer").glob("*"))
SPACES = re.compile(r"\s+")
MODELS = {
    "shallow": Shape(layers=2, heads=3, directions=6, rank=8),
    "deep model": Shape(layers=4, heads=2, directions=6, rank=8, matrices=("ov", "mlp_in"), tables=(("raw", 0),)),
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    results = tmp_path_factory.mktemp("sweep")
    return write_sweep(results, MODELS, labels_of=("ov", "mlp_in"))


@pytest.fixture(scope="module")
def index(sweep, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("explorer here & #there")  # a path that must be escaped in an address
    build_explorer(sweep, sweep[0].tokens.parents[3] / "tables/fractions.parquet", STATIC, target)
    return target / "index.html"


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory) -> Path:
    directory = Path(os.environ.get("SVDLENS_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def tables(sweep, model: str, setting: str, matrix: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tokens with labels, and spectra, of a kind of matrix."""
    source = next(one for one in sweep if (one.model, one.setting, one.tokens.stem) == (model, setting, matrix))
    tokens = pq.ParquetFile(source.tokens).read().to_pandas()
    said = pq.ParquetFile(source.labels["coherence"]).read().to_pandas()
    for name in ("label", "kind", "score", "q_value", "p_direction"):
        tokens[name] = said[name].astype(object).where(said[name].notna(), None)
    return tokens, pq.ParquetFile(source.spectra).read().to_pandas()


def of_cell(table: pd.DataFrame, layer: int, head: int | None) -> pd.DataFrame:
    """The rows of one matrix as the page shows them: by direction, side and sign."""
    rows = table[(table["layer"] == layer) & (table["head"].isna() if head is None else table["head"] == head)]
    rows = rows.assign(order=-rows["sign"])
    return rows.sort_values(["index", "side", "order"]).reset_index(drop=True)


def plain(text: str) -> str:
    return SPACES.sub(" ", text.replace("\u202f", " ").replace("\u2212", "-")).strip()


def downloaded(page, button) -> list[dict[str, str]]:
    with page.expect_download() as waiting:
        button.click()
    raw = Path(waiting.value.path()).read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") and waiting.value.suggested_filename.endswith(".csv")
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))


def as_text(cell: str) -> str:
    """A cell without the apostrophe that keeps spreadsheets from running it."""
    return cell[1:] if cell.startswith("'") and cell[1:2] in {*"=+-@\t\r\n", "\uff1d"} else cell


def rounded(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits - 1}e}")


def assert_rows_are(rows: list[dict[str, str]], expected: pd.DataFrame, spectra: pd.DataFrame) -> None:
    """Rows of a CSV are the lists of the tables: every token, score and label."""
    values = spectra.set_index(["layer", "head", "index"])["value"]
    assert len(rows) == len(expected)
    for row, (_, one) in zip(rows, expected.iterrows(), strict=True):
        assert (int(row["direction"]), row["side"], int(row["sign"])) == (one["index"], one["side"], one["sign"])
        assert [as_text(row[f"token_{i + 1}"]) for i in range(TOKENS)] == list(one["tokens"][:TOKENS])
        scores = [float(row[f"token_score_{i + 1}"]) for i in range(TOKENS)]
        assert scores == pytest.approx([rounded(float(score)) for score in one["scores"][:TOKENS]], rel=1e-12)
        assert as_text(row["label"]) == (one["label"] or "") and row["kind"] == one["kind"]
        for name in ("score", "q_value", "p_direction"):
            assert float(row[name]) == pytest.approx(rounded(one[name]), rel=1e-12)
        value = values[one["layer"], one["head"], one["index"]]
        assert float(row["singular_value"]) == pytest.approx(rounded(value, 4), rel=1e-12)


# --- looking ---


def test_the_first_view_shows_the_fractions_of_the_table(page, index, sweep):
    started = time.perf_counter()
    go(page, index)
    print(f"first view: {time.perf_counter() - started:.2f} s")
    fractions = pq.ParquetFile(sweep[0].tokens.parents[3] / "tables/fractions.parquet").read().to_pandas()
    own = fractions.query(
        "model == 'shallow' and setting == 'raw' and matrix == 'ov' and side == 'all' and unit == 'row' "
        "and group == 'head' and kind == 'all'"
    )
    assert page.locator(".grid button").count() == len(own) == 6
    for _, row in own.iterrows():
        shown = page.locator(f"[data-layer='{row['layer']:.0f}'][data-head='{row['head']:.0f}']").get_attribute(
            "aria-label"
        )
        expected = (
            f"Layer {row['layer']:.0f}, head {row['head']:.0f}: {100 * row['fraction']:.1f} % "
            f"({row['k']} of {row['n']}; 95 %: {100 * rounded(row['low']):.1f}–{100 * rounded(row['high']):.1f} %), "
            f"random {100 * rounded(row['control_fraction']):.1f} %"
        )
        assert plain(shown) == expected
    # What was not chosen is chosen: the matrix with the largest fraction.
    best = own.sort_values("fraction", ascending=False).iloc[0]
    assert page.locator("h2").first.inner_text() == f"Layer {best['layer']:.0f}, head {best['head']:.0f}"


def test_a_click_on_a_head_shows_its_lists(page, index, sweep):
    go(page, index)
    started = time.perf_counter()
    act(page, lambda: page.click("[data-layer='1'][data-head='2']"))
    print(f"click: {1000 * (time.perf_counter() - started):.0f} ms")
    assert page.locator("#detail-title").inner_text() == "Layer 1, head 2"
    tokens, spectra = tables(sweep, "shallow", "raw", "ov")
    expected = of_cell(tokens, 1, 2)
    names = page.locator(".lists > tbody > tr > .label").all_inner_texts()
    shown = [("" if plain(name) == "–" else plain(name)) for name in names]
    wanted = [plain(f"{row['label']} {row['kind']}") if row["label"] else "" for _, row in expected.iterrows()]
    assert [name for name, label in zip(shown, expected["label"], strict=True) if printable(label)] == [
        name for name, label in zip(wanted, expected["label"], strict=True) if printable(label)
    ]
    page.wait_for_selector(".lists > tbody:last-child .line bdi:nth-child(20)")
    lines = page.locator(".lists .line").all()
    for line, words in zip(lines[:8], expected["tokens"][:8], strict=True):
        found = line.locator("bdi").all_text_contents()
        assert len(found) == TOKENS
        assert [text for text, word in zip(found, words, strict=False) if printable(word)] == [
            word for word in words[:TOKENS] if printable(word)
        ]
    assert_rows_are(downloaded(page, page.locator(".detail .quiet")), expected, spectra)


def printable(text: str | None) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and "\\x" not in text


def test_an_opened_direction_shows_its_tokens_and_numbers(page, index, sweep):
    go(page, index, "#layer=0&head=1&open=2")
    tokens, spectra = tables(sweep, "shallow", "raw", "ov")
    expected = of_cell(tokens, 0, 1).query("index == 2")
    columns = page.locator(".column").all()
    assert len(columns) == len(expected) == 4
    for column, (_, row) in zip(columns, expected.iterrows(), strict=True):
        assert plain(column.locator("h4 .side").inner_text()) == f"{row['side']} {'+' if row['sign'] > 0 else '-'}"
        scores = [float(plain(text)) for text in column.locator(".score").all_inner_texts()]
        assert scores == pytest.approx([rounded(float(score)) for score in row["scores"][:TOKENS]])
        numbers = plain(column.locator(".calibration").inner_text())
        for name in ("score", "q_value", "p_direction"):
            assert any(
                float(text) == pytest.approx(rounded(row[name])) for text in re.findall(r"-?[\d.]+(?:e-?\d+)?", numbers)
            )
    value = spectra.query("layer == 0 and head == 1 and index == 2")["value"].iloc[0]
    assert float(page.locator("#direction-2 .sigma").inner_text()) == rounded(value, 4)
    assert page.locator("#direction-2").get_attribute("aria-expanded") == "true"
    act(page, lambda: page.click("#direction-2"))
    assert page.locator(".column").count() == 0


def test_another_setting_model_matrix_and_colour(page, index, sweep):
    go(page, index, "#layer=1&head=1")
    act(page, lambda: page.select_option("#setting", "fold"))
    expected = of_cell(tables(sweep, "shallow", "fold", "ov")[0], 1, 1)
    assert page.locator("#detail-title").inner_text() == "Layer 1, head 1"
    rows = downloaded(page, page.locator(".detail .quiet"))
    assert [as_text(row["token_1"]) for row in rows] == [words[0] for words in expected["tokens"]]
    act(page, lambda: page.select_option("#colour", "top"))
    spectra = tables(sweep, "shallow", "fold", "ov")[1]
    top = spectra.query("layer == 1 and head == 1 and index == 0")["value"].iloc[0]
    assert plain(page.locator("#cell-0-1-1").get_attribute("aria-label")) == f"Layer 1, head 1: {rounded(top, 4):.4g}"
    act(page, lambda: page.select_option("#model", "deep model"))
    assert page.locator(".grid button").count() == 8
    act(page, lambda: page.check("#matrix-mlp_in", force=True))
    assert page.locator(".grid.bars button").count() == 4
    grid = downloaded(page, page.locator(".overview .quiet").first)
    assert [row["layer"] for row in grid] == ["0", "1", "2", "3"] and {row["quantity"] for row in grid} == {"top"}


def test_two_settings_side_by_side(page, index, sweep):
    go(page, index, "#layer=1&head=0")
    act(page, lambda: page.click("#compare"))
    act(page, lambda: page.select_option("#setting2", "fold"))
    assert page.locator(".grid").count() == 2
    one = of_cell(tables(sweep, "shallow", "raw", "ov")[0], 1, 0)
    other = of_cell(tables(sweep, "shallow", "fold", "ov")[0], 1, 0)
    common = [len(set(a[:TOKENS]) & set(b[:TOKENS])) for a, b in zip(one["tokens"], other["tokens"], strict=True)]
    shown = [plain(text).split(" ")[0] for text in page.locator("td.common").all_inner_texts()]
    assert [int(text) for text in shown] == common
    act(page, lambda: page.select_option("#model2", "deep model"))
    assert page.locator(".pairs thead th").last.inner_text() == "deep model, raw"
    # What the other does not have is said.
    act(page, lambda: page.click("#cell-0-1-2"))
    assert "deep model has no layer 1, head 2; here is shallow, raw alone." in page.locator(".detail").inner_text()
    alone = of_cell(tables(sweep, "shallow", "raw", "ov")[0], 1, 2)
    assert page.locator(".lists .tokens").count() == len(alone)
    act(page, lambda: page.click("#compare"))
    assert page.locator(".grid").count() == 1


def test_random_directions_are_shown_as_lists_of_their_own(page, index, sweep):
    go(page, index)
    act(page, lambda: page.get_by_role("link", name="Random directions").click())
    control = pq.ParquetFile(sweep[0].random).read().to_pandas()
    rows = downloaded(page, page.locator(".detail .quiet"))
    expected = control[control["index"] < 32].assign(order=-control["sign"]).sort_values(["index", "order"])
    assert [as_text(row["token_1"]) for row in rows] == [words[0] for words in expected["tokens"]]


# --- searching ---


def where_tokens_are(sweep, wanted) -> set[tuple]:
    found = set()
    for source in sweep:
        table = pq.ParquetFile(source.tokens).read().to_pandas()
        for row in table.itertuples():
            if set(row.tokens[:TOKENS]) & wanted:
                head = None if pd.isna(row.head) else int(row.head)
                found.add((source.model, source.tokens.stem, row.layer, head, row.Index, row.side, row.sign))
    return found


def test_searching_a_token_finds_every_list_that_has_it(page, index, sweep):
    go(page, index)
    page.fill("#query", "fire")
    act(page, lambda: page.press("#query", "Enter"))
    expected = where_tokens_are(sweep, {" fire", "fire", "Fire"})
    assert page.locator(".tabs a").first.inner_text() == f"Tokens {len(expected)}"
    picked = page.locator(".chip[aria-pressed='true']").all_text_contents()
    assert sorted(re.sub(r"\d+$", "", text) for text in picked) == [" fire", "Fire", "fire"]
    while page.locator(".more").is_visible():
        page.click(".more")
    assert page.locator(".found > tbody > tr").count() == len(expected)
    page.wait_for_selector(".found > tbody > tr:last-child .line bdi:nth-child(20)")
    assert page.locator(".found > tbody > tr:not(:has(.searched))").count() == 0
    rows = downloaded(page, page.locator(".results .quiet"))
    assert len(rows) == len(expected)
    assert all({as_text(row[f"token_{i + 1}"]) for i in range(TOKENS)} & {" fire", "fire", "Fire"} for row in rows)
    # Narrower: without one of them, and in this model and setting.
    act(page, lambda: page.get_by_role("button", name=re.compile("^Fire")).click())
    assert page.locator(".tabs a").first.inner_text() == f"Tokens {len(where_tokens_are(sweep, {' fire', 'fire'}))}"
    act(page, lambda: page.check("#where-here", force=True))
    here = [source for source in sweep if (source.model, source.setting) == ("shallow", "raw")]
    assert page.locator(".tabs a").first.inner_text() == f"Tokens {len(where_tokens_are(here, {' fire', 'fire'}))}"
    page.wait_for_selector("#status:text('lists with such tokens')", state="attached")


def test_a_result_is_a_link_to_its_direction_and_back(page, index):
    go(page, index, "#view=search&q=fire")
    first = page.locator(".found > tbody > tr").first
    name = first.locator(".place").inner_text()
    act(page, lambda: first.locator("a").click())
    found = re.fullmatch(r"(.*) L(\d+)(?: H(\d+))?, direction (\d+)", name)
    head = f", head {found[3]}" if found[3] else ""
    assert page.locator("#detail-title").inner_text() == f"Layer {found[2]}{head}"
    assert page.locator(f"#direction-{found[4]}").get_attribute("aria-expanded") == "true"
    assert page.locator(".column .searched").count() >= 1
    act(page, lambda: page.go_back())
    assert page.locator("#results-title").is_visible()
    act(page, lambda: page.click("text=Back to the grid"))
    assert page.locator(".grid").is_visible()


def test_searching_labels(page, index, sweep):
    go(page, index, "#view=search&q=FIRE&find=labels")
    expected = set()
    for source in sweep:
        for path in source.labels.values():
            table = pq.ParquetFile(path).read().to_pandas()
            hits = table[table["label"].str.lower().str.contains("fire", regex=False, na=False)]
            expected |= {(source.model, path.stem, row, label) for row, label in hits["label"].items()}
    assert page.locator(".tabs a[aria-current]").inner_text() == f"Labels {len(expected)}"
    act(page, lambda: page.goto(page.url.replace("FIRE", "nosuchlabel")))
    assert "No label has “nosuchlabel” in it." in page.locator(".results").inner_text()


def test_hostile_tokens_are_found_and_shown_as_text(page, index):
    go(page, index)
    for token in ["</script>", "=1+1", "مرحبا", "🔥", "__proto__", "\\xe2", "%00", "${7*7}", "<b>"]:
        page.fill("#query", token)
        act(page, lambda: page.press("#query", "Enter"))
        assert page.locator(".chip").first.locator("bdi").text_content().strip().startswith(token)
        assert page.locator(".results b, .results script").count() == 0


def test_every_view_is_a_link(page, index):
    go(page, index)
    act(page, lambda: page.select_option("#colour", "excess"))
    act(page, lambda: page.click("[data-layer='0'][data-head='2']"))
    act(page, lambda: page.check("#side-write", force=True))
    act(page, lambda: page.click("#direction-1"))
    act(page, lambda: page.check("#only-interpretable", force=True))
    shown, url = page.locator("main").inner_text(), page.url
    page.goto("about:blank")
    page.goto(url)
    wait(page)
    page.wait_for_selector(".lists > tbody:last-child .line bdi:nth-child(20)")
    assert page.locator("main").inner_text().split() == shown.split()
    for expected in ("#direction-1[aria-expanded=true]", "#side-write:checked", "#cell-0-0-2[aria-current]"):
        assert page.locator(expected).count() == 1


# --- by keyboard, by ear, in the dark ---


def focused(page, what: str) -> str:
    return page.evaluate(f"document.activeElement.{what}")


def test_the_keyboard_is_enough(page, index):
    go(page, index, "#layer=0&head=0")
    page.keyboard.press("Tab")
    assert focused(page, "textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert focused(page, "id") == "main"
    for _ in range(12):
        page.keyboard.press("Tab")
        if focused(page, "className").startswith("cell"):
            break
    assert focused(page, "id") == "cell-0-0-0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    assert focused(page, "id") == "cell-0-1-2"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    act(page, lambda: page.keyboard.press("Enter"))
    assert page.locator("#detail-title").inner_text() == "Layer 1, head 2"
    assert focused(page, "id") == "cell-0-1-2", "the focus stays where it was"
    for _ in range(12):
        page.keyboard.press("Tab")
        if focused(page, "id") == "direction-0":
            break
    act(page, lambda: page.keyboard.press("Enter"))
    assert focused(page, "id") == "direction-0" and focused(page, "getAttribute('aria-expanded')") == "true"
    page.keyboard.press("/")
    assert focused(page, "id") == "query"
    page.keyboard.type("fire")
    act(page, lambda: page.keyboard.press("Enter"))
    assert page.locator("#results-title").is_visible()


def test_what_screen_readers_need(page, index):
    for view in (
        "",
        "#layer=0&head=0&open=0",
        "#setting2=fold&layer=0&head=0&open=0",
        "#view=search&q=fire",
        "#matrix=mlp_in",
    ):
        go(page, index, view)
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll("button, a, select, input")]
                .filter((one) => !one.getAttribute("aria-label") && !one.textContent.trim() && !one.labels?.length)
                .map((one) => one.outerHTML)"""
        )
        assert unnamed == []
        assert page.evaluate("[...document.querySelectorAll('table')].filter((one) => !one.caption).length") == 0
        assert page.evaluate("[...document.querySelectorAll('th')].filter((one) => !one.scope).length") == 0
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
        assert len(ids) == len(set(ids))
        assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
        assert page.locator("#status").get_attribute("aria-live") == "polite"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"


def test_the_guide_opens_and_closes(page, index):
    go(page, index)
    page.click("#help")
    assert page.locator("dialog h2").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog h2").is_visible()


def test_dark_when_the_system_is_or_when_asked(browser, index):
    context = browser.new_context(viewport=LAPTOP, color_scheme="dark")
    page = context.new_page()
    go(page, index)
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(background)
    cells = page.locator(".cell").first.evaluate("(one) => getComputedStyle(one).backgroundColor")
    page.click("#theme")
    page.wait_for_selector("[data-theme='light']")
    assert page.evaluate(background) != dark
    page.wait_for_timeout(100)
    assert page.locator(".cell").first.evaluate("(one) => getComputedStyle(one).backgroundColor") != cells
    page.reload()
    wait(page)
    assert page.locator("html").get_attribute("data-theme") == "light", "it is remembered"
    context.close()


CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const light = (text) => { const [r, g, b] = channels(text); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const low = [];
  for (const one of document.querySelectorAll("main *, header *, nav *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const shown = one.checkVisibility({ opacityProperty: true }) && !one.closest(":disabled, svg, .hidden");
    if (!own || !shown) continue;
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${one.className} ${one.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_told_from_what_is_behind_them(browser, index, scheme):
    context = browser.new_context(viewport=LAPTOP, color_scheme=scheme)
    page = context.new_page()
    for view in (
        "#layer=0&head=0&open=0",
        "#colour=excess",
        "#matrix=mlp_in",
        "#view=search&q=fire",
        "#layer=9&setting2=fold",
    ):
        go(page, index, view)
        assert page.evaluate(CONTRAST) == []
    context.close()


# --- two labellers ---


@pytest.fixture(scope="module")
def labelled_twice(tmp_path_factory) -> tuple[Path, Source, pd.DataFrame]:
    """An explorer with three labellers of MLP-in and one of OV, the tables of MLP-in, and what is said of each pair."""
    directory = tmp_path_factory.mktemp("labelled_twice")
    shape = Shape(layers=8, heads=1, directions=10, rank=10, matrices=("ov", "mlp_in"), tables=(("raw", 0),))
    sources = write_sweep(directory / "results", {"a model": shape})
    label_again(sources[1:], "llm", directions=9)
    label_again(sources[1:], "manual", sign=1, every=2)
    agreement = write_agreement(sources)
    fractions = directory / "results/tables/fractions.parquet"
    build_explorer(sources, fractions, STATIC, directory / "explorer", agreement)
    table = pq.ParquetFile(agreement).read().to_pandas()
    return directory / "explorer/index.html", sources[1], table[table["second"].notna()]


def decisions_of_both(source: Source, first: str, second: str) -> pd.DataFrame:
    """The lists on which both decided, with the label and the decision of each."""
    keys, tables = ["layer", "index", "side", "sign"], []
    for name in (first, second):
        table = pq.ParquetFile(source.labels[name]).read().to_pandas()
        table = table[(table["status"] == "ok") & table["interpretable"].notna()].set_index(keys)
        tables.append(table[["label", "kind", "interpretable"]].assign(yes=table["interpretable"].astype(bool)))
    return tables[0].join(tables[1], how="inner", lsuffix="_first", rsuffix="_second")


def test_lists_on_which_two_labellers_differ(page, labelled_twice):
    index, source, table = labelled_twice
    go(page, index, "#matrix=ov&layer=1")
    act(page, lambda: page.click("text=Where labellers differ"))
    # OV has one labeller, so it is the first place with several.
    assert page.locator("#agreement-title").is_visible() and page.locator("#matrix-mlp_in").is_checked()
    for first, second in (("coherence", "llm"), ("manual", "llm"), ("manual", "coherence")):
        if page.locator("#first").input_value() != first:
            act(page, lambda first=first: page.select_option("#first", first))
        if page.locator("#second").input_value() != second:
            act(page, lambda second=second: page.select_option("#second", second))
        of_both = table["first"].isin([first, second]) & table["second"].isin([first, second])
        [row] = table[of_both].to_dict("records")
        own, others = ("only_first", "only_second") if row["first"] == first else ("only_second", "only_first")
        cells = [int(text) for text in page.locator(".two-by-two").first.locator("td").all_inner_texts()]
        assert cells == [row["both"], row[own], row[others], row["neither"]]
        said = plain(page.locator(".agreement-figures .overall").inner_text())
        kappa, low, high = (f"{row[f'kappa{end}']:.2f}" for end in ("", "_low", "_high"))
        assert f"kappa {kappa} (95 %: {low} to {high})" in said
        shares = [plain(text) for text in page.locator(".two-by-two").nth(1).locator("td").all_inner_texts()]
        expected = [
            f"{100 * (row[f'{prefix}both'] + row[f'{prefix}{cell}']) / row[f'{prefix}n']:.1f} %"
            for cell in (own, others)
            for prefix in ("", "control_")
        ]
        assert shares == expected

    go(page, index, "#matrix=mlp_in&view=agreement&first=coherence&second=llm")
    both = decisions_of_both(source, "coherence", "llm")
    differ = both[both["yes_first"] != both["yes_second"]]
    shown = page.locator(".labelled-twice > tbody > tr")
    assert shown.count() == min(40, len(differ))
    act(page, lambda: page.check("#lists-neither", force=True))
    neither = (~both["yes_first"] & ~both["yes_second"]).sum()
    assert shown.count() == 40 < neither
    page.click(".agreement .more")
    page.wait_for_function(f"document.querySelectorAll('.labelled-twice > tbody > tr').length === {neither}")
    act(page, lambda: page.check("#lists-only_second", force=True))
    only = differ[differ["yes_second"]]
    assert shown.count() == len(only) and 5 < len(only) < 40
    for cells in shown.all():
        verdicts = cells.locator(".label .of").all_inner_texts()
        assert verdicts == ["not interpretable", "interpretable"]
    rows = downloaded(page, page.locator(".agreement .quiet"))
    assert {row["second_labeller"] for row in rows} == {"llm"} and {row["labeller"] for row in rows} == {"coherence"}
    keys = [(int(row["layer"]), int(row["direction"]), row["side"], int(row["sign"])) for row in rows]
    assert sorted(keys) == sorted(only.index)
    assert [as_text(row["second_label"]) for row in rows] == only.loc[keys, "label_second"].tolist()
    assert set(only["label_second"]) <= set(ANYONES_LABELS) and all(row["singular_value"] for row in rows)
    # Whatever a label holds is text; of a long one the page has the beginning.
    act(page, lambda: page.check("#lists-both", force=True))
    names = set(shown.locator("[data-labeller=llm] .name").all_inner_texts())
    cut = {label: f"{label[:200]}…" for label in ANYONES_LABELS if len(label) > 200}
    written = {"two\nlines": "two\\nlines", "\u202egnp": "U+202Egnp"} | cut
    labels = set(both[both["yes_first"] & both["yes_second"]]["label_second"])
    assert names == {written.get(label, label) for label in labels} and labels == set(ANYONES_LABELS)
    # A list leads to its direction.
    place = shown.first.locator(".place").inner_text()
    act(page, lambda: shown.first.locator("a").click())
    layer, direction = re.findall(r"\d+", place)
    assert page.locator(f"#direction-{direction}").get_attribute("aria-expanded") == "true"
    assert page.locator("#detail-title").inner_text() == f"Layer {layer}"


def test_what_cannot_be_compared_is_said(page, labelled_twice):
    index = labelled_twice[0]
    go(page, index, "#matrix=ov&view=agreement")
    said = page.locator(".agreement").inner_text()
    assert "Only coherence has labels of these lists" in said
    act(page, lambda: page.click(".agreement .notice a"))
    assert page.locator(".labelled-twice > tbody > tr").count() > 0
    go(page, index, "#matrix=mlp_in&view=agreement&first=llm&second=llm&lists=some")
    said = page.locator(".agreement").inner_text()
    assert "llm agrees with itself; here it is beside coherence." in said and "“lists=some”" in said
    go(page, index, "#matrix=mlp_in&view=agreement&first=nobody&labels=llm:B")
    said = page.locator(".agreement").inner_text()
    assert "No labels by “nobody” of these lists; here are those by llm." in said
    assert page.locator("#first").input_value() == "llm" and page.locator("#labels").count() == 0


def test_the_page_of_two_labellers_can_be_read_by_anyone(browser, labelled_twice):
    view = "#matrix=mlp_in&view=agreement"
    for scheme, size in (("light", LAPTOP), ("dark", {"width": 700, "height": 900}), ("light", TELEPHONE)):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        page = context.new_page()
        go(page, labelled_twice[0], view)
        page.wait_for_selector(".line bdi:nth-child(20)")
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        if size != LAPTOP:
            assert page.evaluate(CUT) == []
        assert page.evaluate("[...document.querySelectorAll('table')].filter((one) => !one.caption).length") == 0
        assert page.evaluate("[...document.querySelectorAll('th')].filter((one) => !one.scope).length") == 0
        context.close()


# --- what is missing ---


def test_the_first_view_says_why_it_shows_this_matrix(page, index, sweep):
    said = lambda: page.locator(".why").inner_text() if page.locator(".why").count() else ""  # noqa: E731
    go(page, index)
    assert "“Interpretable” is largest here, among all matrices" in said()
    assert "Model, setting and kind of matrix are the first of the sweep." in said()
    go(page, index, "#model=shallow&colour=top&layer=1")
    top = tables(sweep, "shallow", "raw", "ov")[1].query("layer == 1 and index == 0").set_index("head")["value"]
    assert page.locator("#detail-title").inner_text() == f"Layer 1, head {top.idxmax()}"
    assert "“Largest singular value” is largest here, in layer 1" in said() and "first of the sweep" not in said()
    # What the address chooses needs no reason.
    for view in ("#layer=1&head=0", "#matrix=mlp_in&layer=1", "#layer=random"):
        go(page, index, view)
        assert said() == ""


@pytest.mark.parametrize(
    ("view", "shown", "said"),
    [
        ("#layer=9&head=1", "head 1", "OV of shallow has no layer 9, it has 0 to 1; here is {shown}."),
        ("#layer=1&head=7", "Layer 1, head", "OV of shallow has no head 7, it has 0 to 2; here is {shown}."),
        ("#layer=9&head=-1", "", "has no layer 9, it has 0 to 1, and no head -1, it has 0 to 2; here is {shown}."),
        ("#layer=&head=", "", "has no layer , it has 0 to 1"),
        ("#layer=1.0&head=0", "head 0", "has no layer 1.0,"),
        ("#matrix=mlp_in&layer=1&head=2", "Layer 1", "MLP in of shallow has no heads, and the address has head 2"),
        ("#colour=blue", "", "No colour is called “blue”; here is interpretable. There are interpretable, excess,"),
        ("#side=up", "", "OV has no side “up”, it has read and write; here is all of it."),
        ("#matrix=mlp_in&side=write", "", "MLP in has no side “write”, it has read;"),
        ("#layer=0&head=0&open=6", "", "There is no direction 6 to open; there are 0 to 5."),
        ("#layer=0&head=0&open=-1", "", "There is no direction -1 to open"),
        ("#only=good", "", "“only=good” in the address says nothing; there are all, interpretable, beyond, and here"),
        ("#view=table", "", "“view=table” in the address says nothing"),
        ("#view=search", "", "no text to search for (q); here is the grid."),
        ("#setings=raw&head=1", "head 1", "“setings” in the address says nothing to this page."),
        ("#labels=x:y", "", "no labels “x:y”; here are those of coherence"),
        ("#model=deep+model&setting=fold", "", "deep model has no setting “fold”; here is raw."),
        ("#model=deep+model&matrix=mlp_out", "", "deep model has no matrix “mlp_out”; here is ov."),
        ("#model2=deep+model&setting2=unembed", "", "deep model has no setting “unembed”; here is raw."),
        ("#model=deep+model&setting=folds", "", "This sweep has no setting “folds”; here is raw."),
        ("#readout=W", "", "no read-out “W”; here is W_U."),
        ("#view=search&q=fire&find=words&where=there", None, "“where=there” in the address says nothing"),
    ],
)  # fmt: skip
def test_what_an_address_has_wrong_is_said_with_what_is_shown_instead(page, index, view, shown, said):
    go(page, index, view)
    if shown is None:
        assert page.locator("#results-title").is_visible()
    else:
        title = page.locator("#detail-title").inner_text()
        assert shown in title
        said = said.format(shown=title.lower())
    assert said in page.locator("main").inner_text()


def test_nothing_is_said_of_an_address_that_is_right(page, index):
    for view in (
        "",
        "#layer=1&head=2&colour=excess&side=write&open=3&only=all",
        "#view=search&q=fire&find=tokens&where=all",
    ):
        go(page, index, view)
        assert page.locator(".notice").count() == 0


def test_a_direction_that_the_filter_leaves_out_is_said(page, index, sweep):
    tokens, _ = tables(sweep, "shallow", "raw", "ov")
    said = pq.ParquetFile(sweep[0].labels["coherence"]).read().to_pandas()["interpretable"]
    places = tokens.assign(good=said).groupby(["layer", "head", "index"])["good"].any()
    left = [place for place, good in places.items() if not good]
    if not left:
        pytest.skip("every direction of the made-up sweep has an interpretable list")
    layer, head, direction = map(int, left[0])
    go(page, index, f"#layer={layer}&head={head}&open={direction}&only=interpretable")
    assert f"Direction {direction} is not opened" in page.locator(".problems").inner_text()


def test_differences_are_points_and_shares_are_per_cent(page, index):
    go(page, index, "#colour=excess&layer=1&head=1")
    words = plain(page.locator("#cell-0-1-1").get_attribute("aria-label"))
    assert re.fullmatch(r"Layer 1, head 1: [+-]?[\d.]+ points \(95 %: [+-]?[\d.]+ to [+-]?[\d.]+ points\)", words)
    assert page.locator(".ticks").inner_text().count("points") == 2 and "%" not in page.locator(".ticks").inner_text()
    heads = page.locator(".fractions thead th").all_inner_texts()
    row = dict(
        zip(heads[1:], page.locator(".fractions tbody tr").last.locator("td").all_inner_texts()[1:], strict=False)
    )
    assert "%" not in row["Excess, points"] and "%" in row["Random"] and "%" in row["Interpretable"]


def test_nothing_is_cut_at_500_pixels(browser, index):
    context = browser.new_context(viewport={"width": 500, "height": 900})
    page = context.new_page()
    for view in ("#layer=1&head=2&open=1", "#layer=1&head=1&setting2=fold", "#view=search&q=fire", "#matrix=mlp_in"):
        go(page, index, view)
        page.wait_for_selector(".line bdi:nth-child(20)")
        assert page.evaluate(CUT) == []
    context.close()


# What reaches beyond the window, or beyond a box that hides the rest. A token as long as a line is cut everywhere, and
# heads of tables of lists are for the ear there.
CUT = """() => [...document.querySelectorAll("main *, header *, nav *")].filter((one) => {
    const { width, right } = one.getBoundingClientRect();
    const { clipPath, overflowX } = getComputedStyle(one);
    if (!width || clipPath !== "none" || one.closest(".hidden, .skip, .token, select, .lists > thead")) return false;
    return right > innerWidth + 1 || (overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1);
  }).map((one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 30)}`)"""


def test_names_that_the_sweep_does_not_have_are_said(page, index):
    go(page, index, "#model=none&setting=%3Cb%3E&layer=99&labels=x:y")
    said = page.locator(".overview").inner_text()
    assert (
        "no model “none”" in said and "no setting “<b>”" in said and "no layer 99" in said and "no labels “x:y”" in said
    )


def test_labels_that_a_matrix_lacks_are_said(page, index):
    go(page, index, "#matrix=mlp_out")
    assert "No labels by coherence of MLP out in raw, in this sweep." in page.locator(".overview").inner_text()
    assert page.locator(".cell.missing").count() == 2
    assert "not labelled" in page.locator(".lists").inner_text()
    act(page, lambda: page.select_option("#colour", "top"))
    assert page.locator(".cell.missing").count() == 0


@pytest.mark.parametrize(
    ("shape", "labellers", "said"),
    [
        (Shape(layers=1, heads=1, directions=1, matrices=("ov",), tables=(("raw", 0),)), ("coherence",), None),
        (Shape(matrices=("mlp_out",), tables=(("raw", 0),)), ("coherence",), None),
        (Shape(matrices=("ov",), tables=(("raw", 0),)), (), "This sweep has no labels"),
    ],
)
def test_small_sweeps_are_shown(page, tmp_path, shape, labellers, said):
    sources = write_sweep(tmp_path / "results", {"a model": shape}, labellers=labellers, controls=10)
    build_explorer(sources, tmp_path / "results/tables/fractions.parquet", STATIC, tmp_path / "explorer")
    go(page, tmp_path / "explorer/index.html")
    assert page.locator(".lists > tbody").count() == shape.directions
    assert page.locator("#compare").is_disabled()
    if said:
        assert said in page.locator(".overview").inner_text()


def test_directions_of_another_basis_have_no_singular_value(page, tmp_path):
    shape = Shape(layers=1, heads=1, matrices=("ov",), tables=(("raw", 0),))
    for basis in ("svd", "varimax"):
        sources = write_sweep(tmp_path / basis, {"a model": shape}, controls=10, basis=basis)
        build_explorer(sources, tmp_path / basis / "tables/fractions.parquet", STATIC, tmp_path / f"explorer_{basis}")
        go(page, tmp_path / f"explorer_{basis}/index.html", "#open=0")
        text = page.locator(".detail").inner_text()
        assert ("the varimax basis of OV" in text) == (basis == "varimax")
        assert (page.locator(".lists .sigma").count() > 0) == (basis == "svd")
        # The spectrum is that of the matrix in either case.
        assert "singular values" in text


def test_examples_are_below_the_lists_of_a_direction(page, tmp_path):
    """Those of both signs, hostile texts as they are; in the setting that has none there is nothing."""
    shape = Shape(layers=1, heads=1, directions=6, matrices=("ov",), tables=(("raw", 0), ("fold", 1)))
    sources = write_sweep(tmp_path, {"tiny": shape}, controls=20)
    write_examples(tmp_path / "examples.parquet", shape)
    sources[0] = replace(sources[0], examples=tmp_path / "examples.parquet")
    build_explorer(sources, tmp_path / "tables/fractions.parquet", STATIC, tmp_path / "explorer")
    index = tmp_path / "explorer/index.html"
    go(page, index, "#setting=raw&matrix=ov&layer=0&head=0&open=5")
    page.locator(".windows").nth(3).wait_for()
    assert page.locator(".example h4 .side").all_inner_texts() == ["read +", "read \u2212", "write +", "write \u2212"]
    rows = page.locator(".windows").nth(1).locator("tbody tr")
    assert rows.count() == 3 and rows.nth(2).locator("td").all_text_contents() == [
        "ov 0 0 read 5 -1",
        "2",
        HOSTILE[5],
        "1.00",
    ]
    assert "the token there 0.25 (p 0.50)" in page.locator(".example .note").first.inner_text()
    go(page, index, "#setting=fold&matrix=ov&layer=0&head=0&open=5")
    assert page.locator(".column").count() == 4
    assert page.locator(".examples").count() == 0


def test_a_labeller_that_never_answered_is_said(page, tmp_path):
    shape = Shape(matrices=("ov",), tables=(("raw", 0),))
    sources = write_sweep(tmp_path / "results", {"model": shape}, controls=10)
    path = sources[0].labels["coherence"]
    table = pq.ParquetFile(path).read()
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    # Directions but the first are null space.
    status = ["null_space" if index else "abstained" for index in columns["index"].to_pylist()]
    columns |= {"status": status, "label": [None] * len(table), "labelled": [None] * len(table)}
    columns |= {"interpretable": [None] * len(table), "kind": [None] * len(table)}
    write_table(path, columns, LABELS, {"labeller_network": True, "token_frequency": "merges"})
    table = pq.ParquetFile(sources[0].spectra).read()
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    columns["cluster"] = [None if index else 0 for index in columns["index"].to_pylist()]
    write_table(sources[0].spectra, columns, SPECTRA, {})
    fractions = tmp_path / "results/tables/fractions.parquet"
    whole = pq.ParquetFile(fractions).read()
    pq.write_table(whole.filter(pa.array([False] * len(whole))), fractions)
    build_explorer(sources, fractions, STATIC, tmp_path / "explorer")
    go(page, tmp_path / "explorer/index.html")
    said = page.locator(".overview").inner_text()
    assert "coherence gave no answer to any list of OV in raw." in said
    assert "its labels are no independent evidence" in said
    assert page.locator(".lists > tbody > tr > .label").first.inner_text() == "abstained"
    second = page.locator(".lists > tbody").nth(1)
    assert second.locator(".label").first.inner_text() == second.locator(".sigma").inner_text() == "null space"
    assert "null space" not in page.locator(".lists > tbody").first.inner_text()


def test_a_matrix_of_zeros_is_said(page, tmp_path):
    shape = Shape(layers=1, heads=2, directions=3, matrices=("ov",), tables=(("raw", 0),))
    sources = write_sweep(tmp_path / "results", {"model": shape}, controls=10)
    for path, schema, zero in [
        (
            sources[0].labels["coherence"],
            LABELS,
            {"status": "null_space", "label": None, "kind": None, "labelled": None, "interpretable": None},
        ),
        (sources[0].spectra, SPECTRA, {"value": 0.0, "energy": 0.0, "cluster": None}),
    ]:
        table = pq.ParquetFile(path).read()
        columns = {name: table[name].to_pylist() for name in table.column_names}
        for name, value in zero.items():
            columns[name] = [
                value if head == 1 else old for head, old in zip(columns["head"], columns[name], strict=True)
            ]
        write_table(path, columns, schema, read_metadata(path))
    fractions = tmp_path / "results/tables/fractions.parquet"
    whole = pq.ParquetFile(fractions).read()
    pq.write_table(whole.filter(pc.invert(pc.equal(pc.fill_null(whole["head"], -1), 1))), fractions)
    build_explorer(sources, fractions, STATIC, tmp_path / "explorer")
    go(page, tmp_path / "explorer/index.html", "#head=1")
    assert "Hatched matrices are zero: all directions are null space" in page.locator(".overview").inner_text()
    [hatched] = page.locator(".cell.missing").all()
    assert hatched.get_attribute("aria-label") == "Layer 0, head 1: zero, all null space"
    detail = page.locator(".detail").inner_text()
    assert "All singular values are zero: every direction is null space." in detail
    assert page.locator(".lists .label").all_inner_texts() == ["null space"] * 3 * 4
    assert page.locator(".lists .sigma").all_inner_texts() == ["null space"] * 3


def test_a_missing_file_is_named(browser, index, tmp_path):
    shutil.copytree(index.parent, tmp_path / "copy")
    for path in tmp_path.glob("copy/data/shallow/ov_lists_*"):
        path.unlink()
    page = browser.new_page()
    go(page, tmp_path / "copy/index.html")
    assert re.search(r"data/shallow/ov_lists_\w+\.js is missing", page.locator(".notice").first.inner_text())


def test_a_search_shows_what_it_can_and_says_what_is_missing(browser, index, tmp_path):
    shutil.copytree(index.parent, tmp_path / "copy")
    for path in list(tmp_path.glob("copy/data/*/*_coherence_names_*")):
        path.rename(path.with_suffix(".away"))
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    go(page, tmp_path / "copy/index.html", "#view=search&q=fire&find=tokens")
    page.wait_for_selector(".found .note")
    missing = re.compile(r"data/[\w-]+/\w+_coherence_names_\w+\.js is missing")
    assert missing.search(page.locator(".found .tokens").first.inner_text())
    page.wait_for_selector(".tabs a:last-child span:text('?')")
    page.click(".results .quiet")
    page.wait_for_selector(".download .note:text('is missing')")
    # The files are asked for again, once they are there.
    for path in tmp_path.glob("copy/data/*/*.away"):
        path.rename(path.with_suffix(".js"))
    assert downloaded(page, page.locator(".results .quiet"))
    assert errors == []


# --- pictures ---

VIEWS = {
    "grid": ("#layer=1&head=2", "light", LAPTOP),
    "grid_dark": ("#layer=1&head=2&colour=excess", "dark", LAPTOP),
    "compare": ("#layer=1&head=1&setting2=fold", "light", LAPTOP),
    "search": ("#view=search&q=fire", "light", LAPTOP),
    "narrow": ("#layer=1&head=2", "light", TELEPHONE),
}


def test_screenshots(browser, index, screenshots):
    for name, (view, scheme, size) in VIEWS.items():
        context = browser.new_context(viewport=size, color_scheme=scheme)
        page = context.new_page()
        go(page, index, view)
        page.wait_for_selector(".line bdi:nth-child(20)")
        page.screenshot(path=screenshots / f"{name}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} sticks out"
        context.close()
