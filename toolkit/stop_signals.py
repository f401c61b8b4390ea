"""Ctrl-C, SIGTERM and a closed terminal, for as long as something must be ended in its own way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["signals_to"]

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_to(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Let `handler` have the signals that stop a program, for a block of the main thread.

    `signal.default_int_handler` raises KeyboardInterrupt. In other threads nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals arrive in the main thread only
        return
    handlers = {number: signal.getsignal(number) for number in _STOPPING}
    # What nohup ignores stays ignored, and what ends the process at once still does.
    raising = {number: before for number, before in handlers.items() if callable(before)}
    for number in raising:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in raising.items():
            signal.signal(number, before)
