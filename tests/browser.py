"""A headless Chromium, driven over the WebDriver protocol with the standard library."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
ENTER, ESCAPE, UP, DOWN, TAB = "\ue007", "\ue00c", "\ue013", "\ue015", "\ue004"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """A browser with one window; use it in a `with` block.

    Args:
        profile: A folder for the browser's own files.
    """

    def __init__(self, profile: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        options = {
            "binary": CHROMIUM,
            "args": [
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *(f"--user-data-dir={profile}", "--lang=en", "--window-size=1280,800"),
            ],
        }
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            self.wait(lambda: self._is_up(), 20)
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
            self._url += f"/session/{made['sessionId']}"
            self.emulate()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self._process.terminate()
            self._process.wait(10)

    def open(self, url: str) -> None:
        """Opens an address, and waits until the page has loaded."""
        self._call("POST", "/url", {"url": url})

    def back(self) -> None:
        """Presses the back button."""
        self._call("POST", "/back", {})

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs the body of a JavaScript function in the page, and returns its value."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def type(self, keys: str) -> None:
        """Types into what has the focus."""
        pressed = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": pressed}]})

    def click(self, selector: str) -> None:
        """Clicks an element."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{found[_ELEMENT]}/click", {})

    def text(self, selector: str) -> str:
        """Returns the text of an element that a reader sees; empty if there is none."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def wait(self, is_so: Callable[[], Any], seconds: float = 20) -> Any:
        """Waits for a value that is true, and returns it."""
        end = time.monotonic() + seconds
        while True:
            value = is_so()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"It did not come true in {seconds} s.")
            time.sleep(0.03)

    def log(self) -> list[str]:
        """Returns what the console has reported since the last call: errors, and what the page's policy blocked."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def emulate(self, *, size: tuple[int, int] = (1280, 800), is_dark: bool = False, language: str = "en") -> None:
        """Sets the size of the page, whether the system prefers dark pages, and the browser's language."""
        agent = self.run("return navigator.userAgent")
        self._devtools("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": language})
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        theme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [theme]})

    def take_picture(self, path: Path) -> None:
        """Writes a PNG of what the window shows."""
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def accessible(self) -> list[tuple[str, str]]:
        """Returns role and name of what a screen reader finds, in its order."""
        nodes = self._devtools("Accessibility.getFullAXTree", {})["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _is_up(self) -> bool:
        try:
            return bool(self._call("GET", "/status")["ready"])
        except OSError:
            return False

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None
