from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.statistics.distributions import (
    beta_cdf,
    binomial_cdf,
    find_root,
    normal_quantile,
    t_quantile,
)


@pytest.mark.parametrize(
    ("probability", "dof", "expected"),
    [  # SciPy 1.16, scipy.stats.t.ppf
        (0.975, 1, 12.706204736432095),
        (0.975, 2, 4.302652729911275),
        (0.975, 7, 2.3646242515927849),
        (0.975, 100, 1.9839715185235518),
        (0.995, 19, 2.8609346064649799),
        (0.025, 7, -2.3646242515927849),
    ],
)
def test_t_quantiles_agree_with_scipy(probability: float, dof: int, expected: float) -> None:
    assert t_quantile(probability, dof) == pytest.approx(expected, rel=1e-8)


def test_t_quantiles_approach_the_normal_one() -> None:
    assert t_quantile(0.975, 1e7) == pytest.approx(normal_quantile(0.975), abs=1e-6)


@settings(deadline=None)
@given(n=st.integers(1, 60), probability=st.floats(0.01, 0.99), fraction=st.floats(0.0, 1.0))
def test_the_binomial_distribution_adds_up(n: int, probability: float, fraction: float) -> None:
    k = int(fraction * n)
    summed = math.fsum(
        math.comb(n, i) * probability**i * (1.0 - probability) ** (n - i) for i in range(k + 1)
    )
    assert binomial_cdf(k, n, probability) == pytest.approx(summed, abs=1e-11)


def test_the_binomial_distribution_is_nothing_below_zero_and_all_from_n_on() -> None:
    assert binomial_cdf(-1, 5, 0.5) == 0.0
    assert binomial_cdf(5, 5, 0.5) == binomial_cdf(9, 5, 0.5) == 1.0


@settings(deadline=None)
@given(x=st.floats(0.001, 0.999), a=st.floats(0.1, 500.0), b=st.floats(0.1, 500.0))
def test_the_beta_distribution_mirrors(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(1.0 - beta_cdf(1.0 - x, b, a), abs=1e-9)


def test_a_root_is_found_and_its_absence_gives_the_nearer_end() -> None:
    assert find_root(lambda x: 2.0 - x * x, 0.0, 5.0, tolerance=1e-12) == pytest.approx(2**0.5)
    assert find_root(lambda x: 1.0, 0.0, 1.0, tolerance=1e-9) == pytest.approx(1.0)
    assert find_root(lambda x: -1.0, 0.0, 1.0, tolerance=1e-9) == pytest.approx(0.0, abs=1e-8)
