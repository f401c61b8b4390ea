from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibration.errors import CalibrationError
from calibration.histogram import HALF, Histogram, merged

values = arrays(
    np.float32,
    st.integers(1, 40),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)


def _of(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.cover(float(batch.min()), float(batch.max()))
        histogram.add(batch)
    return histogram


@settings(max_examples=80, deadline=None)
@given(values, values)
def test_the_order_of_batches_does_not_matter(a: np.ndarray, b: np.ndarray) -> None:
    assert _of(a, b) == _of(b, a)


@settings(max_examples=80, deadline=None)
@given(values, values)
def test_merging_two_histograms_is_counting_all_values_in_one(a: np.ndarray, b: np.ndarray) -> None:
    assert merged([_of(a), _of(b)]) == _of(np.concatenate([a, b]))


@settings(max_examples=80, deadline=None)
@given(values)
def test_low_and_high_are_exact_and_memory_is_bounded(a: np.ndarray) -> None:
    histogram = _of(a)
    assert (histogram.low, histogram.high) == (float(a.min()), float(a.max()))
    assert histogram.total == len(a)
    assert len(histogram.counts) == 2 * HALF


@settings(max_examples=80, deadline=None)
@given(values, st.integers(-120, 20))
def test_every_value_lies_in_the_bin_that_exact_division_gives(a: np.ndarray, shift: int) -> None:
    scaled = np.ldexp(a, shift).astype(np.float32)
    histogram = Histogram()
    histogram.add(scaled)
    bins = np.floor(scaled.astype(np.float64) / histogram.width).astype(np.int64)
    assert np.array_equal(histogram.counts, np.bincount(bins + HALF, minlength=2 * HALF))


def test_a_value_too_small_for_32_bits_lies_below_zero_all_the_same() -> None:
    histogram = Histogram()
    histogram.add(np.array([-1e-45, 1e6], np.float32))
    assert histogram.counts[HALF - 1] == 1
    assert histogram.counts[HALF] == 0


def test_a_quantile_is_near_the_one_of_the_sample() -> None:
    sample = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    histogram = _of(sample)
    for share in (0.01, 0.5, 0.999):
        assert histogram.quantile(share) == pytest.approx(
            float(np.quantile(sample, share)), abs=0.02
        )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(CalibrationError, match="not finite"):
        Histogram().cover(0.0, bad)
