from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.toolkit.statistics.simulated import PAIRED_TRUTHS
from toolkit.statistics import (
    Interval,
    images_needed,
    mcnemar_mid_p,
    mcnemar_p,
    newcombe_interval,
    paired_drop_interval,
    wilson_interval,
)
from toolkit.statistics.distributions import binomial_cdf

cached_drop = lru_cache(maxsize=None)(paired_drop_interval)


def ends(interval: Interval, digits: int = 4) -> tuple[float, float]:
    return round(interval.low, digits), round(interval.high, digits)


@pytest.mark.parametrize(
    ("successes", "n", "expected"),
    [  # statsmodels 0.14, proportion_confint(method="wilson")
        (81, 263, (0.2553, 0.3662)),
        (453, 653, (0.6573, 0.7279)),
        (0, 1, (0.0, 0.7935)),
        (1, 1, (0.2065, 1.0)),
        (653, 653, (0.9942, 1.0)),
    ],
)
def test_wilson_intervals_agree_with_statsmodels(
    successes: int, n: int, expected: tuple[float, float]
) -> None:
    assert ends(wilson_interval(successes, n)) == expected


def test_no_images_leave_everything_possible() -> None:
    assert ends(wilson_interval(0, 0)) == (0.0, 1.0)
    assert ends(paired_drop_interval(0, 0, 0)) == (-1.0, 1.0)


@pytest.mark.parametrize("n", [324, 653, 2000])
def test_wilson_intervals_cover_94_per_cent_or_more(n: int) -> None:
    """Exact, not simulated: binomial probabilities of the counts whose interval has the truth."""
    intervals = [wilson_interval(k, n) for k in range(n + 1)]
    low, high = (np.array([getattr(i, end) for i in intervals]) for end in ("low", "high"))
    covered = []
    for truth in np.linspace(0.5, 0.99, 50):
        inside = np.flatnonzero((low <= truth) & (truth <= high))
        first, last = int(inside[0]), int(inside[-1])
        covered.append(binomial_cdf(last, n, truth) - binomial_cdf(first - 1, n, truth))
    assert np.mean(covered) >= 0.945
    assert min(covered) >= 0.93


@pytest.mark.parametrize(
    ("only_a", "only_b", "n", "confidence", "expected"),
    [
        (28, 25, 618, 0.90, (-0.0148, 0.0247)),  # R, PropCIs::scoreci.mp(25, 28, 618, 0.90)
        (1, 7, 21, 0.95, (-0.5172, -0.0260)),  # R, ratesci: the airway data of Bentur (2009)
    ],
)
def test_drop_intervals_agree_with_published_implementations(
    only_a: int, only_b: int, n: int, confidence: float, expected: tuple[float, float]
) -> None:
    assert ends(paired_drop_interval(only_a, only_b, n, confidence=confidence)) == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [((20, 12, 2, 16), (0.0562, 0.3292)), ((36, 12, 2, 0), (0.0569, 0.3404))],
)
def test_newcombe_intervals_agree_with_his_paper(
    table: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    assert ends(newcombe_interval(*table)) == expected


def test_drop_intervals_cover_and_are_as_narrow_as_newcombes() -> None:
    """2,000 runs of 653 images for each truth."""
    rng = np.random.default_rng(41)
    covered, widths, yardstick = [], [], []
    for only_a, only_b, accuracy in PAIRED_TRUTHS:
        shares = [accuracy - only_a, only_a, only_b, 1.0 - accuracy - only_b]
        drawn = rng.multinomial(653, shares, size=2000)
        found = [cached_drop(int(a), int(b), 653) for _, a, b, _ in drawn]
        covered.append(np.mean([only_a - only_b in interval for interval in found]))
        widths.append(np.mean([interval.width for interval in found]))
        yardstick.append(np.mean([newcombe_interval(*map(int, row)).width for row in drawn]))
    assert np.mean(covered) >= 0.94
    assert min(covered) >= 0.935
    assert np.mean(widths) <= 1.10 * np.mean(yardstick)
    assert max(w / y for w, y in zip(widths, yardstick, strict=True)) <= 1.10


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 500))
def test_a_drop_interval_holds_its_estimate_and_mirrors(a: int, b: int, rest: int) -> None:
    n = a + b + rest
    interval = paired_drop_interval(a, b, n)
    assert -1.0 <= interval.low <= (a - b) / n + 1e-9
    assert (a - b) / n - 1e-9 <= interval.high <= 1.0
    mirrored = paired_drop_interval(b, a, n)
    assert mirrored.low == pytest.approx(-interval.high, abs=1e-7)


def test_equal_models_still_leave_a_drop_possible() -> None:
    z2 = 1.959963984540054**2
    assert paired_drop_interval(0, 0, 653).high == pytest.approx(z2 / (653 + z2), abs=1e-6)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        wilson_interval(3, 2)
    with pytest.raises(ValueError, match="not a proportion"):
        paired_drop_interval(2, 2, 3)


@pytest.mark.parametrize(
    ("only_a", "only_b", "expected"),
    [  # statsmodels 0.14, mcnemar(exact=True).pvalue
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 1, 0.21875),
        (12, 2, 0.012939453125),
        (30, 18, 0.11140289106101878),
        (7, 7, 1.0),
    ],
)
def test_mcnemar_agrees_with_statsmodels(only_a: int, only_b: int, expected: float) -> None:
    assert mcnemar_p(only_a, only_b) == pytest.approx(expected, abs=1e-12)
    assert mcnemar_p(only_b, only_a) == pytest.approx(expected, abs=1e-12)


def test_mid_p_leaves_out_half_of_the_observed_table_on_both_sides() -> None:
    observed = math.comb(14, 2) * 0.5**14
    assert mcnemar_mid_p(12, 2) == pytest.approx(0.012939453125 - observed)
    assert mcnemar_mid_p(3, 3) == mcnemar_mid_p(0, 0) == 1.0
    assert mcnemar_mid_p(1, 0) == 0.5


def test_the_planned_number_of_images_shows_the_drop_as_often_as_promised() -> None:
    n = images_needed(2.0, told_apart=0.06, power=0.8)
    drawn = np.random.default_rng(42).multinomial(n, [0.04, 0.02, 0.94], size=2000)
    shown = [cached_drop(int(a), int(b), n).low > 0.0 for a, b, _ in drawn]
    assert 0.77 <= np.mean(shown) <= 0.83


def test_smaller_drops_need_more_images() -> None:
    needed = [images_needed(points, told_apart=0.05) for points in (4.0, 2.0, 1.0, 0.5)]
    assert needed == sorted(needed)
    assert 15_000 < needed[-1] < 16_500


def test_a_drop_larger_than_what_is_told_apart_is_refused() -> None:
    for points, told_apart in ((5.0, 0.01), (0.0, 0.1), (1.0, 1.5)):
        with pytest.raises(ValueError, match="told apart"):
            images_needed(points, told_apart=told_apart)
