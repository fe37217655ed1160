"""The page of a sheet as people use it: from disk, with the keyboard alone."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from browser import LAPTOP, TELEPHONE, chromium
from made_up_lists import rows_of, small_sheet, write_lists
from svdlens.artefacts.atomic_files import write_text
from svdlens.labels.manual.filled_in import Judgement, read_filled_in
from svdlens.labels.manual.sampling import Sheet
from svdlens.labels.manual.sheet_files import sheet_csv, sheet_page

RESOURCES = Path(__file__).parents[3] / "resources"


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def sheet(tmp_path_factory) -> Sheet:
    return small_sheet(write_lists(tmp_path_factory.mktemp("lists") / "mlp_in.parquet"), n=2, random_lists=2)


@pytest.fixture(scope="module")
def path(sheet, tmp_path_factory) -> Path:
    files = [*(RESOURCES / "label_sheet").glob("*"), *(RESOURCES / "explorer").glob("*.js")]
    target = tmp_path_factory.mktemp("a sheet & #more") / "sheet.html"
    write_text(target, sheet_page(sheet, {file.name: file.read_text("utf-8") for file in files}))
    return target


@pytest.fixture
def context(browser):
    made = browser.new_context(viewport=LAPTOP, accept_downloads=True)
    yield made
    made.close()


@pytest.fixture
def page(context, path):
    """The open page; fails the test in the end if it complained, asked for another file, or ran what a token says."""
    made, complaints = context.new_page(), []
    made.on("console", lambda one: complaints.append(one.text) if one.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on("request", lambda one: complaints.append(one.url) if not is_own(one.url, path) else None)
    made.on("dialog", lambda dialog: complaints.append(dialog.message))
    made.goto(path.as_uri())
    yield made
    assert complaints == []
    assert made.title() == "Label sheet" and made.locator("img").count() == 0


def is_own(url: str, path: Path) -> bool:
    return url == path.as_uri() or url.startswith(("blob:", "data:"))


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def begin(page, name: str = "anna") -> None:
    page.keyboard.type(name)
    press(page, "Enter")


def downloaded(page) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        press(page, "d")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_two_names_without_a_latin_letter_make_two_files(page):
    begin(page, "Анна")
    assert downloaded(page)[0] == "sheet-Анна.csv"
    page.reload()
    page.fill("#person", "Jörg ../x")
    press(page, "Enter")
    assert downloaded(page)[0] == "sheet-Jörg_x.csv"


def test_a_sheet_is_labelled_with_the_keyboard_alone(page, sheet, tmp_path):
    n = len(sheet.ids)
    assert n == 8
    begin(page)
    assert page.locator("h2:visible").inner_text() == f"List 1 of {n}"
    # Nothing said yet: the same bytes as the CSV beside the page.
    name, content = downloaded(page)
    assert name == "sheet-anna.csv" and content == sheet_csv(sheet).encode("utf-8")

    press(page, "n")  # no: goes on at once
    press(page, "s")
    assert page.evaluate("document.activeElement.id") == "label"
    page.keyboard.type('=dangerous, and "quoted"')  # letters are letters there
    press(page, "Enter", "G", "Enter", "o")
    page.keyboard.type("ns")
    press(page, "Escape", "ArrowRight")
    assert page.locator("h2:visible").inner_text() == f"List 5 of {n}"
    # Back, another answer, taken back, and given again.
    press(page, "ArrowLeft", "ArrowLeft")
    assert page.locator("#answer-grammatical").is_checked()
    press(page, "Delete")
    assert page.locator("#progress").inner_text() == f"3 of {n} labelled"
    press(page, "u")  # the next without an answer is the fifth
    assert page.locator("h2:visible").inner_text() == f"List 5 of {n}"
    press(page, "n", "n", "n", "n")  # behind the last one: what was left out
    assert page.locator("h2:visible").inner_text() == f"List 3 of {n}"
    press(page, "n", "u")
    assert page.locator("h2:visible").inner_text() == "Every list has an answer"
    assert page.locator("progress").evaluate("bar => bar.value") == n

    name, content = downloaded(page)
    file = tmp_path / name
    file.write_bytes(content)
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert rows[1]["label"] == '\'=dangerous, and "quoted"'  # no formula
    assert [row["id"] for row in rows] == sheet.ids and len(rows_of(sheet)) == len(rows)
    assert read_filled_in(file, dict(zip(sheet.ids, sheet.texts, strict=True))) == [
        Judgement(sheet.ids[0], False, None, None),
        Judgement(sheet.ids[1], True, "semantic", '=dangerous, and "quoted"'),
        Judgement(sheet.ids[2], False, None, None),
        Judgement(sheet.ids[3], True, "orthographic", "ns"),
        *(Judgement(id, False, None, None) for id in sheet.ids[4:]),
    ]


def test_what_was_said_is_kept_by_name(page, path):
    begin(page)
    press(page, "s")
    page.keyboard.type("fire")
    page.goto(path.as_uri())
    # The name is there, and the first list without an answer comes first.
    press(page, "Enter")
    assert page.locator("h2:visible").inner_text() == "List 2 of 8"
    press(page, "ArrowLeft")
    assert page.locator("#answer-semantic").is_checked() and page.locator("#label").input_value() == "fire"
    page.goto(path.as_uri())
    press(page, "ControlOrMeta+a")
    begin(page, "ben")
    assert page.locator("#progress").inner_text() == "0 of 8 labelled"
    page.goto(path.as_uri())
    press(page, "ControlOrMeta+a")
    begin(page, "anna")
    assert page.locator("#progress").inner_text() == "1 of 8 labelled"


def test_what_was_kept_and_is_none_of_it_does_no_harm(page, path, sheet):
    begin(page)
    name = page.evaluate("Object.keys(localStorage).find((key) => key.endsWith(' anna'))")
    for kept in ("{", "[1]", json.dumps({sheet.ids[0]: {"answer": "perhaps"}}), json.dumps({sheet.ids[1]: 7})):
        page.evaluate("([name, kept]) => localStorage.setItem(name, kept)", [name, kept])
        page.goto(path.as_uri())
        press(page, "Enter")
        assert page.locator("#progress").inner_text() == "0 of 8 labelled"
        assert page.locator("#problem").is_visible() == (kept == "{")


def test_a_browser_that_keeps_nothing_says_so(context, path):
    page = context.new_page()
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    page.goto(path.as_uri())
    begin(page)
    assert "keeps nothing" in page.locator("#problem").inner_text()
    press(page, "n")
    assert page.locator("#progress").inner_text() == "1 of 8 labelled"
    content = downloaded(page)[1]
    assert content.count(b",no,") == 1


def test_every_token_can_be_seen_and_none_runs(page, sheet):
    begin(page)
    for place, texts in enumerate(sheet.texts):
        shown = page.locator("#tokens li")
        assert shown.count() == len(texts)
        for text, one in zip(texts, shown.all_text_contents(), strict=True):
            assert one.strip() or not text.strip()
            if text.isascii() and text.isprintable() and text:
                assert one == text
        if place + 1 < len(sheet.texts):
            press(page, "ArrowRight")


def test_every_control_is_reached_and_named(page):
    begin(page)
    press(page, "s", "Escape")
    reached = []
    for _ in range(12):
        press(page, "Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"answer-semantic", "label", "back", "next", "unlabelled", "Download CSV"} <= set(reached)
    for control in page.locator("button:visible, input:visible").all():
        named = control.evaluate("one => one.labels?.length || one.textContent.trim().length")
        assert named
    assert page.locator("#progress").is_visible() and page.locator("progress").get_attribute("aria-label")
    assert page.locator("#status").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "size", [LAPTOP, TELEPHONE, {"width": 320, "height": 640}], ids=["laptop", "telephone", "narrow"]
)
def test_the_page_fits_its_window_in_either_light(page, scheme, size, tmp_path):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    begin(page)
    press(page, "s")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    page.screenshot(path=Path(os.environ.get("SVDLENS_SCREENSHOTS", tmp_path)) / f"sheet_{scheme}_{size['width']}.png")
    for selector in ("h2:visible", "#tokens .token", "#answers label", "#answers small", ".keys", "#label"):
        assert contrast(page, selector) >= 4.5, selector


CONTRAST = """(one) => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ink = parse(getComputedStyle(one).color);
  let behind = one;
  let ground = parse(getComputedStyle(behind).backgroundColor);
  while (ground[3] === 0) {
    behind = behind.parentElement;
    ground = behind ? parse(getComputedStyle(behind).backgroundColor) : [255, 255, 255];
  }
  const [low, high] = [luminance(ink), luminance(ground)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""


def contrast(page, selector: str) -> float:
    return page.locator(selector).first.evaluate(CONTRAST)
