from __future__ import annotations

import numpy as np
import pytest

from tests.unit.toolkit.statistics.simulated import autocorrelated
from toolkit.statistics import (
    images_to_decide,
    paired_drop_interval,
    quantile_interval,
    samples_to_decide,
    two_sided,
)
from toolkit.statistics.distributions import normal_quantile
from toolkit.statistics.quantiles import independent_samples


def test_a_bound_on_one_side_is_the_end_of_a_wider_interval_on_two() -> None:
    assert two_sided(0.95) == pytest.approx(0.90)
    for wrong in (0.5, 1.0, 0.0):
        with pytest.raises(ValueError, match="one-sided"):
            two_sided(wrong)


def test_the_images_that_decide_do_and_fewer_by_a_tenth_do_not() -> None:
    needed = images_to_decide(6, 4, 500, limit=0.01, confidence=0.95)
    assert needed is not None
    for images, decided in ((needed, True), (int(0.9 * needed), False)):
        a, b = round(6 * images / 500), round(4 * images / 500)
        assert (paired_drop_interval(a, b, images, confidence=0.9).high <= 0.01) == decided


def test_equal_models_need_the_images_that_bound_the_score_test() -> None:
    z2 = 1.6448536269514722**2  # the bound is z2 / (n + z2)
    needed = images_to_decide(0, 0, 10, limit=0.01, confidence=0.95)
    assert needed == pytest.approx(z2 * 99.0, rel=0.02)


def test_a_truth_at_the_limit_is_never_decided() -> None:
    assert images_to_decide(10, 5, 500, limit=0.01, confidence=0.95) is None


def test_no_sample_beyond_the_limit_needs_299_independent_samples() -> None:
    samples = np.random.default_rng(0).random(250)
    needed = samples_to_decide(samples, 99, limit=2.0, confidence=0.95)
    assert needed is not None
    assert 299 <= needed <= 400


def test_correlated_samples_need_more() -> None:
    plain, tied = (
        np.mean(
            [
                samples_to_decide(run, 50, limit=0.3, confidence=0.95) or np.nan
                for run in autocorrelated(20, 300, correlation=correlation, seed=3)
            ]
        )
        for correlation in (0.0, 0.9)
    )
    assert tied > 2.0 * plain


@pytest.mark.parametrize("q", [95, 99])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_upper_bounds_of_p95_and_p99_hold_in_94_to_98_of_100_simulations(
    q: int, correlation: float
) -> None:
    """2,000 runs of 1,000 samples at 95 % confidence on one side."""
    runs = np.exp(0.3 * autocorrelated(2000, 1000, correlation=correlation, seed=51))
    truth = float(np.exp(0.3 * normal_quantile(q / 100.0)))
    level = two_sided(0.95)
    held = [truth <= quantile_interval(run, q, confidence=level).high for run in runs]
    assert 0.94 <= np.mean(held) <= 0.98


def test_equal_samples_at_the_top_do_not_hide_correlation() -> None:
    scenes = np.repeat([1.0, 0.3], [600, 400])  # two scenes, one of them saturated
    assert independent_samples(scenes, 50.0) < 50
    assert independent_samples(np.ones(100), 50.0) == 100


def test_upper_bounds_of_p99_are_not_wide_for_the_sake_of_holding() -> None:
    """Of 3,000 samples: about as wide as where the correlation is known."""
    runs = autocorrelated(200, 3000, correlation=0.8, seed=52)
    bounds = [quantile_interval(run, 99, confidence=two_sided(0.95)).high for run in runs]
    known = 0.265  # from the variance, over 2,000 other runs, of the share below the true p99
    assert np.median(bounds) - normal_quantile(0.99) <= 1.25 * known
