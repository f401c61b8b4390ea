from __future__ import annotations

import threading
import time

import pytest

from toolkit.clock import MONOTONIC, VirtualClock


def test_virtual_time_moves_only_while_everybody_waits() -> None:
    clock = VirtualClock(5.0)
    began = time.monotonic()
    clock.sleep(3600.0)
    assert clock() == 3605.0
    assert time.monotonic() - began < 1.0


def test_threads_take_turns_in_the_order_of_their_time() -> None:
    clock = VirtualClock()
    seen: list[tuple[float, str]] = []

    def ticking(name: str, period_s: float, n: int) -> None:
        for _ in range(n):
            clock.sleep(period_s)
            seen.append((clock(), name))

    threads = [
        clock.start(lambda: ticking("slow", 3.0, 2), "slow"),
        clock.start(lambda: ticking("fast", 2.0, 3), "fast"),
    ]
    assert all(clock.join(thread, 100.0) for thread in threads)
    assert seen == [(2.0, "fast"), (3.0, "slow"), (4.0, "fast"), (6.0, "slow"), (6.0, "fast")]


def test_a_met_condition_goes_before_a_time_out() -> None:
    clock = VirtualClock()
    condition = threading.Condition()
    flags: list[str] = []

    def set_later() -> None:
        clock.sleep(1.0)
        flags.append("set")

    clock.start(set_later, "setter")
    with condition:
        assert clock.wait_for(condition, lambda: bool(flags), 10.0)
    assert clock() == 1.0


def test_a_wait_ends_with_its_time_out() -> None:
    clock = VirtualClock()
    condition = threading.Condition()
    with condition:
        assert not clock.wait_for(condition, lambda: False, 2.0)
    assert clock() == 2.0


def test_threads_that_wait_for_each_other_for_ever_are_an_error() -> None:
    clock = VirtualClock()
    condition = threading.Condition()
    with condition, pytest.raises(RuntimeError, match="MainThread"):
        clock.wait_for(condition, lambda: False, None)


def test_a_virtual_clock_can_jump_backwards() -> None:
    clock = VirtualClock(10.0)
    clock.jump(-4.0)
    assert clock() == 6.0


def test_the_real_clock_is_the_monotonic_one_and_waits() -> None:
    began = time.monotonic()
    MONOTONIC.sleep(0.01)
    condition = threading.Condition()
    with condition:
        assert not MONOTONIC.wait_for(condition, lambda: False, 0.01)
    thread = MONOTONIC.start(lambda: None, "nothing")
    assert MONOTONIC.join(thread, 5.0)
    assert 0.02 <= MONOTONIC() - began < 5.0
