"""Series with known truth, for tests of coverage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from toolkit.statistics import Interval

__all__ = ["autocorrelated", "share_covered"]


def autocorrelated(runs: int, n: int, *, correlation: float, seed: int) -> NDArray[np.float64]:
    """Standard normal AR(1) series, (runs, n)."""
    noise = np.random.default_rng(seed).standard_normal((runs, n))
    series = noise.copy()
    fresh = np.sqrt(1.0 - correlation**2)
    for i in range(1, n):
        series[:, i] = correlation * series[:, i - 1] + fresh * noise[:, i]
    return series


def share_covered(
    runs: NDArray[np.float64], interval: Callable[[NDArray[np.float64]], Interval], truth: float
) -> float:
    """How often the interval of a run contains the truth."""
    return float(np.mean([truth in interval(run) for run in runs]))
