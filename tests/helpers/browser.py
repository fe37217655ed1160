"""Chromium without a window, on pages from disk."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LAPTOP = {"width": 1280, "height": 800}
TELEPHONE = {"width": 420, "height": 900}


def executable() -> str:
    """Chromium of this machine; a test that asks is skipped where there is none."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium, or say where it is with CHROMIUM")
    return found


@contextmanager
def chromium() -> Iterator:
    """A browser of playwright.sync_api; a test that asks is skipped where Playwright is not installed."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    path = executable()
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def address(index: Path, view: str = "") -> str:
    return f"{index.resolve().as_uri()}{view}"


def wait(page) -> None:
    """Until the page shows what its address asks for."""
    page.wait_for_selector("html[data-shown]", timeout=10_000)


def go(page, index: Path, view: str = "") -> None:
    """Open a view as if for the first time: another address behind the # alone would not load the page again."""
    page.goto("about:blank")
    page.goto(address(index, view))
    wait(page)


def act(page, action) -> None:
    """Do something that changes the address, and wait for what it shows."""
    page.evaluate("delete document.documentElement.dataset.shown")
    action()
    wait(page)
