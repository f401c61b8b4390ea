from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rtsp_age_picture import age_curves, thinned
from benchmarks.time_bars import BAR, bar_rows, time_from_bars


def picture(seconds: float, width: int = 640) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    luma = np.frombuffer(bar_rows(seconds, width), np.uint8).reshape(2 * BAR, width)
    return np.repeat(luma[..., None], 3, axis=2)


@pytest.mark.parametrize("width", [384, 640, 1920])
def test_the_time_in_the_bars_is_read_back(width: int) -> None:
    assert time_from_bars(picture(24321.5, width), 24321.75) == pytest.approx(24321.5, abs=2e-6)


def test_a_wrapped_counter_is_the_last_time_before_now() -> None:
    seconds = 2**40 / 1e6 * 3 + 5.0  # the machine is up for five weeks
    assert time_from_bars(picture(seconds), seconds + 0.1) == pytest.approx(seconds, abs=1e-5)


def test_a_picture_without_bars_has_no_time() -> None:
    assert time_from_bars(np.full((32, 640, 3), 200, np.uint8), 1.0) is None
    torn = picture(24321.5)
    torn[BAR:] = picture(24321.533)[BAR:]
    assert time_from_bars(torn, 24322.0) is None


def test_thinning_keeps_the_oldest_answer() -> None:
    points = [(i / 10, 50.0 + (i == 1234) * 900) for i in range(5000)]
    assert len(thinned(points)) <= 401
    assert max(age for _, age in thinned(points)) == 950.0


def test_both_curves_are_named() -> None:
    drawn = age_curves([(0.0, 50.0), (1.0, 60.0)], [(0.0, 900.0), (1.0, 1900.0)])
    assert "edgekit live" in drawn
    assert "cv2.read() loop" in drawn
