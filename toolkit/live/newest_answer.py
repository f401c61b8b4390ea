"""What a view shows: the newest answered frame, and how the last half minute went."""

from __future__ import annotations

import math
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from toolkit.camera.frame import Frame
from toolkit.live.samples import FrameTimes
from toolkit.results import Result

__all__ = ["HISTORY_S", "NewestAnswer", "Point", "Shown"]

HISTORY_S = 30.0
_POINTS_PER_S = 20
_FPS_OVER_S = 2.0


@dataclass(frozen=True)
class Shown:
    """An answered frame, its stages in milliseconds, and how many were answered or passed over."""

    frame: Frame
    result: Result
    stages_ms: tuple[float, ...]
    answered: int
    passed_over: int


@dataclass(frozen=True)
class Point:
    """The slowest answer of a twentieth of a second, and how many there were until then."""

    number: int
    at_s: float
    frame_age_ms: float
    capture_to_result_ms: float
    stages_ms: tuple[float, ...]
    answered: int


class NewestAnswer:
    """A view that keeps one frame and the points of a chart. Any thread may read it.

    It costs the loop a few microseconds an answer, however many people look.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.run = secrets.token_hex(4)
        """Names this run: a page that reconnects sees whether it is another one."""
        self._clock = clock
        self._shown: Shown | None = None
        self._points: deque[Point] = deque(maxlen=int(HISTORY_S * _POINTS_PER_S))
        self._worst: Point | None = None
        self._next_point_s = -math.inf
        self._first_index = -1

    def show(self, frame: Frame, result: Result, times: FrameTimes) -> None:
        """Take one answered frame."""
        before = self._shown
        answered = before.answered + 1 if before else 1
        if not before:
            self._first_index = frame.index
        passed_over = frame.index - self._first_index + 1 - answered
        stages = times.stages_ms()
        now_s = self._clock()
        number = self._points[-1].number + 1 if self._points else 0
        point = Point(
            number,
            now_s,
            result.frame_age_ms,
            result.capture_to_result_ms,
            stages,
            answered,
        )
        worst = self._worst
        if worst is None or point.capture_to_result_ms >= worst.capture_to_result_ms:
            self._worst = point
        if now_s >= self._next_point_s:
            self._points.append(self._worst or point)
            self._worst = None
            self._next_point_s = now_s + 1 / _POINTS_PER_S
        self._shown = Shown(frame, result, stages, answered, max(passed_over, 0))

    @property
    def shown(self) -> Shown | None:
        """Return the newest answered frame; None before the first."""
        return self._shown

    def points(self, after: int = -1) -> list[Point]:
        """Return the points numbered above `after`, oldest first."""
        return [point for point in tuple(self._points) if point.number > after]

    def fps(self) -> float | None:
        """Return answers per second over the last two seconds; None of fewer than two points."""
        now_s = self._clock()
        recent = [point for point in tuple(self._points) if point.at_s > now_s - _FPS_OVER_S]
        if len(recent) < 2 or recent[-1].at_s <= recent[0].at_s:
            return None
        passed_s = recent[-1].at_s - recent[0].at_s
        return (recent[-1].answered - recent[0].answered) / passed_s
