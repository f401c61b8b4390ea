"""One-sided bounds on a paired drop, and the verdict."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.statistics.budgets import (
    MET,
    NOT_MET,
    UNDECIDED,
    PairedDrop,
    smallest_bound,
)


def _drawn(
    rng: np.random.Generator, n: int, *, drop: float, told_apart: float, times: int
) -> list[PairedDrop]:
    shares = [(told_apart + drop) / 2.0, (told_apart - drop) / 2.0, 1.0 - told_apart]
    return [PairedDrop(int(a), int(b), n) for a, b, _ in rng.multinomial(n, shares, size=times)]


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_a_drop_at_the_budget_is_called_met_no_oftener_than_promised(confidence: float) -> None:
    seen = _drawn(np.random.default_rng(0), 800, drop=0.01, told_apart=0.05, times=1500)
    wrong = sum(each.verdict(0.01, confidence) == MET for each in seen) / len(seen)
    allowed = 1.0 - confidence
    assert wrong < allowed + 3.0 * (allowed / len(seen)) ** 0.5


def test_the_three_verdicts() -> None:
    assert PairedDrop(0, 0, 1000).verdict(0.01, 0.95) == MET
    assert PairedDrop(60, 5, 1000).verdict(0.01, 0.95) == NOT_MET
    assert PairedDrop(12, 4, 1000).verdict(0.01, 0.95) == UNDECIDED


def test_a_bound_is_one_sided() -> None:
    seen = PairedDrop(30, 20, 1000)
    assert seen.drop == pytest.approx(0.01)
    assert seen.at_least(0.975) < seen.at_least(0.95) < seen.drop
    assert seen.drop < seen.at_most(0.95) < seen.at_most(0.975)
    assert seen.at_most(0.95) == pytest.approx(
        0.01 + 1.645 * (0.05 - 0.0001) ** 0.5 / 1000**0.5, abs=2e-3
    )


def test_the_smallest_bound_is_that_of_equal_answers() -> None:
    z = 1.6448536
    assert smallest_bound(400, 0.95) == pytest.approx(z * z / (400 + z * z), rel=1e-3)


def test_scaling_keeps_the_shares() -> None:
    assert PairedDrop(3, 1, 100).scaled_to(200) == PairedDrop(6, 2, 200)
    assert PairedDrop(1, 1, 2).scaled_to(3) == PairedDrop(2, 1, 3)  # never more than there are


@pytest.mark.parametrize("confidence", [0.5, 1.0, 0.0])
def test_a_confidence_that_decides_nothing_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"between 0\.5 and 1"):
        PairedDrop(1, 0, 10).at_most(confidence)
