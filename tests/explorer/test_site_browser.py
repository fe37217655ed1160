"""The page over shared sweeps in a browser, from disk: every sweep is on it, and its links open."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from browser import TELEPHONE, address, chromium, wait
from svdlens.publication.site import share

pytest_plugins = ["workflow_fixtures"]

ODD = "my sweep's #1, 100% <b>?"
SAID = '<script>document.title = "pwned"</script> "ünï" & 码'


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.mark.workflow
def test_every_sweep_is_on_the_page_and_its_links_open(browser, finished_here: Path, tmp_path: Path) -> None:
    site = tmp_path / "site here & #there"
    Path(f"{ODD}.yaml").write_text(Path("tiny.yaml").read_text("utf-8"), "utf-8")
    share(Path("tiny.yaml"), site, name="A plain name")
    share(Path(f"{ODD}.yaml"), site, name=SAID)
    context = browser.new_context(viewport=TELEPHONE)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address(site / "index.html"))
    assert sorted(page.locator("h2").all_inner_texts()) == sorted([SAID, "A plain name"])
    assert page.title() == page.locator("h1").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("section").count() == 2
    for section in page.locator("section").all():
        assert section.locator("td.number").count() > 0

    # As the browser reads them. All are of files that are there; those of pages are followed.
    links = page.locator("a").evaluate_all("links => links.map(link => link.href)")
    folders = {Path(unquote(urlsplit(link).path)).relative_to(site).parts[0] for link in links}
    assert folders == {"tiny", ODD}
    assert all(Path(unquote(urlsplit(link).path)).is_file() for link in links)
    for number, link in enumerate(links):
        if link.endswith(".html"):
            page.goto(address(site / "index.html"))
            page.locator("a").nth(number).click()
            assert page.url.startswith(link)
            if "/explorer/" in link:
                wait(page)
                assert page.locator(".grid button").count() > 0
            else:
                assert page.locator("h1, h2").count() > 0
    assert complaints == []
    context.close()
