"""The explorer in Firefox, from disk: that it opens, shows what is chosen, finds, and complains of nothing."""

import re
from pathlib import Path

import pytest

from firefox import firefox
from made_up_sweep import Shape, label_again, write_agreement, write_sweep
from svdlens.explorer.build import build_explorer

STATIC = sorted((Path(__file__).parents[2] / "resources/explorer").glob("*"))
SHOWN = "document.documentElement.dataset.shown !== undefined"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with firefox(tmp_path_factory.mktemp("firefox") / "profile") as running:
        yield running


def test_the_explorer_opens_is_clicked_and_searched(browser, tmp_path):
    shape = Shape(layers=2, heads=3, directions=4, rank=6, matrices=("ov",))
    sources = write_sweep(tmp_path / "results", {"a model": shape}, controls=10)
    label_again(sources, "llm", sign=1)
    target, agreement = tmp_path / "explorer here & #there", write_agreement(sources)
    build_explorer(sources, tmp_path / "results/tables/fractions.parquet", STATIC, target, agreement)
    address = (target / "index.html").as_uri()

    browser.open(address)
    browser.wait(SHOWN)
    assert browser.run("return document.querySelectorAll('.grid button').length") == 6
    assert "Shown because “Interpretable” is largest here" in browser.run("return document.body.innerText")
    browser.click("[data-layer='1'][data-head='2']")
    browser.wait("document.querySelector('#detail-title').innerText === 'Layer 1, head 2'")
    browser.click("#direction-1")
    browser.wait("document.querySelectorAll('.column').length === 4")
    browser.type("#query", "fire\ue007")  # and the Enter key
    browser.wait("document.querySelector('#results-title')")
    assert re.fullmatch(r"Tokens [1-9]\d*", browser.run("return document.querySelector('.tabs a').innerText"))

    browser.open(f"{address}#view=agreement")
    browser.wait("document.querySelectorAll('.labelled-twice > tbody > tr').length")
    browser.click("label:has(#lists-neither)")
    browser.wait(
        "[...document.querySelectorAll('.labelled-twice .of')].every((one) => one.innerText === 'not interpretable')"
    )
    assert "Cohen’s kappa" in browser.run("return document.querySelector('.agreement-figures').innerText")

    browser.open(f"{address}#layer=99&colour=blue")
    browser.wait(SHOWN)
    text = browser.run("return document.querySelector('.problems').innerText")
    assert "has no layer 99" in text and "No colour is called “blue”" in text
    assert browser.complaints("file:") == []


def test_what_a_page_complains_of_is_seen(browser, tmp_path):
    (tmp_path / "page.html").write_text("<script>throw new Error('planted')</script>")
    browser.open((tmp_path / "page.html").as_uri())
    browser.wait("document.readyState === 'complete'")
    assert any("planted" in complaint for complaint in browser.complaints((tmp_path / "page.html").as_uri()))
