"""Firefox without a window, on pages from disk, through Marionette: the protocol that Firefox has for WebDriver.

Playwright drives a Firefox of its own, which few indexes have; of another it asks for commands that Debian's does not
know. Marionette is numbered JSON, each message with its length before it, on a port of this machine.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# A script that still runs when the next address is opened in another process is else ended, which the console says.
PREFERENCES = """\
user_pref("marionette.port", 0);
user_pref("app.update.enabled", false);
user_pref("dom.abort_script_on_child_shutdown", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
"""
# What the page itself complained of: errors of scripts, and what its Content-Security-Policy refused.
COMPLAINTS = """return Services.console.getMessageArray()
    .filter((one) => one instanceof Ci.nsIScriptError && one.sourceName.startsWith(arguments[0]))
    .map((one) => one.errorMessage)"""


def executable() -> str:
    """Firefox of this machine; a test that asks is skipped where there is none."""
    found = os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
    if not found:
        pytest.skip("no Firefox here: apt-get install firefox-esr, or say where it is with FIREFOX")
    return found


class Firefox:
    """One window. Commands are those of Marionette."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.answers = self.socket.makefile("rb")
        self.number = 0
        self.read()  # what it says of itself
        self.send("WebDriver:NewSession", capabilities={"alwaysMatch": {}})

    def read(self) -> Any:
        length = bytearray()
        while (byte := self.answers.read(1)) != b":":
            length += byte
        return json.loads(self.answers.read(int(length)))

    def send(self, command: str, **parameters: Any) -> Any:
        """The answer to a command; AssertionError with Firefox's own words where it refuses."""
        self.number += 1
        message = json.dumps([0, self.number, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self.read()
        assert number == self.number and error is None, error
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def open(self, address: str) -> None:
        self.send("WebDriver:Navigate", url="about:blank")  # another address behind the # alone would not load it again
        self.send("WebDriver:Navigate", url=address)

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of a function returns in the page."""
        return self.send("WebDriver:ExecuteScript", script=script, args=list(arguments))

    def wait(self, condition: str) -> None:
        """Until an expression is true in the page."""
        deadline = time.monotonic() + 30
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < deadline, f"never true: {condition}"
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """Click as a person does: the element is scrolled to, and must not be covered."""
        element = self.send("WebDriver:FindElement", using="css selector", value=selector)
        self.send("WebDriver:ElementClick", id=next(iter(element.values())))

    def type(self, selector: str, text: str) -> None:
        element = self.send("WebDriver:FindElement", using="css selector", value=selector)
        self.send("WebDriver:ElementSendKeys", id=next(iter(element.values())), text=text)

    def complaints(self, of: str) -> list[str]:
        """Errors and warnings of the scripts whose address begins with `of`."""
        self.send("Marionette:SetContext", value="chrome")
        try:
            return self.run(COMPLAINTS, of)
        finally:
            self.send("Marionette:SetContext", value="content")


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Firefox with a profile of its own in the directory `profile`, which must be new."""
    path = executable()
    profile.mkdir()
    (profile / "user.js").write_text(PREFERENCES)
    options = ["--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", str(profile)]
    process = subprocess.Popen([path, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Firefox(port_of(profile, process))
    finally:
        process.terminate()
        process.wait(timeout=30)


def port_of(profile: Path, process: subprocess.Popen) -> int:
    """The port that Firefox has chosen, once it listens."""
    file, deadline = profile / "MarionetteActivePort", time.monotonic() + 60
    while not (file.exists() and file.read_text()):
        assert process.poll() is None and time.monotonic() < deadline, "Firefox does not start"
        time.sleep(0.05)
    return int(file.read_text())
