from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.report.scale import scale_over


def test_values_within_a_factor_of_six_lie_on_a_linear_axis() -> None:
    assert not scale_over([10.0, 50.0], 0.0, 100.0).logarithmic
    assert scale_over([10.0, 90.0], 0.0, 100.0).logarithmic


def test_equal_values_are_not_spread_over_the_paper() -> None:
    scale = scale_over([5.0, 5.0 + 1e-12], 0.0, 100.0, smallest=1.0)
    assert scale.at(5.0) == pytest.approx(scale.at(5.0 + 1e-12))
    assert scale.at(5.0) == pytest.approx(50.0)


def test_a_value_beyond_the_axis_is_kept_on_the_paper() -> None:
    scale = scale_over([0.0, 1.0], 10.0, 90.0, from_zero=True)
    assert scale.at(1e9) == 90.0
    assert scale.at(-5.0) == 10.0


def test_infinite_values_do_not_stretch_the_axis() -> None:
    assert scale_over([1.0, math.inf, math.nan, 2.0], 0.0, 1.0).high < 3.0


def test_ticks_are_round_numbers() -> None:
    assert scale_over([65.0, 87.0], 0.0, 1.0).ticks(5) == (65.0, 70.0, 75.0, 80.0, 85.0)


@given(
    st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=8),
    st.integers(3, 9),
)
def test_every_axis_has_ticks_that_lie_on_it(values: list[float], wanted: int) -> None:
    scale = scale_over(values, 0.0, 700.0, smallest=0.02 * max(values))
    ticks = scale.ticks(wanted)
    assert 1 <= len(ticks) <= 3 * wanted
    room = 1e-6 * (scale.high - scale.low)
    assert all(scale.low - room <= tick <= scale.high + room for tick in ticks)
    assert all(0.0 <= scale.at(value) <= 700.0 for value in values)
