"""A place for one item between two threads: the newest one wins, or the giver waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from toolkit.clock import MONOTONIC, Clock

__all__ = ["FrameSlot"]

T = TypeVar("T")


class FrameSlot(Generic[T]):
    """Room for one item; `replaced` counts those that lost their place to one that was taken.

    One thread gives, one takes. After `close` a last item can still be taken.
    """

    def __init__(self, clock: Clock = MONOTONIC) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self._waiting = 0
        self._replaced_by_this = 0
        self.replaced = 0

    @property
    def exhausted(self) -> bool:
        """Return whether nothing is here and nothing will come."""
        return self._closed and self._item is None

    def offer(self, item: T) -> bool:
        """Put `item` here at once, in place of one not taken; False if the slot was closed."""
        with self._changed:
            if self._closed:
                return False
            self._replaced_by_this += self._item is not None
            self._item = item
            self._wake()
            return True

    def put(self, item: T) -> bool:
        """Put `item` here as soon as there is room; False if the slot was closed."""
        with self._changed:
            if self._item is not None and not self._closed:
                self._wait(lambda: self._item is None or self._closed, None)
            if self._closed:
                return False
            self._item = item
            self._wake()
            return True

    def take(self, timeout_s: float) -> T | None:
        """Return the item and leave room for the next; None if none came in `timeout_s`."""
        with self._changed:
            if self._item is None and not self._closed:
                self._wait(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            if item is not None:
                self.replaced += self._replaced_by_this
                self._replaced_by_this = 0
                self._wake()
            return item

    def close(self) -> None:
        """Take nothing more, and wake whoever waits."""
        with self._changed:
            self._closed = True
            self._wake()

    def _wait(self, ready: Callable[[], bool], timeout_s: float | None) -> None:
        self._waiting += 1
        try:
            self._clock.wait_for(self._changed, ready, timeout_s)
        finally:
            self._waiting -= 1

    def _wake(self) -> None:
        if self._waiting:  # this is the inner loop: most of the time nobody waits
            self._changed.notify_all()
