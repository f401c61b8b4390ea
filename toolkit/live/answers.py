"""Turns the engine's output into results: the most likely classes, their age, the samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.camera.frame import ORIGINS, Frame
from toolkit.camera.frame_slot import FrameSlot
from toolkit.clock import Clock
from toolkit.contract import Contract
from toolkit.live.feed import PreparedFrame
from toolkit.live.frame_steps import Answered
from toolkit.live.samples import STAGES, FrameTimes, Samples
from toolkit.live.smoothing import Smoothing
from toolkit.live.summary import spread_of
from toolkit.live.threads import Workers
from toolkit.results import Result, ResultSink
from toolkit.top_k import Guess, top_guesses

__all__ = ["Answers", "Inferred", "View"]

_TAKE_S = 0.1


class View(Protocol):
    """Shows answers to a person; `show` returns at once and keeps at most the newest."""

    def show(self, frame: Frame, result: Result, times: FrameTimes) -> None:
        """Take one answered frame."""
        ...


@dataclass(frozen=True)
class Inferred:
    """The engine's answer, the frame it belongs to and when the engine worked on it."""

    frame: PreparedFrame
    answered: Answered
    started_s: float
    inferred_s: float


class Answers:
    """Hands out results and keeps their times.

    `latest` answers on the engine's thread, where it is soonest. `queue` answers in a thread of
    its own, so that the engine goes on at once: 0.15 ms of Python with cold caches are 4 % of the
    throughput of a small network.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        policy: str,
        clock: Clock,
        top_k: int,
        sinks: Sequence[ResultSink],
        views: Sequence[View] = (),
        capacity: int,
        smooth: int = 1,
        min_confidence: float = 0.0,
    ) -> None:
        self.frames = 0
        self.uncertain = 0
        self.samples = Samples(capacity)
        self._contract = contract
        self._clock = clock
        self._top_k = top_k
        self._sinks = sinks
        self._views = views
        self._smoothing = Smoothing(smooth)
        self._min_confidence = min_confidence
        self._origins: set[str] = set()
        self._first_s = self._last_s = 0.0
        self._workers = Workers(clock, yielding=True)
        self._waiting: FrameSlot[Inferred] | None = FrameSlot(clock) if policy == "queue" else None

    def __enter__(self) -> Answers:
        if self._waiting is not None:
            waiting = self._waiting
            self._workers.start(lambda: self._answer_all(waiting), "results", at_end=waiting.close)
        return self

    def __exit__(self, *_: object) -> None:
        if self._waiting is not None:
            self._waiting.close()
            self._workers.join()

    def give(self, inferred: Inferred) -> None:
        """Answer one frame, now or in turn. Raises what the answer to an earlier one raised."""
        if self._waiting is None:
            self._answer(inferred)
        elif not self._waiting.put(inferred):
            self._workers.check()

    def check(self) -> None:
        """Raise what the last answers raised; call it after the `with`."""
        self._workers.check()

    @property
    def fps(self) -> float:
        """Return results per second between the first and the last; NaN of fewer than two."""
        passed = self._last_s - self._first_s
        return (self.frames - 1) / passed if self.frames > 1 and passed > 0 else math.nan

    def measured(self) -> dict[str, Any]:
        """Return the fields of LiveSummary that follow from the frames."""
        return {
            "frames": self.frames,
            "smooth": self._smoothing.frames,
            "min_confidence": self._min_confidence,
            "uncertain": self.uncertain,
            "clock_faults": self.samples.clock_faults,
            "fps": self.fps,
            "timestamp_origin": max(self._origins, key=ORIGINS.index, default=""),
            "capture_to_result_ms": spread_of(self.samples.capture_to_result_ms()),
            "frame_age_ms": spread_of(self.samples.frame_age_ms()),
            "stages_ms": {stage: spread_of(self.samples.stage_ms(stage)) for stage in STAGES},
            "samples": self.samples,
        }

    def _answer_all(self, waiting: FrameSlot[Inferred]) -> None:
        while not waiting.exhausted:
            inferred = waiting.take(_TAKE_S)
            if inferred is not None:
                self._answer(inferred)

    def _answer(self, inferred: Inferred) -> None:
        prepared, frame = inferred.frame, inferred.frame.frame
        smoothed = self._smoothing.add(inferred.answered.row, frame.captured_at_s)
        top = top_guesses(smoothed.row, self._contract, self._top_k)
        done_s = self._clock()
        uncertain = top[0].confidence < self._min_confidence
        self.uncertain += uncertain
        times = FrameTimes(
            frame.captured_at_s,
            prepared.taken_s,
            prepared.prepared_s,
            inferred.started_s,
            inferred.inferred_s,
            done_s,
        )
        self.samples.add(times)
        self._origins.add(frame.origin)
        self._first_s = self._first_s if self.frames else done_s
        self._last_s = done_s
        self.frames += 1
        result = Result(
            frame.index,
            frame.captured_at_s,
            frame.origin,
            times.frame_age_ms,
            times.capture_to_result_ms,
            top,
            uncertain=uncertain,
            smoothed_over=smoothed.over,
            smoothed_span_ms=smoothed.span_s * 1e3,
            activation_map=_map_of(inferred.answered, top),
        )
        for sink in self._sinks:
            sink.put(result)
        for view in self._views:
            view.show(frame, result, times)


def _map_of(answered: Answered, top: Sequence[Guess]) -> NDArray[np.float32] | None:
    """Return the map of this frame, unless smoothing shows another class than it is of."""
    if not top or int(answered.row.argmax()) != top[0].index:
        return None
    return answered.activation_map
