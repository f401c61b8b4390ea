"""A mergeable histogram of bounded size: the same counts whatever the batches and their order."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError

__all__ = ["HALF", "Histogram", "merged"]

HALF = 4096
"""Bins on each side of zero."""
_SMALLEST_EXPONENT = -140
"""Narrower bins would leave the range of float64 products used below."""


class Histogram:
    """Counts of values in bins of width 2**exponent around zero, with the exact low and high.

    Bin i covers [i, i + 1) * 2**exponent for i in [-HALF, HALF). The width is the smallest power
    of two that covers low and high; wider values merge neighbouring bins two by two. As
    floor(floor(x / w) / 2) = floor(x / 2w), counts do not depend on the order of the additions.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(2 * HALF, np.int64)
        self.exponent = _SMALLEST_EXPONENT
        self.low = math.inf
        self.high = -math.inf

    @property
    def total(self) -> int:
        """Return the number of values counted."""
        return int(self.counts.sum())

    @property
    def width(self) -> float:
        """Return the width of a bin."""
        return math.ldexp(1.0, self.exponent)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Return the 2 * HALF + 1 bounds of the bins."""
        return np.arange(-HALF, HALF + 1, dtype=np.float64) * np.float64(self.width)

    def cover(self, low: float, high: float) -> None:
        """Extend the exact range to [low, high], merging bins where it needs wider ones."""
        if not (math.isfinite(low) and math.isfinite(high)):
            raise CalibrationError(
                f"The values reach [{low}, {high}], which is not finite.",
                next_command="edgekit export model.pt --out model.onnx --precision fp32",
            )
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._widen(max(_exponent_for(self.low), _exponent_for(self.high)))

    def add(self, values: NDArray[np.float32]) -> None:
        """Count `values`. Raises CalibrationError where one is NaN or infinite."""
        if values.size == 0:
            return
        self.cover(float(values.min()), float(values.max()))
        self.count(values)

    def count(self, values: NDArray[np.float32]) -> None:
        """Count `values`, all of which lie in the range that `cover` was given.

        Raises ValueError for values outside all bins, and for NaN.
        """
        # A float32 and a power of two: the quotient is exact, so is the floor. In 32 bits it would
        # not be where it leaves their exponents.
        exact_in_32_bits = -100 <= self.exponent <= 0
        factor = math.ldexp(1.0, -self.exponent)
        kind = np.float32 if exact_in_32_bits else np.float64
        scaled = np.multiply(values.reshape(-1), factor, dtype=kind)
        np.floor(scaled, out=scaled)
        bins = scaled.astype(np.intp)
        bins += HALF
        self.counts += np.bincount(bins, minlength=2 * HALF)

    def quantile(self, share: float) -> float:
        """Return the value below which `share` of the values lie, linear within its bin."""
        cumulated = np.concatenate(([0], np.cumsum(self.counts)))
        target = share * cumulated[-1]
        value = float(np.interp(target, *_strictly_rising(cumulated, self.edges)))
        return min(max(value, self.low), self.high)

    def magnitudes(self) -> NDArray[np.int64]:
        """Return how many values have their magnitude in bin 0, 1, ... of HALF bins."""
        return self.counts[HALF:] + self.counts[HALF - 1 :: -1]

    def copy(self) -> Histogram:
        """Return an independent copy."""
        return merged([self])

    def _widen(self, exponent: int) -> None:
        while self.exponent < exponent:
            if not self.counts.any():
                self.exponent = exponent
                return
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros_like(self.counts)
            self.counts[HALF // 2 : HALF // 2 + HALF] = pairs
            self.exponent += 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        same = (self.exponent, self.low, self.high) == (other.exponent, other.low, other.high)
        return same and bool(np.array_equal(self.counts, other.counts))

    __hash__ = None  # type: ignore[assignment]  # it changes with every addition


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return the histogram of all values counted by `histograms`, which stay as they are."""
    result = Histogram()
    for histogram in histograms:
        if histogram.low > histogram.high:
            continue
        other = Histogram()
        other.counts = histogram.counts.copy()
        other.exponent = histogram.exponent
        result.cover(histogram.low, histogram.high)
        other._widen(result.exponent)
        result.counts += other.counts
    return result


def _exponent_for(value: float) -> int:
    """Return the smallest exponent whose bins hold `value`: -HALF <= floor(value / w) < HALF."""
    if value == 0.0:
        return _SMALLEST_EXPONENT
    mantissa, exponent = math.frexp(abs(value))  # |value| = mantissa * 2**exponent, in [0.5, 1)
    needed = exponent - (HALF.bit_length() - 1)
    if value < 0 and mantissa == 0.5:
        needed -= 1  # -HALF * w itself lies in the lowest bin
    return max(needed, _SMALLEST_EXPONENT)


def _strictly_rising(
    cumulated: NDArray[np.int64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the points where the count grows, so that interpolation stays inside filled bins."""
    grows = np.diff(cumulated) > 0
    keep = np.concatenate((grows, [False])) | np.concatenate(([False], grows))
    return cumulated[keep], edges[keep]
