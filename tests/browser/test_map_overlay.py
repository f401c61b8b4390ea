"""The activation map over the live picture, in a real browser, where the crop is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the extra web is not installed")
pytest.importorskip("starlette", reason="the extra web is not installed")

from tests.browser.chromium import Page, find_chromium, open_page
from tests.browser.test_live_view import DESK, STATE, wait_for
from tests.unit.toolkit.live.view_parts import show, shown_frame
from toolkit.live.newest_answer import NewestAnswer
from toolkit.live.samples import FrameTimes
from toolkit.preprocess import Preprocess
from toolkit.web.server import open_web_view

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="chromium is not installed")

# The frame is 64 x 48 and the crop its middle 48 x 48: columns 8 to 56.
CROP = Preprocess(48, 48, resize_size=48)
ALPHA = "(x => document.getElementById('map').getContext('2d').getImageData(x, 24, 1, 1).data[3])"
TOGGLE = "document.getElementById('map-toggle')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show_with_map(newest: NewestAnswer) -> None:
    show(newest, 0)
    assert newest.shown is not None
    values = np.array([[0.0, 3.0], [-1.0, 3.0]], np.float32)
    result = replace(newest.shown.result, index=1, activation_map=values)
    newest.show(shown_frame(1), result, FrameTimes(0.0, 0.0, 0.0, 0.0, 0.0, 0.001))


def test_the_overlay_shows_when_toggled_and_only_over_the_crop(page: Page) -> None:
    with open_web_view("127.0.0.1:0", engine="n", camera="c", preprocess=CROP) as view:
        show_with_map(view.newest)
        page.show(view.url, width=DESK)
        wait_for(lambda: page.value(STATE) == "live", "the first frame")
        assert page.value(f"{TOGGLE}.hidden") is False
        assert page.value("document.getElementById('map').hidden") is True
        page.value(f"{TOGGLE}.click()")
        wait_for(lambda: page.value(f"{ALPHA}(54)") > 150, "the map over the right of the crop")
        assert page.value(f"{ALPHA}(10)") < 60
        assert page.value(f"{ALPHA}(60)") == 0  # right of the crop
        assert page.value(f"{TOGGLE}.getAttribute('aria-pressed')") == "true"
        boxes = page.value(
            "JSON.stringify(['picture', 'map'].map(i => document.getElementById(i)"
            ".getBoundingClientRect()).map(b => [b.left, b.top, b.width, b.height]))"
        )
        width = len(boxes) // 2
        assert boxes[1:width] == boxes[width + 1 : -1]
        page.value(f"{TOGGLE}.click()")
        assert page.value("document.getElementById('map').hidden") is True


def test_an_engine_without_a_map_has_no_toggle(page: Page) -> None:
    with open_web_view("127.0.0.1:0", engine="n", camera="c", preprocess=CROP) as view:
        show(view.newest, 0)
        page.show(view.url, width=DESK)
        wait_for(lambda: page.value(STATE) == "live", "the first frame")
        assert page.value(f"getComputedStyle({TOGGLE}).display") == "none"
