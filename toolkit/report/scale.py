"""Axes: where a value lies on paper, and round numbers to write beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Scale", "scale_over"]


@dataclass(frozen=True)
class Scale:
    """Maps `low`..`high` to the coordinates `start`..`end`, linearly or by ratio."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the coordinate of `value`, kept on the axis."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, wanted: int) -> tuple[float, ...]:
        """Return about `wanted` round values on the axis."""
        if self.logarithmic:
            return self._ratio_ticks(wanted)
        step = _round_step((self.high - self.low) / max(1, wanted))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return tuple(float(f"{k * step:.10g}") for k in range(first, last + 1))

    def _ratio_ticks(self, wanted: int) -> tuple[float, ...]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            values = [digit * 10.0**power for power in decades for digit in digits]
            ticks = [value for value in values if self.low <= value <= self.high]
            if len(ticks) <= wanted + 2:
                break
        return tuple(ticks[:: math.ceil(len(ticks) / (wanted + 2))])


def scale_over(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    padding: float = 0.06,
    from_zero: bool = False,
    smallest: float = 1e-9,
) -> Scale:
    """Return a scale that shows all `values` with room around them.

    A range over a factor of 6 becomes logarithmic, unless it starts from zero. `smallest` is the
    least extent, so that equal values do not fill the paper with their rounding errors.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if from_zero:
        return Scale(min(0.0, low), max(high, smallest) * (1.0 + padding), start, end)
    if low > 0.0 and high / low > 6.0:
        grow = (high / low) ** padding
        return Scale(low / grow, high * grow, start, end, logarithmic=True)
    room = max((high - low) * padding, (smallest - (high - low)) / 2.0)
    return Scale(low - room, high + room, start, end)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return min((1.0, 2.0, 5.0, 10.0), key=lambda f: abs(math.log(f * power / step))) * power
