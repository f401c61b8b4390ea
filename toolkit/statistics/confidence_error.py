"""How far a model's confidence lies from how often it is right: the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.statistics.intervals import Interval

__all__ = ["ConfidenceGap", "confidence_error"]

_BINS = 15
_RESAMPLES = 500


@dataclass(frozen=True)
class ConfidenceGap:
    """`value` is the ECE, a fraction of 1; `chance` what a perfect model shows on as many images.

    An ECE is biased upwards: bins of few images are off by chance. The interval corrects that.
    """

    value: float
    interval: Interval
    chance: float


def confidence_error(
    confidences: NDArray[np.float64],
    right: NDArray[np.bool_],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> ConfidenceGap:
    """Return the expected calibration error over 15 bins of equal width (Guo et al., ICML 2017).

    `confidences` (n,) are the probabilities of the predicted classes, in [0, 1]. The interval is
    the basic bootstrap one, 2 * ECE less the quantiles of 500 resamples (Davison and Hinkley,
    Bootstrap Methods, 5.2); its lower end is 0 where models whose confidence is right would often
    show as much (Broecker and Smith, Weather and Forecasting 22, 2007). Equal seeds give equal
    intervals. Raises ValueError for no images.
    """
    n = confidences.size
    if n == 0:
        raise ValueError("there is no calibration error of zero images")
    generator = np.random.default_rng(seed)
    bins = np.minimum((confidences * _BINS).astype(np.int64), _BINS - 1)
    gaps = right.astype(np.float64) - confidences
    value = _error(bins, gaps)
    resampled = np.empty(_RESAMPLES)
    by_chance = np.empty(_RESAMPLES)
    for k in range(_RESAMPLES):
        drawn = generator.integers(0, n, n)
        resampled[k] = _error(bins[drawn], gaps[drawn])
        by_chance[k] = _error(bins, (generator.random(n) < confidences) - confidences)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    perfect = value <= np.quantile(by_chance, confidence)
    interval = Interval(
        0.0 if perfect else max(0.0, 2.0 * value - float(high)),
        min(1.0, max(0.0, 2.0 * value - float(low))),
        confidence,
    )
    return ConfidenceGap(value, interval, float(by_chance.mean()))


def _error(bins: NDArray[np.int64], gaps: NDArray[np.float64]) -> float:
    return float(np.abs(np.bincount(bins, weights=gaps, minlength=_BINS)).sum()) / bins.size
