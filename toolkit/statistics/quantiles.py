"""Percentiles of raw samples, when to trust them, and how far off they can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from toolkit.statistics.distributions import beta_cdf, find_root, normal_quantile, t_quantile
from toolkit.statistics.intervals import Interval
from toolkit.statistics.series import spread_of_mean

__all__ = [
    "independent_samples",
    "percentile",
    "percentile_text",
    "quantile_interval",
    "samples_needed",
    "trusted",
]

_BEYOND = 10
"""A percentile needs this many samples beyond it, or it is the whim of a few."""


def percentile(samples: Sequence[float] | NDArray[np.float64], q: float) -> float:
    """Return the nearest-rank percentile: the smallest sample with at least q % at or below it.

    Raises ValueError when there are no samples or `q` is not in (0, 100].
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    if ordered.size == 0:
        raise ValueError("there is no percentile of zero samples")
    return float(ordered[_rank(ordered.size, q) - 1])


def _rank(n: int, q: float) -> int:
    if not 0.0 < q <= 100.0:
        raise ValueError(f"a percentile lies in (0, 100], not at {q}")
    return max(1, math.ceil(q * n / 100.0 - 1e-9))  # 0.95 * 20 must be 19, not 19.000000000000004


def trusted(n: int, q: float) -> bool:
    """Tell whether `n` samples leave at least ten beyond their q-th percentile.

    p99 needs 1000 samples, p95 200, p50 20. Below the median "beyond" means below.
    """
    q = max(q, 100.0 - q)
    return n > 0 and n - _rank(n, q) >= _BEYOND


def samples_needed(q: float) -> int:
    """Return the smallest n for which `trusted(n, q)` holds. `q` lies in (0, 100)."""
    q = max(q, 100.0 - q)
    n = max(1, math.floor(_BEYOND / (1.0 - q / 100.0)) - 2)
    while not trusted(n, q):
        n += 1
    return n


def percentile_text(samples: Sequence[float] | NDArray[np.float64], q: float) -> str:
    """Return the percentile with two decimals, and a `?` when too few samples lie beyond it."""
    mark = "" if trusted(len(samples), q) else "?"
    return f"{percentile(samples, q):.2f}{mark}"


def quantile_interval(
    samples: Sequence[float] | NDArray[np.float64], q: float, *, confidence: float = 0.95
) -> Interval:
    """Return the interval for the q-th percentile of what the samples, in time order, come from.

    Order statistics bound it: between fractional ranks r of m samples with I_q(r, m + 1 - r) =
    1 - alpha/2 and alpha/2 (A. Hutson, J. Applied Statistics 26, 1999), where m is the number of
    independent samples that tell as much as these do (P. Heidelberger and P. Lewis, Operations
    Research 32, 1984: the spread of the share below a level, correlation included). Rank 1 of m
    stands for the smallest of all samples and rank m for the largest. An end is infinite when too
    few samples lie beyond it.
    """
    values = np.asarray(samples, dtype=np.float64)
    share = q / 100.0
    independent = independent_samples(values, q, confidence=confidence)
    if independent < 2:
        return Interval(-math.inf, math.inf, confidence)
    ordered = np.sort(values)
    tail = (1.0 - confidence) / 2.0
    low = _fractional_rank(share, independent, 1.0 - tail)
    high = _fractional_rank(share, independent, tail)
    return Interval(
        _order_statistic(ordered, low, independent, missing=-math.inf),
        _order_statistic(ordered, high, independent, missing=math.inf),
        confidence,
    )


def independent_samples(values: NDArray[np.float64], q: float, *, confidence: float = 0.95) -> int:
    """Return m: the share below the q-th percentile is as uncertain as among m independent samples.

    `values` are in time order. The uncertainty of that uncertainty is put into m too, as the ratio
    of t to normal quantiles. 0 for fewer than two samples.

    How much neighbours resemble each other is read at a milder level, with twice as many samples
    beyond it, as for an extremal index (R. Smith and I. Weissman, J. Royal Statistical Society B
    56, 1994). At the percentile itself few clusters are left: a run that by luck has few and small
    ones would show too low a percentile and too little correlation at once.
    """
    n = values.size
    if n < 2:
        return 0
    beyond = min(0.5, 2.0 * min(q, 100.0 - q) / 100.0)
    share = 1.0 - beyond if q > 50.0 else beyond
    level = percentile(values, 100.0 * share)
    # Where the level is the largest value itself, as of saturated confidences, ties lie above.
    below = (values <= level if level < values.max() else values < level).astype(np.float64)
    spread = spread_of_mean(below)
    if spread.standard_error == 0.0:  # all on one side: rarely, or with many equal samples
        return n
    upper = 0.5 + confidence / 2.0
    widened = spread.standard_error * t_quantile(upper, spread.dof) / normal_quantile(upper)
    return min(n, math.floor(share * (1.0 - share) / widened**2))


@lru_cache(maxsize=4096)
def _fractional_rank(share: float, m: int, probability: float) -> float:
    """Return the rank r in (0, m + 1) with P(the r-th of m uniform samples <= share) as asked."""
    return find_root(
        lambda r: beta_cdf(share, r, m + 1.0 - r) - probability, 0.0, m + 1.0, tolerance=1e-5
    )


def _order_statistic(ordered: NDArray[np.float64], rank: float, m: int, *, missing: float) -> float:
    """Return the sample that stands for the `rank`-th of `m` independent ones."""
    if not 1.0 - 1e-4 <= rank <= m + 1e-4:
        return missing
    n = ordered.size
    # A cluster counts once: if no independent sample lies beyond the percentile, no sample does.
    position = (rank - 1.0) * (n - 1.0) / (m - 1.0)
    return float(np.interp(position, np.arange(n), ordered))
