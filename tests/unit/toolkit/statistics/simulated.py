"""Series with known truth, for tests of coverage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from toolkit.statistics import Interval

__all__ = ["PAIRED_TRUTHS", "autocorrelated", "in_turns", "share_covered"]

ROUNDS, BLOCK = 200, 5
PAIRED_TRUTHS = (
    (0.03, 0.01, 0.72),
    (0.02, 0.005, 0.72),
    (0.02, 0.02, 0.95),
    (0.05, 0.04, 0.55),
    (0.15, 0.05, 0.60),
    (0.01, 0.01, 0.70),
)
"""Share that only a gets right, share that only b does, accuracy of a."""


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


def in_turns(
    runs: int, *, correlation: float, seed: int
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Two equal engines on a machine that drifts, remembers, and is interrupted in bursts."""
    rng = np.random.default_rng(seed)
    noise = autocorrelated(runs, ROUNDS * 2 * BLOCK, correlation=correlation, seed=seed)
    made = []
    for run in noise:
        turns = 0.1 * run.reshape(2 * ROUNDS, BLOCK)
        turns += 0.01 * np.cumsum(rng.standard_normal(2 * ROUNDS))[:, None]
        interrupted = rng.random(2 * ROUNDS) < 0.1
        turns += (interrupted * rng.exponential(0.5, 2 * ROUNDS))[:, None]
        blocks = np.exp(turns).reshape(ROUNDS, 2, BLOCK)
        first = rng.integers(0, 2, ROUNDS)
        made.append((blocks[np.arange(ROUNDS), first], blocks[np.arange(ROUNDS), 1 - first]))
    return made
