"""Accuracies and paired differences of accuracies: intervals, a test, and how many images to take.

Two models that are scored on the same images differ only where exactly one of them is right. So
`only_a` counts the images that a gets right and b wrong, `only_b` the reverse.
"""

from __future__ import annotations

import math

from toolkit.statistics.distributions import binomial_cdf, find_root, normal_quantile
from toolkit.statistics.intervals import Interval

__all__ = [
    "images_for_accuracy",
    "images_needed",
    "mcnemar_mid_p",
    "mcnemar_p",
    "newcombe_interval",
    "paired_drop_interval",
    "wilson_interval",
]


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return the interval for a proportion (E. B. Wilson, JASA 22, 1927); [0, 1] for n = 0."""
    _check(successes, n)
    if n == 0:
        return Interval(0.0, 1.0, confidence)
    z = normal_quantile(0.5 + confidence / 2.0)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high, confidence)


def paired_drop_interval(only_a: int, only_b: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return the interval for accuracy(a) - accuracy(b), as a fraction, from the same `n` images.

    Inverts the score test (T. Tango, Statistics in Medicine 17, 1998, 891-908). With no image
    told apart it still has a width. [-1, 1] for n = 0.
    """
    _check(only_a + only_b, n)
    if n == 0:
        return Interval(-1.0, 1.0, confidence)
    z = normal_quantile(0.5 + confidence / 2.0)
    seen = (only_a - only_b) / n

    def score(drop: float) -> float:
        return _tango_score(only_a, only_b, n, drop)

    low = find_root(lambda drop: score(drop) - z, -1.0, seen, tolerance=1e-9)
    high = find_root(lambda drop: score(drop) + z, seen, 1.0, tolerance=1e-9)
    return Interval(low, high, confidence)


def _tango_score(only_a: int, only_b: int, n: int, drop: float) -> float:
    """Return the score statistic of a true `drop`; it falls as `drop` grows."""
    linear = -only_a - only_b + (2 * n - only_a + only_b) * drop
    constant = -only_b * drop * (1.0 - drop)
    # the likeliest share of "only b is right" under this drop
    root = math.sqrt(max(0.0, linear * linear - 8.0 * n * constant))
    share = (root - linear) / (4.0 * n)
    variance = n * (2.0 * share + drop * (1.0 - drop))
    difference = only_a - only_b - n * drop
    if variance <= 0.0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)


def newcombe_interval(
    both: int, only_a: int, only_b: int, neither: int, *, confidence: float = 0.95
) -> Interval:
    """Return the interval for accuracy(a) - accuracy(b) by Newcombe's paired method 10.

    R. G. Newcombe, Statistics in Medicine 17, 1998, 2635-2650. `paired_drop_interval` is what
    Edgekit reports; this one is the yardstick for its width.
    """
    n = both + only_a + only_b + neither
    if n == 0:
        return Interval(-1.0, 1.0, confidence)
    a, b = both + only_a, both + only_b
    first = wilson_interval(a, n, confidence=confidence)
    second = wilson_interval(b, n, confidence=confidence)
    share_a, share_b = a / n, b / n
    margins = a * (n - a) * b * (n - b)
    product = float(both * neither - only_a * only_b)
    if product > 0.0:  # Newcombe's continuity correction of the correlation
        product = max(0.0, product - n / 2.0)
    phi = product / math.sqrt(margins) if margins else 0.0
    down_a, up_b = share_a - first.low, second.high - share_b
    up_a, down_b = first.high - share_a, share_b - second.low
    below = math.sqrt(max(0.0, down_a**2 - 2.0 * phi * down_a * up_b + up_b**2))
    above = math.sqrt(max(0.0, up_a**2 - 2.0 * phi * up_a * down_b + down_b**2))
    drop = share_a - share_b
    return Interval(drop - below, drop + above, confidence)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Return the two-sided exact p-value that both models are right equally often."""
    _check(min(only_a, only_b), max(only_a, only_b))
    told_apart = only_a + only_b
    if told_apart == 0:
        return 1.0
    return min(1.0, 2.0 * binomial_cdf(min(only_a, only_b), told_apart, 0.5))


def mcnemar_mid_p(only_a: int, only_b: int) -> float:
    """Return the mid-p variant: less conservative, and still close to its nominal level.

    M. Fagerland, S. Lydersen and P. Laake, BMC Medical Research Methodology 13:91, 2013.
    """
    told_apart = only_a + only_b
    if only_a == only_b:  # the observed table is the most likely one
        return 1.0
    fewer = min(only_a, only_b)
    here = math.exp(
        math.lgamma(told_apart + 1)
        - math.lgamma(fewer + 1)
        - math.lgamma(told_apart - fewer + 1)
        - told_apart * math.log(2.0)
    )
    return mcnemar_p(only_a, only_b) - here


def images_needed(
    drop_points: float, *, told_apart: float, confidence: float = 0.95, power: float = 0.8
) -> int:
    """Return how many images show a true drop of `drop_points` percentage points.

    "Show": with probability `power` the interval at `confidence` lies above zero. `told_apart` is
    the share of images that exactly one of the two models gets right (for a good INT8 engine a few
    per cent); it cannot be smaller than the drop. R. Connor, Biometrics 43, 1987, 207-211.
    Raises ValueError when these do not fit together.
    """
    drop = abs(drop_points) / 100.0
    if not 0.0 < drop <= told_apart <= 1.0:
        raise ValueError(
            f"a drop of {drop_points} points needs a share told apart between {drop:.4f} and 1, "
            f"not {told_apart}"
        )
    z_level, z_power = normal_quantile(0.5 + confidence / 2.0), normal_quantile(power)
    wide = z_level * math.sqrt(told_apart) + z_power * math.sqrt(told_apart - drop * drop)
    return math.ceil((wide / drop) ** 2)


def images_for_accuracy(accuracy: float, *, points: float, confidence: float = 0.95) -> int:
    """Return how many images bound an accuracy (a fraction) to `points` either way.

    The size at which half of Wilson's interval is that wide. Raises ValueError for points that are
    not in (0, 50).
    """
    half = points / 100.0
    if not 0.0 < half < 0.5:
        raise ValueError(f"an accuracy cannot be bounded to {points} points either way")
    z2 = normal_quantile(0.5 + confidence / 2.0) ** 2
    # half^2 * (n + z2)^2 = z2 * (n * p * (1 - p) + z2 / 4), solved for n
    linear = 2.0 * half**2 * z2 - z2 * accuracy * (1.0 - accuracy)
    constant = half**2 * z2**2 - z2**2 / 4.0
    root = math.sqrt(linear * linear - 4.0 * half**2 * constant)
    return math.ceil((root - linear) / (2.0 * half**2))


def _check(part: int, whole: int) -> None:
    if not 0 <= part <= whole:
        raise ValueError(f"{part} of {whole} is not a proportion")
