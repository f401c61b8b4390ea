"""Runs two at a time: in order, no farther ahead than needed, and errors reach who asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from calibration.execute import in_turn


def test_results_come_in_the_order_of_the_items_whoever_is_done_first() -> None:
    def slow_if_even(item: int) -> int:
        time.sleep(0.02 if item % 2 == 0 else 0.0)
        return item * item

    assert list(in_turn(slow_if_even, range(9))) == [item * item for item in range(9)]
    assert list(in_turn(slow_if_even, ())) == []


def test_two_items_are_at_work_at_once() -> None:
    together = threading.Barrier(2, timeout=5.0)
    assert len(list(in_turn(lambda _item: together.wait(), range(4)))) == 4


def test_an_error_is_raised_where_the_results_are_taken() -> None:
    def fails_at_two(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    found = in_turn(fails_at_two, range(9))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(found)


def test_who_stops_early_has_paid_for_at_most_two_more() -> None:
    begun: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            begun.append(item)
            yield item

    found = in_turn(lambda item: item, items())
    assert next(found) == 0
    found.close()
    assert begun == [0, 1, 2]
