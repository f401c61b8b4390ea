from __future__ import annotations

import numpy as np
import pytest

from toolkit.statistics.confidence_error import confidence_error


def test_the_error_is_the_weighted_gap_of_each_bin() -> None:
    confidences = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([True] * 8 + [False] * 2 + [True] * 6 + [False] * 4)
    found = confidence_error(confidences, right)
    assert found.value == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_gaps_within_a_bin_cancel_and_across_bins_do_not() -> None:
    within = confidence_error(np.array([0.5, 0.5]), np.array([True, False]))
    across = confidence_error(np.array([0.1, 0.9]), np.array([True, False]))
    assert within.value == 0.0
    assert across.value == pytest.approx(0.9)


def test_a_confidence_of_one_belongs_to_the_last_bin_and_equal_seeds_agree() -> None:
    confidences, right = np.ones(30), np.arange(30) % 2 == 0
    first, second = (confidence_error(confidences, right, seed=3) for _ in range(2))
    assert first == second
    assert first.value == pytest.approx(0.5)


def test_no_images_have_no_error() -> None:
    with pytest.raises(ValueError, match="zero images"):
        confidence_error(np.zeros(0), np.zeros(0, dtype=bool))


@pytest.mark.parametrize("overconfidence", [0.0, 0.03, 0.10])
def test_intervals_cover_the_truth_of_simulated_models(overconfidence: float) -> None:
    """150 models, 653 images each, whose confidence is that much too high."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(150):
        confidences = rng.beta(5.0, 1.5, 653)
        right = rng.random(653) < np.clip(confidences - overconfidence, 0.0, 1.0)
        found = confidence_error(confidences, right)
        covered.append(overconfidence in found.interval)
    assert np.mean(covered) >= 0.88
