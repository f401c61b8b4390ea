"""One-sided bounds against a limit, and how much more evidence would decide where they cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.statistics.distributions import binomial_cdf
from toolkit.statistics.proportions import paired_drop_interval
from toolkit.statistics.quantiles import independent_samples

__all__ = ["images_to_decide", "samples_to_decide", "two_sided"]

_MOST = 10_000_000
"""More evidence than this is none that anybody will take: the truth lies at the limit."""


def two_sided(confidence: float) -> float:
    """Return the confidence of the interval whose ends are one-sided bounds at `confidence`.

    Raises ValueError outside (0.5, 1).
    """
    if not 0.5 < confidence < 1.0:
        raise ValueError(f"a one-sided confidence lies between 0.5 and 1, not at {confidence}")
    return 2.0 * confidence - 1.0


def images_to_decide(
    only_a: int, only_b: int, n: int, *, limit: float, confidence: float
) -> int | None:
    """Return how many images decide whether the drop exceeds `limit`, a fraction, or None.

    If the models go on to differ as often as they did on these `n` images: the smallest number
    that brings a one-sided bound (Tango) to the limit's side. None when ten million do not.
    """
    level = two_sided(confidence)

    def decides(images: int) -> bool:
        grown = images / n
        a, b = round(only_a * grown), round(only_b * grown)
        interval = paired_drop_interval(a, b, max(images, a + b), confidence=level)
        return interval.high <= limit or interval.low > limit

    return _smallest(decides, start=n)


def samples_to_decide(
    samples: Sequence[float] | NDArray[np.float64], q: float, *, limit: float, confidence: float
) -> int | None:
    """Return how many samples decide whether the q-th percentile exceeds `limit`, or None.

    If as large a share goes on to exceed it, and neighbours go on to resemble each other as they
    did: the smallest number for which a binomial test rejects that exactly the share beyond the
    percentile exceeds the limit. None when ten million do not.
    """
    values = np.asarray(samples, dtype=np.float64)
    n = values.size
    beyond = 1.0 - q / 100.0
    over = float(np.count_nonzero(values > limit)) / n if n else 0.0
    independent = independent_samples(values, q, confidence=two_sided(confidence))
    apart = n / independent if independent else 1.0

    def decides(count: int) -> bool:
        seen = round(over * count)
        fewer = binomial_cdf(seen, count, beyond)
        more = 1.0 - binomial_cdf(seen - 1, count, beyond)
        return min(fewer, more) <= 1.0 - confidence

    found = _smallest(decides, start=max(1, independent))
    return None if found is None else math.ceil(found * apart)


def _smallest(decides: Callable[[int], bool], *, start: int) -> int | None:
    """Return about the smallest count from `start` on that decides: within one per cent."""
    low, high = start, start
    while not decides(high):
        low, high = high, 2 * high
        if high > _MOST:
            return None
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
