"""METHODS: from a histogram to the range that INT8 covers. Add a method here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibration.histogram import HALF, Histogram
from calibration.table import Range

__all__ = ["METHODS", "Method"]

Method = Callable[[Histogram, int], Range]
"""`levels` is 127 (symmetric: only the magnitude counts) or 255 (from low to high)."""

_ENTROPY_BINS = 2048
_MSE_STEPS = 96


def minmax(histogram: Histogram, levels: int) -> Range:
    """Return all values that occurred."""
    return _range(histogram.low, histogram.high, "minmax")


def percentile(histogram: Histogram, levels: int, *, q: float) -> Range:
    """Return the range that leaves out (100 - q) % of the values at the far end.

    Symmetric: of the magnitudes. Otherwise half on each side, or all of them above where no value
    is negative.
    """
    name = f"percentile-{q:g}"
    share = q / 100.0
    if levels == 127:
        amax = _magnitude_quantile(histogram, share)
        return _range(max(-amax, histogram.low), min(amax, histogram.high), name)
    if histogram.low >= 0.0:
        return _range(histogram.low, histogram.quantile(share), name)
    outside = (1.0 - share) / 2.0
    return _range(histogram.quantile(outside), histogram.quantile(1.0 - outside), name)


def mse(histogram: Histogram, levels: int) -> Range:
    """Return the range with the least squared error of the values after rounding and clipping.

    Shrinks the whole range step by step; the error of a bin is that of its centre, plus the
    variance step**2 / 12 of rounding inside.
    """
    filled = np.flatnonzero(histogram.counts)
    if filled.size == 0:
        return _range(histogram.low, histogram.high, "mse")
    centres = (histogram.edges[filled] + histogram.width / 2).clip(histogram.low, histogram.high)
    counts = histogram.counts[filled].astype(np.float64)
    low, high = _ends(histogram, levels)
    shrink = np.linspace(1.0, 0.05, _MSE_STEPS)[:, None]
    lows, highs = low * shrink, high * shrink
    steps = np.maximum((highs - lows) / (2 * levels if levels == 127 else levels), 1e-300)
    outside = np.maximum(lows - centres, 0.0) + np.maximum(centres - highs, 0.0)
    inside = np.where(outside == 0.0, steps**2 / 12.0, 0.0) * (centres != 0.0)
    errors = ((outside**2 + inside) * counts).sum(axis=1)
    best = float(shrink[int(np.argmin(errors)), 0])
    return _range(max(low * best, histogram.low), min(high * best, histogram.high), "mse")


def entropy(histogram: Histogram, levels: int) -> Range:
    """Return the magnitude range whose 8-bit form diverges least (KL) from the distribution.

    TensorRT's entropy calibration: the values beyond a threshold join the last bin of the
    reference, and the candidate is the reference summed into 128 levels (256 where the range is
    one-sided and all 8 bits count) and spread back over its filled bins. Bin 0 is left out: it
    holds the zeros behind a ReLU (MLPerf, calibration.md). S. Migacz, "8-bit Inference with
    TensorRT", GTC 2017.
    """
    magnitudes = histogram.magnitudes()
    counts = magnitudes.reshape(_ENTROPY_BINS, -1).sum(axis=1).astype(np.float64)
    counts[0] = 0.0
    last = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    quantized = 256 if levels == 255 and histogram.low >= 0.0 else 128
    if last <= quantized:
        return _range(histogram.low, histogram.high, "entropy")
    step = max(1, quantized // 32)
    candidates = range(quantized, last + step, step)
    divergences = [_divergence(counts, min(stop, last), quantized) for stop in candidates]
    best = min(quantized + step * int(np.argmin(divergences)), last)
    amax = best * histogram.width * HALF / _ENTROPY_BINS
    return _range(max(-amax, histogram.low), min(amax, histogram.high), "entropy")


def _divergence(counts: NDArray[np.float64], stop: int, levels: int) -> float:
    reference = counts[:stop].copy()
    reference[-1] += counts[stop:].sum()
    inside = counts[:stop]
    group = np.arange(stop) * levels // stop
    filled = inside > 0
    per_level = np.bincount(group, weights=inside, minlength=levels)
    shared_by = np.maximum(np.bincount(group, weights=filled, minlength=levels), 1)
    candidate = np.where(filled, (per_level / shared_by)[group], 0.0)
    if candidate.sum() == 0.0:
        return float("inf")
    p, q = reference / reference.sum(), candidate / candidate.sum()
    held = p > 0
    return float(np.sum(p[held] * np.log(p[held] / np.maximum(q[held], 1e-12))))


def _ends(histogram: Histogram, levels: int) -> tuple[float, float]:
    if levels == 127:
        amax = max(abs(histogram.low), abs(histogram.high))
        return -amax, amax
    return min(histogram.low, 0.0), max(histogram.high, 0.0)


def _magnitude_quantile(histogram: Histogram, share: float) -> float:
    """Return the magnitude below which `share` of the values lie, linear within its bin."""
    cumulated = np.cumsum(histogram.magnitudes())
    target = share * cumulated[-1]
    index = int(np.searchsorted(cumulated, target))
    before = cumulated[index - 1] if index else 0
    inside = (target - before) / max(cumulated[index] - before, 1)
    value = (index + inside) * histogram.width
    return float(min(value, max(abs(histogram.low), abs(histogram.high))))


def _range(low: float, high: float, method: str) -> Range:
    if low > high:  # nothing was counted
        return Range(0.0, 0.0, method)
    return Range(float(low), float(high), method)


METHODS: dict[str, Method] = {
    "minmax": minmax,
    "percentile": partial(percentile, q=99.99),
    "percentile-99.9": partial(percentile, q=99.9),
    "percentile-99.99": partial(percentile, q=99.99),
    "percentile-99.999": partial(percentile, q=99.999),
    "entropy": entropy,
    "mse": mse,
}
