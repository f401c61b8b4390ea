"""Threads of the live loop, whose errors reach the thread that waits for them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from toolkit.clock import Clock

__all__ = ["Workers"]

_JOIN_S = 5.0


class Workers:
    """Starts threads; `check` raises here what one of them raised there.

    With `yielding` they give way to the engine: on two cores the scheduler otherwise wakes them on
    the engine's, which cost 6 % of its throughput (0.91 against 0.97 of back-to-back inference,
    MobileNetV2 INT8 with one thread, EPYC 9004).
    """

    def __init__(self, clock: Clock, *, yielding: bool = False) -> None:
        self._clock = clock
        self._yielding = yielding
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None

    def start(self, target: Callable[[], None], name: str, *, at_end: Callable[[], None]) -> None:
        """Run `target` in a thread, and `at_end` when it returns or raises."""

        def run() -> None:
            try:
                if self._yielding:
                    _give_way()
                target()
            except BaseException as error:
                self._error = error  # raised again by `check`, in the thread that asked
            finally:
                at_end()

        self._threads.append(self._clock.start(run, name))

    def check(self) -> None:
        """Raise the error that ended a thread, if one did."""
        if self._error is not None:
            raise self._error

    def join(self) -> str:
        """Wait for all to end; return the names of those that did not, a device hanging, or ""."""
        late = [thread for thread in self._threads if not self._clock.join(thread, _JOIN_S)]
        return ", ".join(thread.name for thread in late)


def _give_way() -> None:
    if sys.platform == "linux":  # elsewhere this would be the whole process
        thread = threading.get_native_id()
        with suppress(OSError):  # a sandbox may forbid it: slower, not wrong
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + 5)
