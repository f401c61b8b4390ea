from __future__ import annotations

import numpy as np
import pytest

from calibration.histogram import Histogram
from calibration.methods import METHODS

LEVELS = 127


def _histogram(sample: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.cover(float(sample.min()), float(sample.max()))
    histogram.add(sample.astype(np.float32))
    return histogram


def _with_outlier() -> np.ndarray:
    sample = np.random.default_rng(0).normal(size=200_000)
    sample[0] = 80.0
    return sample


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_never_leaves_the_range_of_the_data(name: str) -> None:
    histogram = _histogram(_with_outlier())
    span = METHODS[name](histogram, LEVELS)
    assert histogram.low - histogram.width <= span.low <= span.high
    assert span.high <= histogram.high + histogram.width


def test_minmax_keeps_the_outlier() -> None:
    assert METHODS["minmax"](_histogram(_with_outlier()), LEVELS).amax == pytest.approx(80.0)


@pytest.mark.parametrize("name", ["percentile", "percentile-99.9", "entropy", "mse"])
def test_the_other_methods_clip_one_outlier_in_two_hundred_thousand(name: str) -> None:
    # mse balances (80 - a)^2 / 200,000 against a^2 / (12 * 127^2): it stops near 39.
    assert METHODS[name](_histogram(_with_outlier()), LEVELS).amax < 45.0


def test_percentile_is_the_quantile_of_magnitudes() -> None:
    sample = np.random.default_rng(1).normal(size=100_000)
    span = METHODS["percentile-99.9"](_histogram(sample), LEVELS)
    assert span.amax == pytest.approx(float(np.quantile(np.abs(sample), 0.999)), rel=0.02)


def test_mse_has_less_rounding_and_clipping_error_than_minmax() -> None:
    sample = _with_outlier()

    def error(amax: float) -> float:
        scale = amax / LEVELS
        rounded = np.clip(np.rint(sample / scale), -LEVELS, LEVELS) * scale
        return float(np.square(rounded - sample).mean())

    histogram = _histogram(sample)
    assert error(METHODS["mse"](histogram, LEVELS).amax) < error(
        METHODS["minmax"](histogram, LEVELS).amax
    )


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_tensor_that_is_always_zero_has_the_range_zero(name: str) -> None:
    assert METHODS[name](_histogram(np.zeros(100)), LEVELS).amax == 0.0
