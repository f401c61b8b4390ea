"""The times of every frame, kept raw in memory that is allocated once."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["STAGES", "FrameTimes", "Samples"]

STAGES = ("capture_wait", "preprocess", "engine_wait", "infer", "result")
"""What lies between a frame's capture and its result, in order, without gaps."""

_FRAME_AGE = STAGES[:3]


@dataclass(frozen=True)
class FrameTimes:
    """When each stage of one frame began or ended, in seconds of the loop's clock."""

    captured_s: float
    taken_s: float
    prepared_s: float
    started_s: float
    inferred_s: float
    done_s: float

    def stages_ms(self) -> tuple[float, ...]:
        """Return the length of each of STAGES."""
        edges = (
            self.captured_s,
            self.taken_s,
            self.prepared_s,
            self.started_s,
            self.inferred_s,
            self.done_s,
        )
        return tuple((end - begin) * 1e3 for begin, end in pairwise(edges))

    @property
    def frame_age_ms(self) -> float:
        """Return how old the frame was when inference began."""
        return (self.started_s - self.captured_s) * 1e3

    @property
    def capture_to_result_ms(self) -> float:
        """Return how old the frame was when its result was ready."""
        return (self.done_s - self.captured_s) * 1e3


class Samples:
    """The last `capacity` frames' stages. A frame with a negative time is counted, not kept.

    Time that runs backwards means a faulty clock or a timestamp from another one: such a sample
    says nothing, and hiding it would be worse, so `clock_faults` is part of every summary.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._columns = {stage: array("d", bytes(8 * capacity)) for stage in STAGES}
        self._added = 0
        self.clock_faults = 0

    def add(self, times: FrameTimes) -> None:
        """Keep one frame's stages."""
        stages = times.stages_ms()
        if min(stages) < 0.0:
            self.clock_faults += 1
            return
        place = self._added % self._capacity
        for column, value in zip(self._columns.values(), stages, strict=True):
            column[place] = value
        self._added += 1

    def __len__(self) -> int:
        return min(self._added, self._capacity)

    def stage_ms(self, stage: str) -> list[float]:
        """Return the lengths of one stage, oldest first."""
        column = self._columns[stage]
        if self._added <= self._capacity:
            return column[: self._added].tolist()
        place = self._added % self._capacity
        return column[place:].tolist() + column[:place].tolist()

    def frame_age_ms(self) -> list[float]:
        """Return how old each frame was when inference began."""
        return self._sums(_FRAME_AGE)

    def capture_to_result_ms(self) -> list[float]:
        """Return how old each frame was when its result was ready."""
        return self._sums(STAGES)

    def _sums(self, stages: tuple[str, ...]) -> list[float]:
        return [sum(row) for row in zip(*map(self.stage_ms, stages), strict=True)]
