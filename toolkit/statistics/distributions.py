"""Quantiles and tail probabilities of the few distributions that intervals need, without SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

__all__ = ["beta_cdf", "binomial_cdf", "find_root", "normal_quantile", "t_quantile"]


def normal_quantile(probability: float) -> float:
    """Return z with P(Z <= z) = `probability` for a standard normal Z."""
    return NormalDist().inv_cdf(probability)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return P(X <= x) for X ~ Beta(a, b): the regularised incomplete beta function.

    Continued fraction by Lentz's method (Numerical Recipes 6.4), accurate to about 1e-12.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    front = math.exp(log_front)
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(x, a, b) / a
    return 1.0 - front * _beta_fraction(1.0 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300  # keeps a vanishing denominator from dividing by zero
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0), tiny)
    total = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d, tiny)
            c = _away_from_zero(1.0 + term / c, tiny)
            total *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return total


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def binomial_cdf(k: int, n: int, probability: float) -> float:
    """Return P(X <= k) for X ~ Binomial(n, probability)."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    return beta_cdf(1.0 - probability, n - k, k + 1.0)


@lru_cache(maxsize=1024)  # asked again and again for the same few numbers of batches
def t_quantile(probability: float, dof: float) -> float:
    """Return t with P(T <= t) = `probability` for Student's T with `dof` degrees of freedom."""
    if probability < 0.5:
        return -t_quantile(1.0 - probability, dof)
    tail = 2.0 * (1.0 - probability)
    # P(|T| > t) = I(dof / (dof + t^2); dof / 2, 1 / 2), which falls as t grows
    return find_root(
        lambda t: beta_cdf(dof / (dof + t * t), dof / 2.0, 0.5) - tail, 0.0, 1e8, tolerance=1e-10
    )


def find_root(
    falling: Callable[[float], float], low: float, high: float, *, tolerance: float
) -> float:
    """Return where a falling function crosses zero between `low` and `high`, by bisection.

    Returns `low` (or `high`) when the function is below (above) zero everywhere between them.
    """
    while high - low > tolerance * max(1.0, abs(low)):
        middle = 0.5 * (low + high)
        if falling(middle) > 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
