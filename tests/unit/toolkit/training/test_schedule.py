from __future__ import annotations

import pytest

from toolkit.training.schedule import learning_rate_at


def rates(steps: int, warmup: float) -> list[float]:
    return [learning_rate_at(step, steps, peak=2.0, warmup=warmup) for step in range(steps)]


def test_the_rate_rises_in_equal_steps_to_its_peak() -> None:
    assert rates(100, 0.04)[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])


def test_after_the_peak_it_falls_along_half_a_cosine() -> None:
    after = rates(100, 0.0)
    assert after[0] == 2.0
    assert after[50] == pytest.approx(1.0)
    assert after[-1] < 0.001
    assert after == sorted(after, reverse=True)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_every_step_of_a_short_run_has_a_rate_that_learns(steps: int, warmup: float) -> None:
    assert all(0 < rate <= 2.0 for rate in rates(steps, warmup))
