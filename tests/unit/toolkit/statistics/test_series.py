from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.toolkit.statistics.simulated import autocorrelated, share_covered
from toolkit.statistics import correlation_time, mean_interval, spread_of_mean


def test_the_correlation_time_of_an_autoregressive_series_is_found() -> None:
    for correlation in (0.0, 0.5, 0.9):
        series = autocorrelated(20, 4000, correlation=correlation, seed=1)
        found = float(np.mean([correlation_time(row) for row in series]))
        assert found == pytest.approx((1 + correlation) / (1 - correlation), rel=0.15)


def test_constant_and_short_series_have_no_correlation() -> None:
    assert correlation_time([5.0] * 30) == 1.0
    assert correlation_time([5.0]) == correlation_time([]) == 1.0


def test_alternating_series_do_not_make_the_interval_narrower_than_independence() -> None:
    assert correlation_time([1.0, 2.0] * 50) == 1.0


def test_one_sample_says_nothing_about_its_spread() -> None:
    assert spread_of_mean([1.0]).half_width(0.95) == math.inf
    assert mean_interval([]).to_list() == [None, None]
    assert mean_interval([1.0]).to_list() == [None, None]


def test_the_mean_lies_in_the_middle_of_its_interval() -> None:
    series = np.random.default_rng(2).normal(7.0, 1.0, 500)
    interval = mean_interval(series, confidence=0.99)
    assert (interval.low + interval.high) / 2.0 == pytest.approx(series.mean())
    assert interval.confidence == 0.99
    assert interval.width > mean_interval(series).width


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_mean_intervals_cover_95_per_cent_of_2000_simulations(correlation: float) -> None:
    runs = np.exp(0.3 * autocorrelated(2000, 1000, correlation=correlation, seed=21))
    assert 0.93 <= share_covered(runs, mean_interval, math.exp(0.045)) <= 0.97
