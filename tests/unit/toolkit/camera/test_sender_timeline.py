from __future__ import annotations

import pytest

from toolkit.camera.sender_timeline import SenderTimeline


def test_a_picture_that_was_held_up_keeps_its_age() -> None:
    timeline = SenderTimeline()
    assert timeline.captured_at(0.0, 100.0) == 100.0
    assert timeline.captured_at(0.1, 100.4) == pytest.approx(100.1, abs=1e-3)
    assert timeline.captured_at(0.2, 100.2) == pytest.approx(100.2, abs=1e-3)


def test_the_smallest_delay_seen_is_the_anchor() -> None:
    timeline = SenderTimeline()
    timeline.captured_at(0.0, 100.5)  # the first one waited for the connection
    timeline.captured_at(0.1, 100.1)
    assert timeline.captured_at(0.2, 100.9) == pytest.approx(100.2, abs=1e-3)


def test_a_senders_clock_that_runs_slow_makes_no_age() -> None:
    timeline = SenderTimeline()
    for i in range(10_000):  # five minutes, 100 millionths slow
        arrived_s = 100.0 + i / 30 * 1.0001
        captured_s = timeline.captured_at(i / 30, arrived_s)
    assert arrived_s - captured_s < 0.001


def test_lag_that_grows_shows() -> None:
    timeline = SenderTimeline()
    for i in range(300):
        captured_s = timeline.captured_at(i / 30, 100.0 + i / 30 * 1.1)
    assert 100.0 + 299 / 30 * 1.1 - captured_s == pytest.approx(1.0, abs=0.05)


def test_a_timeline_that_begins_anew_is_anchored_anew() -> None:
    timeline = SenderTimeline()
    timeline.captured_at(500.0, 100.0)
    assert timeline.captured_at(0.0, 200.0) == 200.0
