from __future__ import annotations

import pytest

from tests.unit.toolkit.live.view_parts import show
from toolkit.live.newest_answer import HISTORY_S, NewestAnswer


class Ticking:
    def __init__(self, step_s: float) -> None:
        self.now = 0.0
        self._step_s = step_s

    def __call__(self) -> float:
        self.now += self._step_s
        return self.now


def test_nothing_is_shown_before_the_first_answer() -> None:
    newest = NewestAnswer()
    assert (newest.shown, newest.fps(), newest.points()) == (None, None, [])


def test_only_the_newest_frame_is_kept() -> None:
    newest = NewestAnswer()
    for i in range(50):
        show(newest, i)
    assert newest.shown is not None
    assert newest.shown.frame.index == 49
    assert newest.shown.answered == 50


def test_frames_that_nobody_answered_are_counted() -> None:
    newest = NewestAnswer()
    for index in (3, 4, 9):
        show(newest, index)
    assert newest.shown is not None
    assert newest.shown.passed_over == 4


def test_a_point_is_the_slowest_answer_of_its_time() -> None:
    newest = NewestAnswer(clock=Ticking(0.001))  # a thousand answers a second
    for i in range(1000):
        show(newest, i, age_ms=90.0 if i == 500 else 3.0)
    points = newest.points()
    assert 15 <= len(points) <= 25
    assert max(point.frame_age_ms for point in points) == 90.0
    assert newest.fps() == pytest.approx(1000, rel=0.01)


def test_points_are_numbered_and_end_with_the_history() -> None:
    newest = NewestAnswer(clock=Ticking(0.1))
    for i in range(2000):
        show(newest, i)
    points = newest.points()
    assert len(points) == HISTORY_S * 20
    assert points[-1].number == 1999
    assert [point.number for point in newest.points(1997)] == [1998, 1999]
