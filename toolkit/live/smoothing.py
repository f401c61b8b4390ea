"""The mean of the probabilities of the last frames: an answer that flickers less, and lags."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.top_k import confidences

__all__ = ["Smoothed", "Smoothing"]


@dataclass(frozen=True)
class Smoothed:
    """`row` stands for `over` frames; the oldest was captured `span_s` before the newest."""

    row: NDArray[np.float32]
    over: int
    span_s: float


class Smoothing:
    """Averages over at most `frames` frames. With 1, every row goes through as it is.

    A row with values that are not finite is passed on, for whoever checks it, and not averaged:
    it would stay in the mean for `frames` frames.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._rows: deque[NDArray[np.float32]] = deque()
        self._captured_s: deque[float] = deque(maxlen=frames)
        self._sum: NDArray[np.float64] | None = None

    def add(self, row: NDArray[np.float32], captured_at_s: float) -> Smoothed:
        """Return the logits as they are, or the mean probabilities that include `row`'s."""
        if self.frames == 1 or not np.isfinite(row).all():
            return Smoothed(row, 1, 0.0)
        newest = confidences(row)
        self._captured_s.append(captured_at_s)
        self._rows.append(newest)
        # In double precision the running sum is still good to 1e-10 after a week at 30 fps.
        self._sum = newest.astype(np.float64) if self._sum is None else self._sum + newest
        if len(self._rows) > self.frames:
            self._sum = np.maximum(self._sum - self._rows.popleft(), 0.0)
        mean = np.asarray(self._sum / len(self._rows), dtype=np.float32)
        return Smoothed(mean, len(self._rows), captured_at_s - self._captured_s[0])
