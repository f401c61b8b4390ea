"""A headless Chromium driven over a pipe, so that the tests need no browser package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Page", "find_chromium", "open_page"]

# Chromium speaks on descriptors 3 and 4, which a test process may already use for other files.
_EXEC = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(read, 3); os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Page:
    """One page; `requests` are the addresses that it asked for."""

    def __init__(self, read: int, write: int, *, patience_s: float) -> None:
        self.requests: list[str] = []
        self.console: list[str] = []
        self._read, self._write, self._patience_s = read, write, patience_s
        self._buffer, self._count, self._session = b"", 0, ""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        wanted = self._count
        message: dict[str, Any] = {"id": wanted, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next_message()
            if answer.get("id") == wanted:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def show(self, address: str, *, width: int, height: int = 900, dark: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        self.command("Page.navigate", url=address)
        deadline = time.monotonic() + self._patience_s
        while self.value("document.readyState") != "complete":
            if time.monotonic() > deadline:
                raise TimeoutError(f"{address} did not load in {self._patience_s} s")
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        picture = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def print_to_pdf(self) -> bytes:
        return base64.b64decode(self.command("Page.printToPDF", printBackground=True)["data"])

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], self._patience_s)
            piece = os.read(self._read, 1 << 16) if ready else b""
            if not piece:
                raise TimeoutError(f"Chromium said nothing for {self._patience_s} s")
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.console.append(json.dumps(params))
        return message


@contextmanager
def open_page(profile: Path, *, patience_s: float = 60.0) -> Iterator[Page]:
    """Start Chromium with an empty profile and yield a blank page."""
    browser = find_chromium()
    if browser is None:
        raise FileNotFoundError("chromium is not installed")
    to_browser_read, to_browser = os.pipe()
    from_browser, from_browser_write = os.pipe()
    flags = [
        "--headless=new",
        "--no-sandbox",  # containers have no user namespaces
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
    ]
    descriptors = (to_browser_read, from_browser_write)
    process = subprocess.Popen(
        [sys.executable, "-c", _EXEC, *map(str, descriptors), browser, *flags],
        pass_fds=descriptors,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for descriptor in descriptors:
        os.close(descriptor)
    try:
        yield Page(from_browser, to_browser, patience_s=patience_s)
    finally:
        process.kill()
        process.wait()
        os.close(to_browser)
        os.close(from_browser)
