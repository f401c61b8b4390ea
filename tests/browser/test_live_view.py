"""The live view in a real browser: it moves, it reconnects, it fits a phone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="the extra web is not installed")
pytest.importorskip("starlette", reason="the extra web is not installed")

from tests.browser.chromium import Page, find_chromium, open_page
from tests.unit.toolkit.live.view_parts import LABELS, show
from toolkit.live.newest_answer import NewestAnswer
from toolkit.web.server import WebView, open_web_view

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="chromium is not installed")

PHONE, DESK = 390, 1180
PIXEL = "document.getElementById('picture').getContext('2d').getImageData(5, 5, 1, 1).data[0]"
BARS = "[...document.querySelectorAll('#answers .fill')].map(e => e.style.transform).join()"
STATE = "document.getElementById('state').dataset.state"
# How many pixels of a chart are coloured, left of which the picture is empty.
DRAWN = """
(id => {
  const canvas = document.getElementById(id);
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const style = getComputedStyle(document.documentElement);
  const wanted = style.getPropertyValue(id === 'age-chart' ? '--bar' : '--stage-3').slice(1);
  const [r, g, b] = [0, 2, 4].map(i => parseInt(wanted.slice(i, i + 2), 16));
  let count = 0;
  for (let i = 0; i < pixels.length; i += 4)
    count += pixels[i] === r && pixels[i + 1] === g && pixels[i + 2] === b;
  return count;
})
"""


@contextmanager
def running(newest: NewestAnswer) -> Iterator[None]:
    """Show a frame every 50 ms."""
    stop = threading.Event()

    def run() -> None:
        index = 0
        while not stop.is_set():
            show(newest, index, age_ms=10.0 + index % 7)
            index += 1
            stop.wait(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def view() -> Iterator[WebView]:
    with (
        open_web_view("127.0.0.1:0", engine="net.onnx", camera="csi://0") as opened,
        running(opened.newest),
    ):
        yield opened


def wait_for(wanted: Callable[[], object], what: str, *, patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while not wanted():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def changes(page: Page, expression: str, *, to: int = 3) -> bool:
    """Say whether an expression has several values within some seconds."""
    seen: set[object] = set()
    deadline = time.monotonic() + 10.0
    while len(seen) < to and time.monotonic() < deadline:
        seen.add(page.value(expression))
        time.sleep(0.05)
    return len(seen) >= to


def draws(page: Page, chart: str) -> bool:
    return int(page.value(f"{DRAWN}('{chart}')")) > 100


def test_the_picture_moves_the_bars_update_and_the_charts_draw(page: Page, view: WebView) -> None:
    page.requests.clear()
    page.console.clear()
    page.show(view.url, width=DESK)
    wait_for(lambda: page.value(STATE) == "live", "the first frame")
    assert changes(page, PIXEL)
    assert changes(page, BARS)
    for chart in ("age-chart", "stages-chart"):
        wait_for(partial(draws, page, chart), chart)
    labels = page.value("[...document.querySelectorAll('#answers .label')].map(e => e.textContent)")
    assert sorted(labels) == sorted(LABELS)  # <b> is text, too
    assert page.value("document.querySelectorAll('#answers b').length") == 0
    assert page.value("document.getElementById('age').textContent").endswith(" ms")
    origin = "/".join(view.url.split("/")[:3])
    assert all(address.startswith((origin, "data:", "blob:")) for address in page.requests)
    # Reading the canvas back, as this test does, is what Chromium's renderer warns of.
    assert [entry for entry in page.console if '"source": "rendering"' not in entry] == []


def test_pause_holds_the_picture_and_the_figures_go_on(page: Page, view: WebView) -> None:
    page.show(view.url, width=DESK)
    wait_for(lambda: page.value(STATE) == "live", "the first frame")
    page.value("document.getElementById('pause').click()")
    wait_for(lambda: page.value(STATE) == "paused", "pause")
    time.sleep(0.3)  # a picture that was on its way
    held = page.value(PIXEL), page.value(BARS)
    time.sleep(0.6)
    assert (page.value(PIXEL), page.value(BARS)) == held
    assert changes(page, "document.getElementById('age').textContent")
    page.value("document.getElementById('pause').click()")
    assert changes(page, PIXEL)


def test_a_snapshot_is_made_in_the_browser(page: Page, view: WebView) -> None:
    page.show(view.url, width=DESK)
    wait_for(lambda: page.value(STATE) == "live", "the first frame")
    page.value(
        "window.saved = []; HTMLAnchorElement.prototype.click = function () "
        "{ window.saved.push(`${this.download} ${this.href}`); }; "
        "document.getElementById('snapshot').click()"
    )
    wait_for(lambda: page.value("window.saved.length"), "the snapshot")
    assert page.value("/^edgekit-frame-\\d+\\.png blob:/.test(window.saved[0])")


def test_the_page_survives_a_restart_of_the_server(page: Page) -> None:
    with (
        open_web_view("127.0.0.1:0", engine="net.onnx", camera="csi://0", token="t") as first,
        running(first.newest),
    ):
        page.show(first.url, width=DESK)
        wait_for(lambda: page.value(STATE) == "live", "the first frame")
    wait_for(lambda: page.value(STATE) == "lost", "the loss")
    address = urlsplit(first.url).netloc
    with (
        open_web_view(address, engine="second.onnx", camera="csi://0", token="t") as second,
        running(second.newest),
    ):
        wait_for(lambda: page.value(STATE) == "live", "the server again")
        assert changes(page, PIXEL)
        assert page.value("document.getElementById('engine').textContent") == "second.onnx"
    with open_web_view(address, engine="third.onnx", camera="csi://0"):
        wait_for(lambda: page.value(STATE) == "over", "the end of the run")


@pytest.mark.parametrize("width", [320, PHONE, 820, DESK])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_scrolls_sideways_in_light_and_dark(
    page: Page, view: WebView, width: int, *, dark: bool
) -> None:
    page.show(view.url, width=width, dark=dark)
    wait_for(lambda: page.value(STATE) == "live", "the first frame")
    assert page.value("document.documentElement.scrollWidth") <= width
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(16, 22, 27)" if dark else "rgb(251, 252, 253)")


def test_a_page_of_another_origin_gets_neither_the_page_nor_the_picture(
    page: Page, view: WebView, tmp_path: Path
) -> None:
    (tmp_path / "evil.html").write_text(
        f"<img id=i src='{view.url}update'><iframe src='{view.url}'>"
    )
    page.show((tmp_path / "evil.html").as_uri(), width=DESK)
    page.value(
        f"fetch('{view.url}update').then(a => window.got = `${{a.status}}`, e => window.got = 'no')"
    )
    wait_for(lambda: page.value("window.got"), "an answer")
    assert page.value("window.got") == "no"
    assert page.value("document.getElementById('i').naturalWidth") == 0
