"""The clock of the live loop: the machine's, or one that jumps so that tests are exact and instant.

Everything in the loop that waits does so through a Clock. `VirtualClock` runs the same threads one
at a time and moves on only when all of them wait, so a minute of camera time takes milliseconds
and gives the same figures on every machine.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["MONOTONIC", "Clock", "MonotonicClock", "VirtualClock"]


class Clock(Protocol):
    """Seconds on CLOCK_MONOTONIC, and every way the live loop has to wait for them."""

    def __call__(self) -> float:
        """Return the time now, in seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...

    def wait_for(
        self, condition: threading.Condition, ready: Callable[[], bool], timeout_s: float | None
    ) -> bool:
        """Wait, holding `condition`, until `ready()` or the time-out; return `ready()`."""
        ...

    def start(self, target: Callable[[], None], name: str) -> threading.Thread:
        """Run `target` in a new thread."""
        ...

    def join(self, thread: threading.Thread, timeout_s: float) -> bool:
        """Return whether `thread` ended within `timeout_s`."""
        ...


class MonotonicClock:
    """CLOCK_MONOTONIC of this machine, which V4L2 and GStreamer use too."""

    def __call__(self) -> float:
        """Return the time now, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        time.sleep(seconds)

    def wait_for(
        self, condition: threading.Condition, ready: Callable[[], bool], timeout_s: float | None
    ) -> bool:
        """Wait, holding `condition`, until `ready()` or the time-out; return `ready()`."""
        return condition.wait_for(ready, timeout_s)

    def start(self, target: Callable[[], None], name: str) -> threading.Thread:
        """Run `target` in a new thread, which does not keep the program alive."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def join(self, thread: threading.Thread, timeout_s: float) -> bool:
        """Return whether `thread` ended within `timeout_s`."""
        thread.join(timeout_s)
        return not thread.is_alive()


MONOTONIC = MonotonicClock()


class VirtualClock:
    """Time that moves only while every thread waits; one thread runs at a time, in a fixed order.

    A waiting thread goes on when its condition is met, those that waited longest first; when none
    is met, time jumps to the earliest time-out. The thread that makes the clock takes part in it.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now = start_s
        self._turn = threading.current_thread()
        self._changed = threading.Condition()
        self._waiting: dict[threading.Thread, tuple[Callable[[], bool], float]] = {}
        self._ended: set[threading.Thread] = set()

    def __call__(self) -> float:
        """Return the time now, in seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Move the time at once, backwards too: what a faulty clock does."""
        self._now += seconds

    def sleep(self, seconds: float) -> None:
        """Let the other threads run for `seconds` of virtual time."""
        self._wait(lambda: False, seconds)

    def wait_for(
        self, condition: threading.Condition, ready: Callable[[], bool], timeout_s: float | None
    ) -> bool:
        """Wait, holding `condition`, until `ready()` or the time-out; return `ready()`."""
        condition.release()
        try:
            return self._wait(ready, timeout_s)
        finally:
            condition.acquire()

    def start(self, target: Callable[[], None], name: str) -> threading.Thread:
        """Run `target` in a new thread; it gets its first turn when this one waits."""

        def take_part() -> None:
            me = threading.current_thread()
            with self._changed:
                self._changed.wait_for(lambda: self._turn is me)
                del self._waiting[me]
            try:
                target()
            finally:
                with self._changed:
                    self._ended.add(me)
                    self._pass_turn()

        thread = threading.Thread(target=take_part, name=name, daemon=True)
        with self._changed:
            self._waiting[thread] = (lambda: True, math.inf)
        thread.start()
        return thread

    def join(self, thread: threading.Thread, timeout_s: float) -> bool:
        """Return whether `thread` ended within `timeout_s` of virtual time."""
        return self._wait(lambda: thread in self._ended, timeout_s)

    def _wait(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        me = threading.current_thread()
        until = math.inf if timeout_s is None else self._now + timeout_s
        with self._changed:
            self._waiting[me] = (ready, until)
            self._pass_turn()
            self._changed.wait_for(lambda: self._turn is me)
            del self._waiting[me]
        return ready()

    def _pass_turn(self) -> None:
        if not self._waiting:
            return
        runnable = [thread for thread, (ready, _) in self._waiting.items() if ready()]
        if runnable:
            self._turn = runnable[0]
        else:
            self._turn = min(self._waiting, key=lambda thread: self._waiting[thread][1])
            until = self._waiting[self._turn][1]
            if math.isinf(until):
                names = ", ".join(thread.name for thread in self._waiting)
                raise RuntimeError(f"Every thread waits for another, without a time-out: {names}.")
            self._now = max(self._now, until)
        self._changed.notify_all()
