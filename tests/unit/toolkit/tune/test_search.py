"""Doubling and halving over the number of layers in float."""

from __future__ import annotations

import pytest

from toolkit.statistics.budgets import PairedDrop
from toolkit.tune.search import Budget, fewest_float

_N = 1000


class _Curve:
    """A drop that falls to zero once `needed` layers are float; counts what is asked."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.asked: list[int] = []

    def __call__(self, count: int) -> PairedDrop:
        self.asked.append(count)
        return PairedDrop(max(0, self.needed - count) * 15, 0, _N)


def _budget(max_drop: float = 0.01, judges: int = 2000) -> Budget:
    return Budget(max_drop, confidence=0.95, judges=judges)


@pytest.mark.parametrize("layers", [1, 2, 3, 17, 53])
def test_the_fewest_layers_are_found_in_few_evaluations(layers: int) -> None:
    for needed in range(layers):
        curve = _Curve(needed)
        assert fewest_float(curve, layers=layers, budget=_budget()) == (needed, True)
        assert len(curve.asked) == len(set(curve.asked)) <= 2 * layers.bit_length() + 1


def test_int8_that_fits_as_it_is_takes_one_evaluation() -> None:
    curve = _Curve(0)
    fewest_float(curve, layers=53, budget=_budget())
    assert curve.asked == [0]


def test_an_unreachable_budget_gives_the_best_candidate_evaluated() -> None:
    curve = _Curve(50)
    assert fewest_float(curve, layers=20, budget=_budget()) == (19, False)
    level = PairedDrop(90, 0, _N)
    assert fewest_float(lambda count: level, layers=20, budget=_budget()) == (0, False)


def test_a_candidate_fits_when_the_judging_images_would_show_it() -> None:
    budget = _budget(judges=400)
    assert budget.decidable
    assert budget.fits(PairedDrop(0, 0, 200))
    assert not budget.fits(PairedDrop(2, 0, 200))  # a drop of 1 point, and no room for doubt
    assert not budget.fits(PairedDrop(6, 6, 200))


def test_where_the_images_can_never_show_the_budget_the_drop_seen_decides() -> None:
    budget = _budget(judges=100)
    assert not budget.decidable
    assert budget.fits(PairedDrop(1, 0, 100))
    assert not budget.fits(PairedDrop(2, 0, 100))
