from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.toolkit.statistics.simulated import in_turns
from toolkit.statistics import Ratio, ratio_of_medians


def ratios(runs: int, *, correlation: float, seed: int, slowdown: float = 1.0) -> list[Ratio]:
    return [
        ratio_of_medians(a, slowdown * b)
        for a, b in in_turns(runs, correlation=correlation, seed=seed)
    ]


def test_ratio_intervals_cover_95_per_cent_of_2000_simulations() -> None:
    made = ratios(2000, correlation=0.6, seed=31)
    assert 0.93 <= np.mean([1.0 in ratio.interval for ratio in made]) <= 0.97


def test_an_engine_against_itself_shows_no_difference() -> None:
    made = ratios(100, correlation=0.6, seed=32)
    assert sum(not ratio.differs() for ratio in made) >= 95


def test_a_slowdown_of_five_per_cent_is_found() -> None:
    made = ratios(100, correlation=0.6, seed=33, slowdown=1.05)
    assert sum(ratio.differs() and ratio.value > 1.0 for ratio in made) >= 90


def test_a_difference_within_the_margin_is_none() -> None:
    rng = np.random.default_rng(0)
    a = 1.0 + 1e-4 * rng.random((50, 5))
    ratio = ratio_of_medians(a, 1.004 * a[::-1])
    assert 1.0 not in ratio.interval
    assert not ratio.differs()
    assert ratio.differs(margin=0.001)


def test_swapping_the_engines_inverts_the_ratio() -> None:
    ((a, b),) = in_turns(1, correlation=0.5, seed=34)
    forth, back = ratio_of_medians(a, b), ratio_of_medians(b, a)
    assert back.value == pytest.approx(1.0 / forth.value)
    assert back.interval.low == pytest.approx(1.0 / forth.interval.high)


def test_five_rounds_cannot_bound_a_ratio_at_95_per_cent() -> None:
    a = np.random.default_rng(1).random((5, 3)) + 1.0
    ratio = ratio_of_medians(a, 2.0 * a)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.interval.high == math.inf
    assert not ratio.differs()


def test_one_round_gives_a_value_and_no_bounds() -> None:
    ratio = ratio_of_medians(np.ones((1, 1)), np.full((1, 1), 3.0))
    assert ratio.value == pytest.approx(3.0)
    assert ratio.interval.to_list() == [0.0, None]


def test_blocks_of_different_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="equal rounds"):
        ratio_of_medians(np.ones((3, 2)), np.ones((4, 2)))
