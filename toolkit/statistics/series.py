"""Intervals from measurements in time order, where neighbours resemble each other.

Latency samples are not independent: clocks, caches and other programs outlast one inference. The
spread of batch averages, not of single samples, says how far an average can be off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.statistics.distributions import t_quantile
from toolkit.statistics.intervals import Interval

__all__ = ["SpreadOfMean", "correlation_time", "mean_interval", "spread_of_mean"]

_WINDOW = 5.0  # lags summed, in correlation times (Sokal's rule)
_BATCH = 8.0  # batch length, in correlation times: batch averages are then almost independent
_FEWEST_BATCHES = 8


@dataclass(frozen=True)
class SpreadOfMean:
    """How far the mean of a series can be off, and the degrees of freedom of that estimate."""

    standard_error: float
    dof: int

    def half_width(self, confidence: float) -> float:
        """Return half the width of a two-sided interval; infinite when it cannot be known."""
        if self.dof < 1:
            return math.inf
        return t_quantile(0.5 + confidence / 2.0, self.dof) * self.standard_error


def correlation_time(series: Sequence[float] | NDArray[np.float64]) -> float:
    """Return how many neighbouring samples carry the information of one independent sample, >= 1.

    The integrated autocorrelation time, 1 + 2 * (sum of autocorrelations), summed up to the first
    lag that is five times the sum so far (A. Sokal, Monte Carlo Methods, 1996, section 3).
    """
    values = np.asarray(series, dtype=np.float64)
    n = values.size
    centred = values - values.mean() if n else values
    spectrum = np.fft.rfft(centred, 2 * n) if n > 1 else np.zeros(1)
    covariance = np.fft.irfft(spectrum * np.conj(spectrum), 2 * n)[:n] if n > 1 else np.zeros(1)
    if covariance[0] <= 0.0:
        return 1.0
    sums = 2.0 * np.cumsum(covariance / covariance[0]) - 1.0
    wide_enough = np.arange(n) >= _WINDOW * np.maximum(sums, 1.0)
    lag = int(np.argmax(wide_enough)) if wide_enough.any() else n - 1
    return float(max(1.0, sums[lag]))


def spread_of_mean(series: Sequence[float] | NDArray[np.float64]) -> SpreadOfMean:
    """Return the standard error of the mean of an autocorrelated series.

    Batch means with the lugsail correction for what correlation is left between batches: twice the
    estimate from long batches less that from batches a third as long (Vats and Flegal, Biometrika
    109, 2022). The batch length follows the correlation time.
    """
    values = np.asarray(series, dtype=np.float64)
    n = values.size
    if n < 2:
        return SpreadOfMean(math.inf, 0)
    length = math.ceil(_BATCH * correlation_time(values))
    length = max(1, min(length, n // _FEWEST_BATCHES))
    variance = _batch_variance(values, length)
    corrected = 2.0 * variance - _batch_variance(values, max(1, length // 3))
    return SpreadOfMean(math.sqrt(max(variance, corrected) / n), n // length - 1)


def _batch_variance(values: NDArray[np.float64], length: int) -> float:
    batches = values.size // length
    means = values[: batches * length].reshape(batches, length).mean(axis=1)
    return float(length * means.var(ddof=1))


def mean_interval(
    series: Sequence[float] | NDArray[np.float64], *, confidence: float = 0.95
) -> Interval:
    """Return the interval for the mean of a series in time order."""
    values = np.asarray(series, dtype=np.float64)
    if values.size == 0:
        return Interval(-math.inf, math.inf, confidence)
    half = spread_of_mean(values).half_width(confidence)
    mean = float(values.mean())
    return Interval(mean - half, mean + half, confidence)
