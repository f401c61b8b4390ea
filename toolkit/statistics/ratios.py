"""How much slower one engine is than another, when both were measured in turns.

Both engines run a short block in every round. What disturbs a round disturbs both, so each round
gives one ratio of medians, and the drift of the machine cancels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.statistics.distributions import normal_quantile, t_quantile
from toolkit.statistics.intervals import Interval
from toolkit.statistics.series import spread_of_mean

__all__ = ["MARGIN", "Ratio", "ratio_of_medians"]

MARGIN = 0.01
"""Ratios closer to 1 than this are called "no difference": reloading an engine alone moves it."""


@dataclass(frozen=True)
class Ratio:
    """How many times as long `b` takes as `a`, over `rounds` rounds."""

    value: float
    interval: Interval
    rounds: int

    def differs(self, margin: float = MARGIN) -> bool:
        """Tell whether the whole interval lies outside [1 / (1 + margin), 1 + margin]."""
        return self.interval.low > 1.0 + margin or self.interval.high < 1.0 / (1.0 + margin)


def ratio_of_medians(
    a: NDArray[np.float64], b: NDArray[np.float64], *, confidence: float = 0.95
) -> Ratio:
    """Return the ratio of the medians of `b` to those of `a`, both (rounds, samples per block).

    The Hodges-Lehmann estimate of the log ratio over rounds and its signed-rank interval
    (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.2-3.3): a burst of other
    work in some rounds hardly moves it. Correlation between rounds widens the interval.
    Raises ValueError when the two do not have the same number of rounds, or none.
    """
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or not len(a):
        raise ValueError(f"blocks of equal rounds are needed, not shapes {a.shape} and {b.shape}")
    logs = np.log(np.median(b, axis=1)) - np.log(np.median(a, axis=1))
    rounds = len(logs)
    first, second = np.triu_indices(rounds)
    averages = np.sort((logs[first] + logs[second]) / 2.0)
    estimate = float(np.median(averages))
    # The signed-rank statistic has this mean and spread; the interval's ends are the averages
    # as many places from the ends as the statistic can be with the asked-for confidence.
    spread = math.sqrt(rounds * (rounds + 1) * (2 * rounds + 1) / 24.0)
    middle = rounds * (rounds + 1) / 4.0
    place = math.floor(middle - _widened(logs - estimate, confidence) * spread)
    if place < 1:
        interval = Interval(0.0, math.inf, confidence)
    else:
        ends = np.exp(averages[[place - 1, -place]])
        interval = Interval(float(ends[0]), float(ends[1]), confidence)
    return Ratio(math.exp(estimate), interval, rounds)


def _widened(deviations: NDArray[np.float64], confidence: float) -> float:
    """Return the quantile that bounds the statistic, in its spreads if rounds were independent."""
    upper = 0.5 + confidence / 2.0
    order = np.argsort(np.argsort(np.abs(deviations)))
    signed_ranks = np.sign(deviations) * (order + 1.0)
    independent = math.sqrt(float(np.mean(signed_ranks**2)) / len(deviations))
    spread = spread_of_mean(signed_ranks)
    if spread.dof < 1 or independent == 0.0:
        return normal_quantile(upper)
    return spread.standard_error / independent * t_quantile(upper, spread.dof)
