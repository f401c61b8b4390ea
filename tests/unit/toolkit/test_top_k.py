from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.toolkit.live.live_parts import contract
from toolkit.errors import ModelError
from toolkit.top_k import Guess, confidences, top_guesses


def test_the_best_classes_come_first_with_their_names_and_softmax() -> None:
    row = np.log(np.array([0.2, 0.7, 0.1], np.float32))
    best, second = top_guesses(row, contract(), 2)
    assert best == Guess(1, "bee", "n2", best.confidence)
    assert second == Guess(0, "ant", "n1", second.confidence)
    assert (best.confidence, second.confidence) == pytest.approx((0.7, 0.2))


def test_among_equals_the_lower_class_comes_first() -> None:
    guesses = top_guesses(np.zeros(3, np.float32), contract(), 3)
    assert [guess.index for guess in guesses] == [0, 1, 2]


def test_more_guesses_than_classes_are_all_classes() -> None:
    assert len(top_guesses(np.zeros(3, np.float32), contract(), 99)) == 3


def test_the_largest_are_those_of_a_full_sort_ties_included() -> None:
    random = np.random.default_rng(0)
    names = tuple(map(str, range(1000)))
    many = replace(contract(), labels=names, ids=names)
    for k in (0, 1, 5, 999, 1000, 1001):
        row = random.integers(-20, 20, 1000).astype(np.float32)
        expected = np.argsort(-row, kind="stable")[:k].tolist()
        assert [guess.index for guess in top_guesses(row, many, k)] == expected


def test_large_logits_do_not_overflow() -> None:
    shares = confidences(np.array([5000.0, 4990.0], np.float32))
    assert shares == pytest.approx([1.0, 4.54e-5], rel=1e-3)


def test_an_output_that_is_a_distribution_already_is_left_alone() -> None:
    row = np.array([0.25, 0.5, 0.25], np.float32)
    np.testing.assert_array_equal(confidences(row), row)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ModelError, match="not finite"):
        top_guesses(np.array([bad, 0.0, 1.0], np.float32), contract(), 1)
