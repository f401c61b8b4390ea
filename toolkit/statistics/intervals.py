"""An interval: two ends and how sure we are that the truth lies between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Interval"]


@dataclass(frozen=True)
class Interval:
    """The truth lies between `low` and `high` in `confidence` (a fraction) of such experiments.

    An end is infinite when the samples are too few to bound that side.
    """

    low: float
    high: float
    confidence: float = 0.95

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        """Return the distance between the ends."""
        return self.high - self.low

    def times(self, factor: float) -> Interval:
        """Return the interval in another unit, `factor` > 0 times as large."""
        return Interval(self.low * factor, self.high * factor, self.confidence)

    def to_list(self) -> list[float | None]:
        """Return [low, high] for JSON, which has no infinity: an open end is None."""
        return [end if math.isfinite(end) else None for end in (self.low, self.high)]
