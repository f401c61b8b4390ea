from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.toolkit.statistics.simulated import autocorrelated, share_covered
from toolkit.statistics import (
    percentile,
    percentile_text,
    quantile_interval,
    samples_needed,
    trusted,
)


def test_percentiles_are_samples_by_nearest_rank() -> None:
    samples = [15.0, 20.0, 35.0, 40.0, 50.0]
    expected = {5: 15.0, 30: 20.0, 40: 20.0, 50: 35.0, 100: 50.0}
    assert {q: percentile(samples, q) for q in expected} == expected


def test_rounding_does_not_push_a_rank_up() -> None:
    assert percentile(list(range(1, 21)), 95) == 19.0  # 0.95 * 20 is a little over 19 in floats
    assert percentile(list(range(1, 1001)), 99.9) == 999.0


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0.1, 100.0))
def test_at_least_q_per_cent_of_the_samples_are_not_above(samples: list[float], q: float) -> None:
    value = percentile(samples, q)
    below = sum(sample <= value for sample in samples)
    strictly_below = sum(sample < value for sample in samples)
    assert value in samples
    assert below >= q / 100.0 * len(samples) - 1e-6
    assert strictly_below < q / 100.0 * len(samples) + 1e-6


def test_a_percentile_of_nothing_or_outside_0_to_100_is_refused() -> None:
    with pytest.raises(ValueError, match="zero samples"):
        percentile([], 50)
    for q in (0, 101, -5):
        with pytest.raises(ValueError, match="lies in"):
            percentile([1.0], q)


@pytest.mark.parametrize(("q", "n"), [(50, 20), (95, 200), (99, 1000), (99.9, 10_000)])
def test_a_percentile_is_trusted_from_ten_samples_beyond_it(q: float, n: int) -> None:
    assert trusted(n, q)
    assert not trusted(n - 1, q)
    assert samples_needed(q) == n


def test_below_the_median_the_samples_beyond_lie_below() -> None:
    assert trusted(200, 5)
    assert not trusted(199, 5)
    assert not trusted(0, 50)


def test_p99_of_fifty_samples_is_printed_with_a_question_mark() -> None:
    samples = [float(i) for i in range(1, 51)]
    assert percentile_text(samples, 99) == "50.00?"
    assert percentile_text(samples, 50) == "25.00"


def test_the_interval_of_the_median_lies_between_known_order_statistics() -> None:
    # Independent samples: for n = 100 ranks 40 and 61 give 96.5 %, 41 and 60 give 94.3 %.
    samples = np.random.default_rng(3).permutation(np.arange(1.0, 101.0))
    interval = quantile_interval(samples, 50)
    assert 36.0 <= interval.low <= 41.0
    assert 60.0 <= interval.high <= 65.0


def test_too_few_samples_leave_the_upper_end_of_p99_open() -> None:
    interval = quantile_interval(np.random.default_rng(0).random(200), 99)
    assert math.isfinite(interval.low)
    assert interval.high == math.inf
    assert interval.to_list() == [interval.low, None]


@pytest.mark.parametrize("samples", [[], [3.0]])
def test_zero_or_one_sample_bound_nothing(samples: list[float]) -> None:
    assert quantile_interval(samples, 50).to_list() == [None, None]


def test_equal_samples_give_an_interval_of_no_width() -> None:
    interval = quantile_interval([2.0] * 100, 50)
    assert (interval.low, interval.high) == (2.0, 2.0)


def test_slow_drift_widens_the_interval() -> None:
    rng = np.random.default_rng(1)
    calm = rng.normal(10.0, 1.0, 1000)
    drifting = np.sort(calm)
    assert quantile_interval(drifting, 50).width > 4.0 * quantile_interval(calm, 50).width


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_median_intervals_cover_95_per_cent_of_2000_simulations(correlation: float) -> None:
    runs = np.exp(0.3 * autocorrelated(2000, 1000, correlation=correlation, seed=11))
    assert 0.93 <= share_covered(runs, lambda run: quantile_interval(run, 50), 1.0) <= 0.97


@pytest.mark.parametrize("q", [95, 99])
def test_tail_intervals_cover_95_per_cent_of_simulations(q: float) -> None:
    runs = np.exp(0.3 * autocorrelated(1000, 1000, correlation=0.3, seed=12))
    truth = math.exp(0.3 * {95: 1.6448536269514722, 99: 2.3263478740408408}[int(q)])
    assert 0.93 <= share_covered(runs, lambda run: quantile_interval(run, q), truth) <= 0.98
