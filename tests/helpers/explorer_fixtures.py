"""Fixtures of tests of the explorer in Chromium, for a module that says `pytest_plugins = ["explorer_fixtures"]`."""

import pytest

from browser import LAPTOP, chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser):
    """A page that fails the test in the end if it complained, asked a network, or ran what a token says."""
    context = browser.new_context(viewport=LAPTOP, accept_downloads=True)
    made, complaints = context.new_page(), []
    made.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on("request", lambda request: complaints.append(request.url) if is_foreign(request.url) else None)
    made.on("dialog", lambda dialog: complaints.append(dialog.message))
    yield made
    assert complaints == []
    assert "pwned" not in made.title() and made.locator("img").count() == 0
    context.close()


def is_foreign(url: str) -> bool:
    return not url.startswith(("file:", "blob:", "data:", "about:"))
