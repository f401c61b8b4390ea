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


@pytest.mark.parametrize(
    ("correlation", "least"),
    [(0.0, 0.94), (0.3, 0.93), (0.8, 0.91)],  # of 1000 samples as sticky as 0.8, few are new
)
def test_upper_bounds_of_p95_hold_in_simulations(correlation: float, least: float) -> None:
    """1,000 runs at 95 % confidence on one side."""
    runs = np.exp(0.3 * autocorrelated(1000, 1000, correlation=correlation, seed=51))
    truth = float(np.exp(0.3 * 1.6448536269514722))
    level = two_sided(0.95)
    held = [truth <= quantile_interval(run, 95, confidence=level).high for run in runs]
    assert least <= np.mean(held) <= 0.985
