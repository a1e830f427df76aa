"""Pages in a headless Chromium, driven through its DevTools protocol."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import websocket

__all__ = ["CHROMIUM", "Page", "browser"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = (
    "--headless",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    "--hide-scrollbars",
)
HELD = {"": 0, "Control": 2, "Shift": 8}  # bits of the protocol
PATIENCE = 60  # seconds for anything to happen


@contextlib.contextmanager
def browser():
    """Yields the one Page of a new Chromium, which ends with the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [*OPTIONS, f"--user-data-dir={profile}"]
        if getattr(os, "geteuid", lambda: 1)() == 0:
            options.append("--no-sandbox")  # Chromium's own refuses to work for root
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process = subprocess.Popen([CHROMIUM, *options, "about:blank"], **quiet)
        try:
            yield Page(_address(Path(profile) / "DevToolsActivePort"))
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _address(file):
    """Returns where the page of a Chromium listens, once it does."""
    limit = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text().count("\n")):
        assert time.monotonic() < limit, "Chromium does not start"
        time.sleep(0.05)
    port = file.read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as told:
        return next(t["webSocketDebuggerUrl"] for t in json.load(told) if t["type"] == "page")


class Page:
    """A tab: what it shows, what it complained about, what it asked the network for."""

    def __init__(self, address):
        """Connects to the tab that listens at an address."""
        self._socket = websocket.create_connection(address, PATIENCE, suppress_origin=True)
        self._calls = 0
        self.errors, self.requests, self._loaded = [], [], False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, place, width=1100, dark=False):
        """Opens a URL or a file and waits until it is loaded; errors and requests count anew."""
        size = dict(width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.errors, self.requests, self._loaded = [], [], False
        is_url = isinstance(place, str) and "://" in place
        self.call("Page.navigate", url=place if is_url else Path(place).resolve().as_uri())
        while not self._loaded:
            self._hear(json.loads(self._socket.recv()))
        return self

    def evaluate(self, script):
        """Returns what a JavaScript expression gives; a promise is waited for."""
        said = dict(expression=script, returnByValue=True, awaitPromise=True)
        told = self.call("Runtime.evaluate", **said)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def press(self, key, held=""):
        """Presses a key, as "Tab" or "Enter", on what has the focus; "Control" or "Shift" held."""
        text = {"Enter": "\r"}.get(key, "")
        code = {"Enter": 13, "Tab": 9, "a": 65}[key]
        said = dict(key=key, code=key, windowsVirtualKeyCode=code, modifiers=HELD[held])
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **said)
        self.call("Input.dispatchKeyEvent", type="keyUp", **said)

    def type(self, text):
        """Enters a text where the cursor is, as pasted."""
        self.call("Input.insertText", text=text)

    def picture(self, path):
        """Writes a PNG of the whole page."""
        told = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(told["data"]))

    def printed(self, path):
        """Writes the page as a PDF."""
        told = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)  # A4, in inches
        Path(path).write_bytes(base64.b64decode(told["data"]))

    def call(self, method, **parameters):
        """Calls a method of the protocol and returns its result."""
        self._calls += 1
        self._socket.send(json.dumps(dict(id=self._calls, method=method, params=parameters)))
        while (told := json.loads(self._socket.recv())).get("id") != self._calls:
            self._hear(told)
        assert "error" not in told, (method, told)
        return told["result"]

    def _hear(self, event):
        told, method = event.get("params", {}), event.get("method")
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"]["text"])
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("warning", "error"):
            self.errors.append(told["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.errors.append(str(told["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
